import ipaddress
import json
import socket
import ssl
import threading
import time
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from webhooks import connections, sender
from webhooks.tests.receivers import drips, floods, hangs, receiver, says

pytestmark = pytest.mark.usefixtures("loopback_allowed")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def post(url: str, **options: Any) -> sender.Outcome:
    return sender.post(url, b'{"a":1}', headers={"webhook-id": "evt_1"}, **{"limit_seconds": 5.0, **options})


def test_what_the_endpoint_gets_and_what_is_kept_of_its_answer() -> None:
    with receiver(says(b"HTTP/1.1 202 Accepted\r\nX-Id: 7\r\nContent-Length: 2\r\n\r\nok")) as endpoint:
        outcome = post(endpoint.url)
    head, _, body = endpoint.requests[0].partition(b"\r\n\r\n")
    request_line, *header_lines = head.decode().split("\r\n")
    assert request_line == "POST /hook HTTP/1.1"
    assert {line.lower() for line in header_lines} == {
        f"host: 127.0.0.1:{endpoint.port}",
        "webhook-id: evt_1",
        "content-type: application/json",
        "content-length: 7",
        "user-agent: offload-webhooks/1",
        "accept: */*",
        "accept-encoding: identity",
    }
    assert body == b'{"a":1}'
    assert (outcome.status, outcome.body, outcome.error, outcome.is_success) == (202, b"ok", "", True)
    assert outcome.headers == {"X-Id": "7", "Content-Length": "2"}
    assert 0 <= outcome.duration_ms < 5000


@pytest.mark.parametrize(
    ("status", "is_success"),
    [(200, True), (204, True), (299, True), (199, False), (400, False), (410, False), (500, False)],
)
def test_any_2xx_is_success_and_nothing_else(status: int, is_success: bool) -> None:
    with receiver(says(b"HTTP/1.1 %d Whatever\r\nContent-Length: 0\r\n\r\n" % status)) as endpoint:
        outcome = post(endpoint.url)
    assert (outcome.status, outcome.is_success, outcome.error) == (status, is_success, "")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_failure_and_not_followed(status: int) -> None:
    with receiver(says(OK)) as elsewhere:
        moved = b"HTTP/1.1 %d Moved\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (status, elsewhere.url.encode())
        with receiver(says(moved)) as endpoint:
            outcome = post(endpoint.url)
    assert (outcome.status, outcome.is_success, outcome.error) == (status, False, "Redirects are not followed.")
    assert len(endpoint.requests) == 1
    assert elsewhere.requests == []


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"", "Remote end closed connection without response"),
        (b"\x00\xff\xfe garbage \r\n\r\n", "\ufffd"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0-OpenSSH_9.2"),
        (b"HTTP/1.1 abc\r\n\r\n", "BadStatusLine: HTTP/1.1 abc"),
        (b"HTTP/1.1 99999 Odd\r\n\r\n", "HTTP/1.1 99999 Odd"),
        (b"HTTP/1.1 200 " + b"x" * 100_000, "got more than 65536 bytes when reading status line"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200, "got more than 100 headers"),
        (b"HTTP/1.1 200 OK\r\na: " + b"x" * 100_000, "got more than 65536 bytes when reading header line"),
    ],
)
def test_what_is_no_http_is_a_failed_attempt(raw: bytes, error: str) -> None:
    with receiver(says(raw)) as endpoint:
        outcome = post(endpoint.url)
    assert outcome.status is None
    assert "\x00" not in outcome.error
    assert error.replace("\ufffd", "") in outcome.error


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", b"short"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nnonsense", b"hello"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 8\r\n\r\nnot gzip", b"not gzip"),
    ],
)
def test_the_status_line_decides_whatever_the_body_is(raw: bytes, body: bytes) -> None:
    with receiver(says(raw)) as endpoint:
        outcome = post(endpoint.url)
    assert (outcome.status, outcome.is_success, outcome.body) == (200, True, body)


def test_nuls_and_broken_text_can_be_stored() -> None:
    with receiver(says(b"HTTP/1.1 500 No\r\nX-Odd: a\x00b\xff\r\n\r\n\x00\xff\xe9")) as endpoint:
        outcome = post(endpoint.url)
    assert outcome.text == "\ufffd\ufffd\ufffd"
    assert "\x00" not in json.dumps(outcome.headers)
    assert "\\u0000" not in json.dumps(outcome.headers)


def test_an_endpoint_that_hangs_is_left_at_the_limit() -> None:
    with receiver(hangs) as endpoint:
        outcome = post(endpoint.url, limit_seconds=0.5)
    assert outcome.status is None
    assert outcome.error == "timed out"
    assert 500 <= outcome.duration_ms < 2000


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"HTTP/1.1 200 OK, only very slow", None),  # the status line drips
        (b"HTTP/1.1 200 OK\r\nX-Drip: and so on", None),  # the headers do
    ],
)
def test_a_head_that_drips_is_left_at_the_limit(raw: bytes, status: int | None) -> None:
    with receiver(drips(raw)) as endpoint:
        outcome = post(endpoint.url, limit_seconds=0.7)
    assert outcome.status == status
    assert outcome.error in {"The time limit was reached.", "timed out"}
    assert 700 <= outcome.duration_ms < 2000


def test_an_endless_series_of_interim_answers_is_left_at_the_limit() -> None:
    def continues(connection: socket.socket, over: threading.Event) -> None:
        while not over.is_set():
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)

    with receiver(continues) as endpoint:
        outcome = post(endpoint.url, limit_seconds=0.5)
    assert outcome.status is None
    assert 500 <= outcome.duration_ms < 2000


def test_a_body_that_drips_is_left_at_the_limit_and_counts_as_answered() -> None:
    with receiver(drips(b"HTTP/1.1 200 OK\r\n\r\n", seconds=0.01)) as endpoint:
        outcome = post(endpoint.url, limit_seconds=1)
    assert (outcome.status, outcome.is_success) == (200, True)
    assert set(outcome.body) == set(b"x")
    assert outcome.error.startswith("The body was not read to its end: ")
    assert 1000 <= outcome.duration_ms < 2500


@pytest.mark.parametrize("status", [b"200 OK", b"302 Found\r\nLocation: http://127.0.0.1:1/"])
def test_of_100_mb_only_the_beginning_is_read(status: bytes) -> None:
    with receiver(floods(b"HTTP/1.1 " + status + b"\r\nContent-Length: 100000000\r\n\r\n", 100_000_000)) as endpoint:
        tracemalloc.start()
        outcome = post(endpoint.url)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert outcome.body == b"x" * 4096
    assert peak < 2_000_000
    assert outcome.duration_ms < 2000


def test_an_endpoint_that_takes_no_request_is_left_at_the_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # never reads: its buffers fill up
        started = time.monotonic()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        outcome = sender.post(url, b"x" * 20_000_000, headers={}, limit_seconds=0.5)
    assert time.monotonic() - started < 2
    assert (outcome.status, outcome.error) == (None, "timed out")


def test_a_closed_port_is_a_failed_attempt() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    outcome = post(f"http://127.0.0.1:{port}/")
    assert outcome.status is None
    assert "Connection refused" in outcome.error


def test_nothing_is_taken_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, httpserver: HTTPServer
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody is there
    seen: list[Request] = []

    def answer(request: Request) -> Response:
        seen.append(request)
        return Response("ok", headers={"Set-Cookie": "a=b"})

    httpserver.expect_request("/hook").respond_with_handler(answer)
    for _ in range(2):
        assert post(f"http://127.0.0.1:{httpserver.port}/hook").status == 200
    assert [request.headers.get("Authorization") for request in seen] == [None, None]
    assert [request.headers.get("Cookie") for request in seen] == [None, None]


# --- TLS ------------------------------------------------------------------------------------------


def certificate(directory: Path, *names: str) -> tuple[ssl.SSLContext, Path]:
    """A self-signed certificate for names or addresses: a server's context with it, and the file to trust it by."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    at = datetime.now(UTC)
    alternatives: list[x509.GeneralName] = [
        x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name) for name in names
    ]
    signed = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(at - timedelta(days=1))
        .not_valid_after(at + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = directory / "certificate.pem"
    trusted = signed.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(trusted + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    (directory / "trusted.pem").write_bytes(trusted)
    return context, directory / "trusted.pem"


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name leads to this machine."""

    def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.fixture
def trust(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Trust one more authority, for this test."""

    def use(file: Path) -> None:
        context = connections.tls_context.__wrapped__()
        context.load_verify_locations(file)
        monkeypatch.setattr(connections, "tls_context", lambda: context)

    return use


def test_the_certificate_is_checked_for_the_name_and_not_for_the_address(
    names: None, trust: Any, tmp_path: Path
) -> None:
    server, authority = certificate(tmp_path, "hooks.example")
    trust(authority)
    with receiver(says(OK), tls=server) as endpoint:
        right = post(f"https://hooks.example:{endpoint.port}/hook")
        wrong = post(f"https://other.example:{endpoint.port}/hook")
        bare = post(f"https://127.0.0.1:{endpoint.port}/hook")
    assert (right.status, right.body) == (200, b"ok")
    assert endpoint.names == ["hooks.example", "other.example", None]
    assert "other.example" in wrong.error
    assert "127.0.0.1" in bare.error
    assert [outcome.status for outcome in (wrong, bare)] == [None, None]
    [request] = endpoint.requests
    assert f"Host: hooks.example:{endpoint.port}".encode() in request


def test_a_certificate_for_an_address_is_good_for_that_address(trust: Any, tmp_path: Path) -> None:
    server, authority = certificate(tmp_path, "127.0.0.1")
    trust(authority)
    with receiver(says(OK), tls=server) as endpoint:
        assert post(f"https://127.0.0.1:{endpoint.port}/hook").status == 200


def test_an_operator_can_have_an_authority_of_its_own(
    monkeypatch: pytest.MonkeyPatch, names: None, tmp_path: Path
) -> None:
    server, authority = certificate(tmp_path, "hooks.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    context = connections.tls_context.__wrapped__()
    monkeypatch.setattr(connections, "tls_context", lambda: context)
    with receiver(says(OK), tls=server) as endpoint:
        assert post(f"https://hooks.example:{endpoint.port}/hook").status == 200


def test_a_certificate_by_nobody_we_trust_is_refused(names: None, tmp_path: Path) -> None:
    server, _ = certificate(tmp_path, "hooks.example")
    with receiver(says(OK), tls=server) as endpoint:
        outcome = post(f"https://hooks.example:{endpoint.port}/hook")
    assert outcome.status is None
    assert "certificate verify failed" in outcome.error
    assert endpoint.requests == []


def test_dripping_under_tls_is_left_at_the_limit_too(names: None, trust: Any, tmp_path: Path) -> None:
    server, authority = certificate(tmp_path, "hooks.example")
    trust(authority)
    with receiver(drips(b"HTTP/1.1 200 OK, only very slow"), tls=server) as endpoint:
        outcome = post(f"https://hooks.example:{endpoint.port}/hook", limit_seconds=0.7)
    assert outcome.status is None
    assert 700 <= outcome.duration_ms < 2000


def test_a_handshake_that_hangs_is_left_at_the_limit(names: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # accepts, and never says a word
        outcome = post(f"https://hooks.example:{listener.getsockname()[1]}/hook", limit_seconds=0.5)
    assert outcome.status is None
    assert "timed out" in outcome.error
    assert 500 <= outcome.duration_ms < 2000
