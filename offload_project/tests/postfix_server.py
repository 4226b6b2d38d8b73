"""A Postfix on loopback, with files of its own: the mail server that a self-hoster has in front of the service."""

import os
import pwd
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from offload_project.tests.processes import wait_for

MAIN = """
compatibility_level = 3.6
queue_directory = {home}/spool
data_directory = {home}/data
maillog_file = {home}/postfix.log
maillog_file_prefixes = {home}
myhostname = mx.ours.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
local_recipient_maps =
smtp_dns_support_level = disabled
smtp_host_lookup = native
# What a self-hoster writes: mail to our domain goes to `receive_mail --lmtp`. The other line stands for the DNS.
relay_domains = ours.example
transport_maps = inline:{{
    {{ours.example = lmtp:inet:127.0.0.1:{lmtp_port}}}, {{supplier.example = smtp:[127.0.0.1]:{their_port}}} }}
"""
MASTER = """
{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
showq unix n - n - - showq
postlog unix-dgram n - n - 1 postlogd
"""


@contextmanager
def postfix(command: str, home: Path, *, lmtp_port: int, their_port: int) -> Iterator[int]:
    """A started server; its port. Its directory has to be one that others may enter."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    for name in ("etc", "spool", "data"):
        (home / name).mkdir()
    user = pwd.getpwnam("postfix")
    os.chown(home / "data", user.pw_uid, user.pw_gid)
    (home / "etc" / "main.cf").write_text(MAIN.format(home=home, lmtp_port=lmtp_port, their_port=their_port))
    (home / "etc" / "master.cf").write_text(MASTER.format(port=port))
    control = [command, "-c", str(home / "etc")]
    subprocess.run([*control, "start"], check=True, capture_output=True, timeout=30)
    try:
        wait_for(lambda: _answers(port), 30, "postfix listens")
        yield port
    finally:
        subprocess.run([*control, "stop"], check=True, capture_output=True, timeout=30)  # waits for its processes


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        return client.recv(100).startswith(b"220")
    return False
