"""Mail out, over real SMTP and through django-anymail."""

import email
import ssl
import threading
import time
from dataclasses import replace
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
import requests
from aiosmtpd.smtp import AuthResult
from anymail.exceptions import AnymailRecipientsRefused, AnymailRequestsAPIError
from anymail.message import AnymailRecipientStatus
from django.core import mail as django_mail
from pytest_django import Settings

from outreach.inbound.mail import parse
from outreach.tests.mail_servers import HANG_UP, certificate, mail_server, scripted_server, tls
from outreach.tests.test_transports import INJECTIONS, MAIL
from outreach.transports import OutgoingMail, Receipt, TransportError, transport_named
from outreach.transports.base import OutgoingFile
from outreach.transports.email import EmailTransport, FrozenMessage
from outreach.transports.html import html_of
from outreach.transports.refusals import is_about_recipient

FILE = OutgoingFile("Vollmacht für Ann.pdf", "application/pdf", b"%PDF-1.4 \x00\xff" * 50)
WHOLE = replace(
    MAIL,
    reply_to="us+abc@ours.example",
    text="Hello Ann,\n\nplease see <https://ours.example/a?b=1&c=2>.\nInvoice number: \n",
    in_reply_to="<0@supplier.example>",
    references=("<1@ours.example>", "<0@supplier.example>"),
    files=(FILE,),
)


@pytest.fixture(autouse=True)
def by_smtp(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "outreach.transports.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_TIMEOUT = "127.0.0.1", 10
    settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Any:
    before = threading.active_count()
    yield
    deadline = time.monotonic() + 3
    while threading.active_count() > before:
        assert time.monotonic() < deadline, threading.enumerate()
        time.sleep(0.02)


def send(port: int, settings: Settings, mail: OutgoingMail = MAIL) -> Receipt:
    settings.EMAIL_PORT = port
    return transport_named("email").send(mail)


def refusal(port: int, settings: Settings) -> TransportError:
    with pytest.raises(TransportError) as caught:
        send(port, settings)
    return caught.value


def read(raw: bytes) -> EmailMessage:
    message = email.message_from_bytes(raw, policy=default)
    assert isinstance(message, EmailMessage)
    assert [part.defects for part in message.walk() if part.defects] == []
    return message


# --- What arrives ---------------------------------------------------------------------------------


def test_a_mail_arrives_as_it_was_written(settings: Settings) -> None:
    with mail_server() as (port, mails):
        receipt = send(port, settings, WHOLE)
    assert receipt == Receipt(provider_id=MAIL.message_id)
    [arrived] = mails
    assert (arrived.sender, arrived.recipients) == ("us@ours.example", ["ann@supplier.example"])
    message = read(arrived.raw)
    assert {name: str(message[name]) for name in message if name not in ("Content-Type", "MIME-Version")} == {
        "From": "Bob Buyer <us@ours.example>",
        "To": "Ann Supplier <ann@supplier.example>",
        "Reply-To": "us+abc@ours.example",
        "Subject": "Invoice",
        "Date": "Mon, 04 Jan 2027 09:30:00 +0000",
        "Message-ID": "<1@ours.example>",
        "In-Reply-To": "<0@supplier.example>",
        "References": "<1@ours.example> <0@supplier.example>",
        "Auto-Submitted": "auto-generated",
    }
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "application/pdf",
    ]
    text = message.get_body(("plain",))
    assert text
    assert text.get_content().replace("\r\n", "\n") == WHOLE.text
    [attached] = message.iter_attachments()
    assert (attached.get_filename(), attached.get_content()) == (FILE.name, FILE.content)


def test_a_repeated_send_is_the_same_bytes(settings: Settings) -> None:
    with mail_server() as (port, mails):
        send(port, settings, WHOLE)
        send(port, settings, replace(WHOLE))
    assert mails[0].raw == mails[1].raw
    assert len(set(mails[0].raw)) > 20


def test_every_byte_is_one_that_any_server_takes(settings: Settings) -> None:
    with mail_server(enable_SMTPUTF8=False, decode_data=False) as (port, mails):
        send(port, settings, replace(WHOLE, text="Grüße\n.\n..\nFrom x\n" + "ü" * 3000, from_name="Jürgen"))
    assert mails[0].raw.isascii()
    assert max(len(line) for line in mails[0].raw.split(b"\r\n")) <= 998
    text = read(mails[0].raw).get_body(("plain",))
    assert text
    assert text.get_content().replace("\r\n", "\n") == "Grüße\n.\n..\nFrom x\n" + "ü" * 3000 + "\n"


@pytest.mark.parametrize("text", [INJECTIONS[0], INJECTIONS[3], INJECTIONS[4], INJECTIONS[11], "n" * 3000])
@pytest.mark.parametrize("field", ["from_name", "to_name", "subject", "file"])
def test_nothing_adds_a_recipient_or_a_header(field: str, text: str, settings: Settings) -> None:
    changed: dict[str, Any] = {"files": (replace(FILE, name=text),)} if field == "file" else {field: text}
    with mail_server() as (port, mails):
        send(port, settings, replace(WHOLE, **changed))
    [arrived] = mails
    assert arrived.recipients == ["ann@supplier.example"]
    message = read(arrived.raw)
    expected = (
        "From To Reply-To Subject Date Message-ID In-Reply-To References Auto-Submitted Content-Type MIME-Version"
    )
    assert sorted(message) == sorted(expected.split())
    assert [address.addr_spec for address in message["To"].addresses] == ["ann@supplier.example"]
    assert max(len(line) for line in arrived.raw.split(b"\r\n")) <= 998
    assert parse(arrived.raw).attachments[0].content == FILE.content


@pytest.mark.parametrize("type_", ["", "x", "text/html\r\nBcc: a@b", "multipart/mixed", "message/rfc822"])
def test_files_of_odd_types_are_only_files(type_: str, settings: Settings) -> None:
    with mail_server() as (port, mails):
        send(port, settings, replace(WHOLE, files=(replace(FILE, type=type_),)))
    [attached] = read(mails[0].raw).iter_attachments()
    assert (attached.get_content_type(), attached.get_content()) == ("application/octet-stream", FILE.content)


# --- Text and HTML --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("Hello", ["Hello"]),
        ("a\nb\n\nc", ["a<br>\nb", "c"]),
        ('<script>alert(1)</script> & "x"', ["&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;x&quot;"]),
        (
            "see https://a.example/?b=1&c=2.",
            ['see <a href="https://a.example/?b=1&amp;c=2">https://a.example/?b=1&amp;c=2</a>.'],
        ),
        ("(http://a.example/x)", ['(<a href="http://a.example/x">http://a.example/x</a>)']),
        ("javascript:alert(1) ftp://x", ["javascript:alert(1) ftp://x"]),
        ('https://a.example/"onclick="x', ['<a href="https://a.example/">https://a.example/</a>&quot;onclick=&quot;x']),
        ("  a   b", ["&nbsp;&nbsp;a &nbsp;&nbsp;b"]),
    ],
)
def test_html_is_the_text(text: str, inside: list[str]) -> None:
    paragraphs = "\n".join(f'<p style="margin:0 0 1em">{one}</p>' for one in inside)
    assert f"\n{paragraphs}\n</body>" in html_of(text)


def test_both_say_the_same(settings: Settings) -> None:
    text = "Hello Ann,\n\nInvoice <number>:\nTotal & tax:  5 €\n\nhttps://ours.example/x.\n\nKind regards\nBob"
    only_html = EmailMessage()
    only_html.set_content(html_of(text), subtype="html")
    assert parse(only_html.as_bytes()).reply_text.replace("\xa0", " ").split() == text.split()


# --- Refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "permanent", "reason"),
    [
        ({"RCPT": "550 5.1.1 No such user"}, True, "refused the recipient: 550 5.1.1 No such user"),
        ({"RCPT": "550 No such user here"}, True, "refused the recipient: 550 No such user here"),
        ({"RCPT": "551 User not local"}, True, "refused the recipient: 551"),
        ({"RCPT": "553 Mailbox name not allowed"}, True, "refused the recipient: 553"),
        ({"RCPT": "556 5.1.10 Recipient has null MX"}, True, "refused the recipient: 556"),
        ({"RCPT": "550 5.2.1 Mailbox disabled"}, True, "refused the recipient: 550 5.2.1"),
        ({"RCPT": "550 5.4.1 Recipient address rejected"}, True, "refused the recipient: 550 5.4.1"),
        ({"END": "550-5.1.1 The account\r\n550 5.1.1 does not exist"}, True, "refused the mail: 550 5.1.1"),
        ({"RCPT": "450 4.2.0 Greylisted, try again in 300 seconds"}, False, "450 4.2.0 Greylisted"),
        ({"RCPT": "451 4.7.1 Try later"}, False, "refused the recipient: 451"),
        ({"RCPT": "452 4.2.2 Mailbox full"}, False, "refused the recipient: 452"),
        ({"RCPT": "552 5.2.2 Mailbox full"}, False, "refused the recipient: 552"),
        ({"RCPT": "554 5.7.1 Relay access denied"}, False, "refused the recipient: 554 5.7.1 Relay"),
        ({"RCPT": "550 5.7.1 Blocked by a list"}, False, "refused the recipient: 550 5.7.1"),
        ({"RCPT": "554 Transaction failed"}, False, "refused the recipient: 554"),
        ({"RCPT": "530 5.7.0 Authentication required"}, False, "refused the recipient: 530"),
        ({"MAIL": "550 5.1.8 Sender unknown"}, False, "refused our address: 550 5.1.8"),
        ({"MAIL": "553 5.1.1 Sender unknown"}, False, "refused our address: 553"),
        ({"MAIL": "451 4.3.0 Try later"}, False, "refused our address: 451"),
        ({"DATA": "554 5.5.1 No valid recipients"}, False, "refused the mail: 554"),
        ({"END": "554 5.7.1 Looks like spam"}, False, "refused the mail: 554 5.7.1 Looks like spam"),
        ({"END": "552 5.3.4 Message too big"}, False, "refused the mail: 552"),
        ({"END": "550 Rejected by content filter"}, False, "refused the mail: 550"),
        ({"END": "421 4.3.2 Shutting down"}, False, "refused the mail: 421"),
        ({"BANNER": "554 No SMTP service here"}, False, "refused us: 554 No SMTP service here"),
        ({"EHLO": "502 no", "HELO": "550 no"}, False, "refused us: 550 no"),
        ({"BANNER": HANG_UP}, False, "could not be talked to: Connection unexpectedly closed"),
        ({"RCPT": HANG_UP}, False, "could not be talked to: Connection unexpectedly closed"),
    ],
)
def test_what_a_server_says_against_it(
    answers: dict[str, str], permanent: bool, reason: str, settings: Settings
) -> None:
    with scripted_server(**answers) as (port, script):
        error = refusal(port, settings)
    assert (error.permanent, reason in str(error)) == (permanent, True), str(error)
    assert len(str(error)) <= 500
    assert script.connections == 1  # it is the engine that tries again


@pytest.mark.parametrize(
    ("code", "text", "after_rcpt", "expected"),
    [
        (550, "5.0.0 no", True, True),
        (550, "5.0.0 no", False, False),
        (550, "5.1.10 null MX", False, True),
        (550, "5.1.7 bad sender", True, False),
        (550, "4.1.1 odd", True, True),
        (450, "5.1.1 odd", True, False),
        (521, "", True, False),
    ],
)
def test_codes_that_no_server_should_mix(code: int, text: str, after_rcpt: bool, expected: bool) -> None:
    assert is_about_recipient(code, text, after_rcpt=after_rcpt) is expected


def test_a_lost_answer_is_no_refusal_and_a_repeat_is_known_by_its_id(settings: Settings) -> None:
    with scripted_server(END=HANG_UP) as (port, script):
        error = refusal(port, settings)
        assert error.permanent is False
        script.answers.clear()
        send(port, settings)
    first, second = script.mails
    assert first == second
    assert first.count(b"Message-ID: <1@ours.example>") == 1


def test_nobody_is_there(settings: Settings) -> None:
    with scripted_server() as (port, _):
        pass
    error = refusal(port, settings)
    assert (error.permanent, "Connection refused" in str(error)) == (False, True)


@pytest.mark.parametrize("verb", ["BANNER", "EHLO", "RCPT", "END"])
def test_a_server_that_answers_a_byte_at_a_time_is_cut_off(verb: str, settings: Settings) -> None:
    settings.EMAIL_TIMEOUT = 0.8
    with scripted_server({verb: 0.3}) as (port, _):
        start = time.monotonic()
        error = refusal(port, settings)
        assert time.monotonic() - start < 2
    assert error.permanent is False


def test_a_goodbye_that_never_comes_does_not_undo_the_send(settings: Settings) -> None:
    settings.EMAIL_TIMEOUT = 1
    with scripted_server({"QUIT": 0.3}) as (port, script):
        assert send(port, settings) == Receipt(provider_id=MAIL.message_id)
    with scripted_server(QUIT=HANG_UP) as (port, _):
        assert send(port, settings) == Receipt(provider_id=MAIL.message_id)
    with scripted_server(QUIT="451 what?") as (port, _):
        assert send(port, settings) == Receipt(provider_id=MAIL.message_id)
    assert len(script.mails) == 1


def test_a_mail_above_the_servers_size_is_not_the_recipients_fault(settings: Settings) -> None:
    with mail_server(data_size_limit=1000) as (port, mails):
        settings.EMAIL_PORT = port
        with pytest.raises(TransportError, match="refused our address: 552") as caught:
            EmailTransport().send(replace(MAIL, files=(replace(FILE, content=b"x" * 2000),)))
    assert (caught.value.permanent, mails) == (False, [])


# --- TLS and passwords ----------------------------------------------------------------------------


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    cert_file, key_file = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(cert_file))
    return tls(cert_file, key_file)


def test_starttls_and_a_password(trusted: ssl.SSLContext, settings: Settings) -> None:
    settings.EMAIL_HOST, settings.EMAIL_USE_TLS = "localhost", True
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "us", "right"

    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=data.password == b"right", handled=False)

    options: dict[str, Any] = {"tls_context": trusted, "require_starttls": True, "authenticator": check}
    with mail_server(**options, auth_required=True) as (port, mails):
        send(port, settings)
        settings.EMAIL_HOST_PASSWORD = "wrong"
        error = refusal(port, settings)
    assert len(mails) == 1
    assert (error.permanent, "refused our user name and password: 535" in str(error)) == (False, True)
    assert "wrong" not in str(error)


def test_tls_from_the_first_byte(trusted: ssl.SSLContext, settings: Settings) -> None:
    settings.EMAIL_HOST, settings.EMAIL_USE_SSL = "localhost", True
    with mail_server(ssl_context=trusted) as (port, mails):
        send(port, settings)
    assert len(mails) == 1


def test_a_certificate_of_nobody_we_know_is_not_spoken_to(tmp_path: Path, settings: Settings) -> None:
    settings.EMAIL_HOST, settings.EMAIL_USE_TLS = "localhost", True
    with mail_server(tls_context=tls(*certificate(tmp_path))) as (port, mails):
        error = refusal(port, settings)
    assert (error.permanent, "CERTIFICATE_VERIFY_FAILED" in str(error), mails) == (False, True, [])


# --- A provider's API -----------------------------------------------------------------------------


class Provider:
    """django-anymail's own stand-in for a provider, told what to answer."""

    answer: Any = None


@pytest.fixture
def provider(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Provider:
    settings.EMAIL_BACKEND = "anymail.backends.test.EmailBackend"
    told = Provider()
    monkeypatch.setattr(FrozenMessage, "anymail_test_response", property(lambda _: told.answer), raising=False)
    return told


def answered(status: str, message_id: str | None = "p-1") -> dict[str, Any]:
    return {"recipient_status": {"ann@supplier.example": AnymailRecipientStatus(message_id, status)}}


def api_error(code: int, **headers: str) -> AnymailRequestsAPIError:
    response = requests.Response()
    response.status_code, response.reason = code, "Because"
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return AnymailRequestsAPIError("no", response=response)


def test_a_provider_gets_the_same_fields(provider: Provider) -> None:
    provider.answer = answered("queued")
    assert EmailTransport().send(WHOLE) == Receipt(provider_id="p-1")
    [given] = django_mail.outbox
    params = vars(given)["anymail_test_params"]
    assert str(params["from"]) == "Bob Buyer <us@ours.example>"
    assert [str(to) for to in params["to"]] == ["Ann Supplier <ann@supplier.example>"]
    assert [str(to) for to in params["reply_to"]] == ["us+abc@ours.example"]
    assert (params["subject"], params["text_body"], params["html_body"]) == ("Invoice", WHOLE.text, html_of(WHOLE.text))
    assert dict(params["extra_headers"]) == {
        "Message-ID": "<1@ours.example>",
        "In-Reply-To": "<0@supplier.example>",
        "References": "<1@ours.example> <0@supplier.example>",
        "Auto-Submitted": "auto-generated",
    }
    [attached] = params["attachments"]
    assert (attached.name, attached.content, attached.mimetype) == (FILE.name, FILE.content, "application/pdf")


def test_a_provider_may_choose_its_own_message_id(provider: Provider) -> None:
    provider.answer = answered("sent", "<made@provider.example>")
    assert EmailTransport().send(MAIL) == Receipt("<made@provider.example>", message_id="<made@provider.example>")


@pytest.mark.parametrize("status", ["invalid", "rejected"])
def test_a_provider_that_refuses_the_recipient_does_so_for_good(status: str, provider: Provider) -> None:
    provider.answer = answered(status)
    with pytest.raises(TransportError, match="refused the recipient") as caught:
        EmailTransport().send(MAIL)
    assert caught.value.permanent is True
    assert isinstance(caught.value.__cause__, AnymailRecipientsRefused)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (api_error(401), "API response 401"),
        (api_error(422), "API response 422"),
        (api_error(429, Retry_After="30"), "(Retry-After: 30)"),
        (api_error(503), "API response 503"),
        (AnymailRequestsAPIError("connection reset"), "connection reset"),
        (answered("failed"), "could not send the mail: {'failed'}"),
    ],
)
def test_everything_else_that_a_provider_says_may_pass(answer: Any, reason: str, provider: Provider) -> None:
    provider.answer = answer
    with pytest.raises(TransportError) as caught:
        EmailTransport().send(MAIL)
    assert (caught.value.permanent, reason in str(caught.value)) == (False, True), str(caught.value)


@pytest.mark.parametrize("backend", ["locmem", "console", "dummy", "filebased"])
def test_any_backend_will_do(
    backend: str, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.EMAIL_BACKEND, settings.EMAIL_FILE_PATH = f"django.core.mail.backends.{backend}.EmailBackend", tmp_path
    assert EmailTransport().send(MAIL) == Receipt(provider_id=MAIL.message_id)
    shown = capsys.readouterr().out + "".join(file.read_text() for file in tmp_path.iterdir())
    assert ("Message-ID: <1@ours.example>" in shown) == (backend in ("console", "filebased"))
