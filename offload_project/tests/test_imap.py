"""The door for a mailbox: a real IMAP server, a real process."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError
from imap_tools import MailBoxUnencrypted

from conftest import require
from offload_project.tests.imap_server import Dovecot, dovecot
from offload_project.tests.processes import copy_of, installed, wait_for
from outreach.inbound import imap
from outreach.models import InboundPayload


@pytest.fixture
def server() -> Iterator[Dovecot]:
    command = require("dovecot")
    home = Path(tempfile.mkdtemp(prefix="offload-imap-"))  # not pytest's, which nobody else may enter
    home.chmod(0o755)
    with dovecot(command, home) as server:
        yield server
    shutil.rmtree(home)


@pytest.fixture
def mailbox(server: Dovecot) -> Iterator[MailBoxUnencrypted]:
    with MailBoxUnencrypted("127.0.0.1", server.port, timeout=10).login("us", "p%40ss", "INBOX") as mailbox:
        yield mailbox


def mail(number: int) -> bytes:
    return f"From: ann@supplier.example\r\nMessage-ID: <{number}@x.example>\r\n\r\nNumber {number} \xfc\r\n".encode()


def uids(mailbox: MailBoxUnencrypted, criteria: str, folder: str = "INBOX") -> list[str]:
    mailbox.folder.set(folder)
    return list(mailbox.uids(criteria))


def bodies() -> list[bytes]:
    return sorted(bytes(row.body) for row in InboundPayload.objects.filter(source="imap"))


@pytest.mark.django_db
def test_what_is_taken_is_stored_and_marked(server: Dovecot, mailbox: MailBoxUnencrypted, settings: Any) -> None:
    settings.IMAP_URL = server.url
    for number in (1, 2):
        mailbox.append(mail(number), "INBOX")
    call_command("poll_imap", "--once")
    assert bodies() == [mail(1), mail(2)]
    assert uids(mailbox, "UNSEEN") == []
    mailbox.append(mail(1), "INBOX")  # the same bytes once more
    call_command("poll_imap", "--once")
    assert len(bodies()) == 2
    assert (len(uids(mailbox, "ALL")), uids(mailbox, "UNSEEN")) == (3, [])


@pytest.mark.django_db
def test_what_is_taken_can_be_moved(server: Dovecot, mailbox: MailBoxUnencrypted, settings: Any) -> None:
    settings.IMAP_URL = server.url
    mailbox.folder.create("Stored")
    mailbox.append(mail(1), "INBOX")
    call_command("poll_imap", "--once", "--move-to", "Stored")
    assert (bodies(), uids(mailbox, "ALL")) == ([mail(1)], [])
    assert len(uids(mailbox, "SEEN", "Stored")) == 1


@pytest.mark.django_db
def test_what_can_not_be_stored_stays_unseen(
    server: Dovecot, mailbox: MailBoxUnencrypted, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> bool:
        raise DatabaseError("disk full")

    settings.IMAP_URL = server.url
    mailbox.append(mail(1), "INBOX")
    with monkeypatch.context() as patch:
        patch.setattr(imap, "accept_mail", fail)
        with pytest.raises(CommandError, match="disk full"):
            call_command("poll_imap", "--once")
    assert len(uids(mailbox, "UNSEEN")) == 1
    call_command("poll_imap", "--once")
    assert bodies() == [mail(1)]


@pytest.mark.long
def test_it_goes_on_through_restarts_until_it_is_told_to_stop(
    server: Dovecot, sqlite_template: Path, tmp_path: Path, django_db_blocker: Any
) -> None:
    url = copy_of(sqlite_template, tmp_path)
    with installed(url, tmp_path, django_db_blocker, IMAP_URL=server.url) as service:
        poller = service.start("poll_imap", "--interval", "300")
        append(server, mail(1))
        wait_for(lambda: bodies() == [mail(1)], 30, service.log("poll_imap"))
        append(server, mail(2))  # the server tells, long before 300 s have passed
        wait_for(lambda: bodies() == [mail(1), mail(2)], 30, service.log("poll_imap"))
        server.stop()
        wait_for(lambda: "can't take mail from 127.0.0.1" in service.log("poll_imap"), 30, "it complains")
        server.start()
        append(server, mail(3))
        wait_for(lambda: len(bodies()) == 3, 30, service.log("poll_imap"))
        poller.leader.send_signal(signal.SIGTERM)
        assert poller.leader.wait(15) == 0


def append(server: Dovecot, raw: bytes) -> None:
    with MailBoxUnencrypted("127.0.0.1", server.port, timeout=10).login("us", "p%40ss", "INBOX") as mailbox:
        mailbox.append(raw, "INBOX")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "must begin with imaps://"),
        ("pop3://u:p@h", "must begin with imaps://"),
        ("imaps://h/INBOX", "needs a user"),
        ("imaps://u@h/INBOX", "needs a user"),
        ("imaps://u:p@", "needs a user"),
    ],
)
def test_a_url_that_says_too_little(url: str, says: str, settings: Any) -> None:
    settings.IMAP_URL = url
    with pytest.raises(CommandError, match=says):
        call_command("poll_imap", "--once")


def test_urls() -> None:
    account = imap.account("imaps://us%40ours.example:p%2Fw@mail.ours.example/In%20box")
    assert (account.host, account.port, account.user, account.password, account.folder) == (
        "mail.ours.example",
        993,
        "us@ours.example",
        "p/w",
        "In box",
    )
    assert imap.account("imap+tls://u:p@h:1143").port == 1143
    assert imap.account("imap+tls://u:p@h").folder == "INBOX"


def test_nobody_is_there(settings: Any) -> None:
    settings.IMAP_URL = "imap://u:p@127.0.0.1:1/INBOX"
    with pytest.raises(CommandError, match=r"127\.0\.0\.1: .*refused"):
        call_command("poll_imap", "--once")
