"""A Dovecot on loopback, with files of its own, for one test."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from offload_project.tests.processes import wait_for

CONFIG = """
base_dir = {home}/run
state_dir = {home}/state
log_path = {home}/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
mail_location = maildir:{home}/mail/%u
first_valid_uid = 1
first_valid_gid = 1
passdb {{
  driver = static
  args = password=p%%40ss
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={home}/mail/%u
}}
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service stats {{
  chroot =
}}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Dovecot:
    """A server with one user, `us`, whose password is `p%40ss`; it can be stopped and started again."""

    def __init__(self, command: str, home: Path) -> None:
        self.command, self.home, self.port = command, home, free_port()
        self.url = f"imap://us:p%2540ss@127.0.0.1:{self.port}/INBOX"
        (home / "mail").mkdir(parents=True)
        os.chmod(home / "mail", 0o777)
        self.config = home / "dovecot.conf"
        self.config.write_text(CONFIG.format(home=home, port=self.port))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen([self.command, "-F", "-c", str(self.config)], start_new_session=True)
        wait_for(self._answers, 20, "dovecot listens")

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5) as client:
            return client.recv(100).startswith(b"* OK")
        return False

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(20)
            self.process = None


@contextmanager
def dovecot(command: str, home: Path) -> Iterator[Dovecot]:
    """A started server; its directory has to be one that others may enter."""
    server = Dovecot(command, home)
    server.start()
    try:
        yield server
    finally:
        server.stop()
