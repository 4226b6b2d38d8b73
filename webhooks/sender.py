"""One call of a client's endpoint: to checked addresses only, within a time limit that nothing can stretch."""

import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from http.client import HTTPException
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.util.ssl_ import create_urllib3_context

from webhooks import addresses
from webhooks.addresses import Address
from webhooks.errors import AddressRefused

LIMIT_SECONDS = 15.0  # name look-up, connection, request and answer together; Standard Webhooks: 15 to 30
CONNECT_SECONDS = 5.0  # for one of several addresses, so that a dead one leaves time for the next
READ_BYTES = 64 * 1024
KEPT_BYTES = 4096
KEPT_HEADERS = 50
KEPT_HEADER_LENGTH = 500
USER_AGENT = "Offload-Webhooks/1"


@dataclass(frozen=True)
class Outcome:
    """What came of a call. `status` is None where no answer came; `error` then says why, in words for staff."""

    status: int | None
    duration_ms: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""  # its first KEPT_BYTES
    error: str = ""

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body for people; a text column takes no NUL."""
        return self.body.decode(errors="replace").replace("\x00", "\ufffd")


def post(url: str, body: bytes, *, headers: dict[str, str], limit_seconds: float = LIMIT_SECONDS) -> Outcome:
    """POST the bytes as JSON and report what came of it, within `limit_seconds`; raises nothing for a foreign failure.

    The status line decides. Of the body no more than READ_BYTES are read, and one that does not end, or not in time, is
    no failure. Redirects are not followed: they count as the failures they are for a signed message.
    """
    call = _Call(limit_seconds)
    try:
        target = addresses.read_url(url)
        found = addresses.resolve(target, min(addresses.LOOK_UP_SECONDS, limit_seconds))
        return call.make(target.url, body, headers, found)
    except AddressRefused as refused:
        return call.outcome(None, error=str(refused))
    except (requests.RequestException, HTTPError, HTTPException, OSError, ValueError) as error:
        return call.outcome(None, error=_reason(error))  # ValueError: the endpoint's answer breaks http.client's rules


class _Call:
    def __init__(self, limit_seconds: float) -> None:
        self.started = time.monotonic()
        self.deadline = self.started + limit_seconds

    def make(self, url: str, body: bytes, headers: dict[str, str], found: Sequence[Address]) -> Outcome:
        request = requests.Request("POST", url, headers=_headers(headers), data=body).prepare()
        # The adapter alone, without a session: that one would take proxies, credentials and certificates from the
        # environment, and reads the whole body of a redirect even where it does not follow it.
        adapter = PinnedAdapter(found, self.deadline)
        try:
            response = adapter.send(request, stream=True, timeout=LIMIT_SECONDS)
            try:
                content, error = _read(response)
            finally:
                response.close()
        finally:
            adapter.close()
        if 300 <= response.status_code < 400:
            error = error or "Redirects are not followed."
        return self.outcome(response.status_code, headers=_kept(response.headers), body=content, error=error)

    def outcome(self, status: int | None, **facts: Any) -> Outcome:
        return Outcome(status, round((time.monotonic() - self.started) * 1000), **facts)


def _headers(own: dict[str, str]) -> dict[str, str]:
    return {
        **own,
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "Accept": "*/*",
        "Accept-Encoding": "identity",  # nothing to unpack, so nothing that grows by it
        "Connection": "close",
    }


def _read(response: requests.Response) -> tuple[bytes, str]:
    """The beginning of the body, and why it was not read to its end, if that was a failure."""
    kept, seen = b"", 0
    try:
        while seen < READ_BYTES and (chunk := response.raw.read1(READ_BYTES - seen, decode_content=False)):
            seen += len(chunk)
            kept = (kept + chunk)[:KEPT_BYTES]
    except (HTTPError, HTTPException, OSError, ValueError) as error:
        return kept, f"The body was not read to its end: {_reason(error)}"
    return kept, ""


def _kept(headers: Any) -> dict[str, str]:
    return {
        name[:KEPT_HEADER_LENGTH].replace("\x00", ""): value[:KEPT_HEADER_LENGTH].replace("\x00", "")
        for name, value in list(headers.items())[:KEPT_HEADERS]
    }


def _reason(error: BaseException) -> str:
    """The innermost cause in words: what requests and urllib3 wrap around it tells nobody more."""
    while not isinstance(error, HTTPException):
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is None:
            break
        error = cause
    name = type(error).__name__
    text = f"{name}: {error}" if isinstance(error, HTTPException) else str(error) or name
    return text[:KEPT_HEADER_LENGTH].replace("\x00", "")


# --- The connection: to given addresses, until a given moment -------------------------------------


class _Bounded:
    """A socket whose every wait ends at the deadline: a time-out alone begins anew with each byte that drips in."""

    deadline = float("inf")  # monotonic seconds
    settimeout: Callable[[float | None], None]

    def _allow(self) -> None:
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("The time limit was reached.")
        self.settimeout(min(remaining, LIMIT_SECONDS))

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self._allow()
        return super().recv_into(*args, **kwargs)  # type: ignore[misc, no-any-return]

    def send(self, *args: Any, **kwargs: Any) -> int:
        self._allow()
        return super().send(*args, **kwargs)  # type: ignore[misc, no-any-return]

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self._allow()
        super().sendall(*args, **kwargs)  # type: ignore[misc]


class _BoundedSocket(_Bounded, socket.socket):
    pass


class _BoundedTLSSocket(_Bounded, ssl.SSLSocket):
    pass


class _Pinned:
    """A urllib3 connection that knows its addresses: Host header, SNI and certificate check stay those of the name."""

    port: int

    def __init__(self, *args: Any, pinned_to: Sequence[Address], deadline: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pinned_to, self.deadline = pinned_to, deadline

    def _new_conn(self) -> socket.socket:
        failure: OSError = OSError("The name has no addresses.")
        for address in self.pinned_to:
            try:
                return self._connect_to(address)
            except OSError as error:
                failure = error
        raise failure

    def _connect_to(self, address: Address) -> socket.socket:
        connected = _BoundedSocket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
        connected.deadline = self.deadline
        try:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connected._allow()
            connected.settimeout(min(connected.gettimeout() or 0, CONNECT_SECONDS))
            connected.connect((str(address), self.port))
            connected._allow()  # a TLS handshake keeps to this time-out as a whole
        except BaseException:
            connected.close()
            raise
        return connected


class _PinnedHTTPConnection(_Pinned, HTTPConnection):
    pass


class _PinnedHTTPSConnection(_Pinned, HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self.sock.deadline = self.deadline  # type: ignore[union-attr]


@cache
def tls_context() -> ssl.SSLContext:
    """Trusts requests' authorities and the system's own (OpenSSL's SSL_CERT_FILE adds an operator's)."""
    context = create_urllib3_context()
    context.load_default_certs()
    context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    context.sslsocket_class = _BoundedTLSSocket
    return context


class PinnedAdapter(HTTPAdapter):
    """Connects to the given addresses and no others, whatever the name resolves to by now."""

    def __init__(self, pinned_to: Sequence[Address], deadline: float) -> None:
        super().__init__(max_retries=0)
        self.pinned_to, self.deadline = pinned_to, deadline

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        if host["scheme"] == "https":
            pool["ssl_context"] = tls_context()
        return host, pool

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool = super().get_connection_with_tls_context(*args, **kwargs)
        kind = _PinnedHTTPSConnection if pool.scheme == "https" else _PinnedHTTPConnection
        pool.ConnectionCls = partial(kind, pinned_to=self.pinned_to, deadline=self.deadline)  # type: ignore[attr-defined]
        return pool

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Nothing: `tls_context` has the authorities loaded, and urllib3 would load the file again for each call."""
