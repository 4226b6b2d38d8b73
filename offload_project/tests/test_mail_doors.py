"""The doors for whole mails as an operator runs them: real processes, real SMTP, LMTP and pipes."""

import os
import re
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from cases.factories import CaseFactory
from cases.models import Case
from offload_project.tests.processes import ROOT, Service, copy_of, installed, wait_for
from outreach.inbound.reply_address import address_for
from outreach.models import InboundPayload
from outreach.tests.mail_servers import certificate

ADDRESSES = {"OFFLOAD_MAIL_FROM": "Offload <inbox@ours.example>", "OFFLOAD_AUTHSERV_ID": "mx.ours.example"}
LIMITS = ("--port", "0", "--max-size", "50000", "--max-connections", "3")


@pytest.fixture
def service(sqlite_template: Path, tmp_path: Path, django_db_blocker: Any, settings: Any) -> Iterator[Service]:
    settings.OFFLOAD_MAIL_FROM = ADDRESSES["OFFLOAD_MAIL_FROM"]
    with installed(copy_of(sqlite_template, tmp_path), tmp_path, django_db_blocker, **ADDRESSES) as service:
        yield service


def listening(service: Service, *arguments: str) -> int:
    """Start `receive_mail`; its port."""
    service.start("receive_mail", *LIMITS, *arguments)

    def port() -> int | None:
        said = re.search(r"(?:SMTP|LMTP) on 127\.0\.0\.1:(\d+)\n", service.log("receive_mail"))
        return int(said[1]) if said else None

    return int(wait_for(port, 30, f"receive_mail listens\n{service.log('receive_mail')}"))


def client_of(port: int) -> smtplib.SMTP:
    return smtplib.SMTP("localhost", port, local_hostname="client.example", timeout=10)


def raw_mail(text: str = "Hello") -> bytes:
    return f"From: ann@supplier.example\r\nTo: us\r\nMessage-ID: <1@supplier.example>\r\n\r\n{text}\r\n".encode()


def stored() -> list[tuple[str, bytes, dict[str, Any]]]:
    rows = InboundPayload.objects.order_by("received_at")
    return [(row.source, bytes(row.body), row.envelope) for row in rows]


# --- SMTP -----------------------------------------------------------------------------------------


def test_a_mail_that_is_accepted_is_stored_and_once(service: Service) -> None:
    case: Case = CaseFactory()
    port, to = listening(service), address_for(case)
    with client_of(port) as client:
        for _ in range(2):  # its sender has not heard our answer, and hands it over again
            client.sendmail("ann@supplier.example", [to], raw_mail())
            assert stored() == [("smtp", raw_mail(), {"sender": "ann@supplier.example", "recipients": [to]})]
        client.sendmail("eve@evil.example", [to], raw_mail())
        client.sendmail("ann@supplier.example", [to], raw_mail("Other words, same Message-ID"))
    assert [body for _, body, _ in stored()] == [raw_mail(), raw_mail(), raw_mail("Other words, same Message-ID")]


def test_only_our_addresses_are_known_and_reports_are_welcome(service: Service) -> None:
    case: Case = CaseFactory()
    ours = [address_for(case), address_for(case).upper(), "Inbox@Ours.example", "postmaster@ours.example", "postmaster"]
    theirs = [
        "ann@supplier.example",
        "other@ours.example",
        address_for(Case()),  # signed, but of a case that is not there
        f"{'b' if (token := address_for(case))[6] == 'a' else 'a'}".join((token[:6], token[7:])),
        "inbox+x@ours.example",
        "postmaster@supplier.example",
    ]
    with client_of(listening(service)) as client:
        client.ehlo()
        client.mail("<>")
        assert [client.rcpt(address)[0] for address in ours] == [250] * 5
        assert [client.rcpt(address) for address in theirs] == [(550, b"5.1.1 There is no such address here")] * 6
        assert client.data(raw_mail()) == (250, b"2.0.0 Stored")
    assert [envelope for _, _, envelope in stored()] == [{"sender": "", "recipients": ours}]


def test_what_is_too_big_is_refused_before_and_after(service: Service) -> None:
    with client_of(listening(service)) as client:
        client.ehlo()
        assert client.esmtp_features["size"] == "50000"
        assert client.mail("ann@supplier.example", ["size=50001"])[0] == 552
        client.mail("ann@supplier.example")
        client.rcpt("inbox@ours.example")
        assert client.data(raw_mail("line\r\n" * 10_000))[0] == 552
        assert stored() == []
        client.sendmail("ann@supplier.example", ["inbox@ours.example"], raw_mail("x" * 40_000))  # one line
        client.sendmail(
            "ann@supplier.example", ["inbox@ours.example"], odd := b"\xff..\r\n..\r\n" + bytes(range(14, 256))
        )
    assert [body for _, body, _ in stored()] == [raw_mail("x" * 40_000), odd + b"\r\n"]


def test_a_database_that_fails_makes_the_sender_try_again(service: Service) -> None:
    port = listening(service)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE outreach_inboundpayload RENAME TO elsewhere")
    with client_of(port) as client:
        client.ehlo()
        for _ in range(2):  # the second without RSET
            client.mail("ann@supplier.example")
            client.rcpt("inbox@ours.example")
            assert client.data(raw_mail()) == (451, b"4.3.0 Can't store mail now, try again later")
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO outreach_inboundpayload")
        client.sendmail("ann@supplier.example", ["inbox@ours.example"], raw_mail())
    assert len(stored()) == 1


def test_starttls_is_offered(service: Service, tmp_path: Path) -> None:
    cert_file, key_file = certificate(tmp_path)
    port = listening(service, "--tls-cert", str(cert_file), "--tls-key", str(key_file))
    with client_of(port) as client:
        client.starttls(context=ssl.create_default_context(cafile=str(cert_file)))
        client.sendmail("ann@supplier.example", ["inbox@ours.example"], raw_mail())
    assert len(stored()) == 1


def test_connections_are_bounded_and_it_stops_when_told(service: Service) -> None:
    port = listening(service)
    clients = [client_of(port) for _ in range(3)]
    with pytest.raises(smtplib.SMTPConnectError, match=r"4\.3\.2 Too many connections"):
        client_of(port)
    clients.pop().quit()
    wait_for(lambda: _can_connect(port), 5, "a place is free again")
    busy = clients.pop()
    busy.ehlo()
    busy.mail("ann@supplier.example")
    busy.rcpt("inbox@ours.example")
    [server] = service.started
    server.leader.send_signal(signal.SIGTERM)
    idle = clients[0].sock
    assert idle
    assert idle.recv(100) == b""  # closed at once
    assert busy.data(raw_mail()) == (250, b"2.0.0 Stored")  # what has begun is finished
    assert server.leader.wait(10) == 0
    clients[0].close()
    busy.close()
    assert len(stored()) == 1
    assert "Traceback" not in service.log("receive_mail")


def _can_connect(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        return client.recv(100).startswith(b"220")


# --- LMTP -----------------------------------------------------------------------------------------


def test_lmtp_answers_for_each_recipient(service: Service) -> None:
    first, second = address_for(CaseFactory()), address_for(CaseFactory())
    with socket.create_connection(("127.0.0.1", listening(service, "--lmtp")), timeout=10) as client:
        lines = client.makefile("rb")
        lines.readline()
        client.sendall(b"LHLO mx\r\n")
        while lines.readline()[3:4] == b"-":
            pass

        def say(text: bytes, answers: int = 1) -> list[bytes]:
            client.sendall(text + b"\r\n")
            return [lines.readline()[:9] for _ in range(answers)]

        assert say(b"EHLO mx") == [b"500 Error"]
        assert say(b"MAIL FROM:<>") == [b"250 OK\r\n"]
        assert say(f"RCPT TO:<{first}>".encode()) == [b"250 2.1.5"]
        assert say(b"RCPT TO:<nobody@ours.example>") == [b"550 5.1.1"]
        assert say(f"RCPT TO:<{second}>".encode()) == [b"250 2.1.5"]
        assert say(b"DATA") == [b"354 End d"]
        assert say(raw_mail() + b".", answers=2) == [b"250 2.0.0"] * 2
        assert say(b"MAIL FROM:<a@b.example>") == [b"250 OK\r\n"]
        assert say(f"RCPT TO:<{first}>".encode()) == [b"250 2.1.5"]
        assert say(f"RCPT TO:<{second}>".encode()) == [b"250 2.1.5"]
        assert say(b"DATA") == [b"354 End d"]
        assert say(b"x\r\n" * 20_000 + b".", answers=2) == [b"552 Error"] * 2
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE outreach_inboundpayload RENAME TO elsewhere")
        assert say(b"MAIL FROM:<a@b.example>") == [b"250 OK\r\n"]
        assert say(f"RCPT TO:<{first}>".encode()) == [b"250 2.1.5"]
        assert say(f"RCPT TO:<{second}>".encode()) == [b"250 2.1.5"]
        assert say(b"DATA") == [b"354 End d"]
        assert say(raw_mail("later") + b".", answers=2) == [b"451 4.3.0"] * 2
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO outreach_inboundpayload")
        assert say(b"NOOP") == [b"250 OK\r\n"]
        lines.close()
    assert [envelope for _, _, envelope in stored()] == [{"sender": "", "recipients": [first, second]}]


# --- The pipe -------------------------------------------------------------------------------------


def pipe(service: Service, raw: bytes, *arguments: str, **environment: str) -> int:
    command = [sys.executable, str(ROOT / "manage.py"), "ingest_mail", *arguments]
    ran = subprocess.run(
        command, input=raw, env={**service.environment, **environment}, capture_output=True, timeout=60
    )
    return ran.returncode


@pytest.mark.long
def test_a_pipe_is_answered_in_the_words_of_mail_servers(service: Service, tmp_path: Path) -> None:
    arguments = ("--sender", "ann@supplier.example", "--recipient", "inbox@ours.example")
    assert [pipe(service, raw_mail(), *arguments) for _ in range(2)] == [os.EX_OK] * 2
    assert pipe(service, raw_mail("bounce"), "--sender", "<>") == os.EX_OK
    assert pipe(service, b"\n") == os.EX_DATAERR
    (tmp_path / "empty.sqlite3").touch()
    assert pipe(service, raw_mail(), DATABASE_URL=f"sqlite:///{tmp_path / 'empty.sqlite3'}") == os.EX_TEMPFAIL
    assert [(source, envelope) for source, _, envelope in stored()] == [
        ("pipe", {"sender": "ann@supplier.example", "recipients": ["inbox@ours.example"]}),
        ("pipe", {"sender": "", "recipients": []}),
    ]
