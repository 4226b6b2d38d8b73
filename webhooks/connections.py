"""Connections to endpoints: to checked addresses only, until a given moment, and kept for a while for the next call."""

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from typing import Any

from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.ssl_ import create_urllib3_context

from webhooks.addresses import Address, Target

LIMIT_SECONDS = 15.0  # name look-up, connection, request and answer together; Standard Webhooks: 15 to 30
CONNECT_SECONDS = 5.0  # for one of several addresses, so that a dead one leaves time for the next
KEPT_SECONDS = 20.0  # an unused connection; many servers close theirs after 60 s, some after 5
MOST_KEPT = 64  # unused connections of this process


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
    sock: Any

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

    def peer(self) -> Address:
        """The address at the other end."""
        return ip_address(self.sock.getpeername()[0])

    def limit(self, deadline: float) -> None:
        """From now on every wait ends at this moment."""
        self.deadline = self.sock.deadline = deadline


class _PinnedHTTPConnection(_Pinned, HTTPConnection):
    pass


class _PinnedHTTPSConnection(_Pinned, HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self.sock.deadline = self.deadline


Connection = _PinnedHTTPConnection | _PinnedHTTPSConnection


def connect(target: Target, found: Sequence[Address], deadline: float) -> Connection:
    """Connect to one of the addresses, the first that answers. Raises OSError, ssl.SSLError among them."""
    options: Any = {"timeout": LIMIT_SECONDS, "pinned_to": found, "deadline": deadline}
    connection: Connection
    if target.scheme == "https":
        connection = _PinnedHTTPSConnection(target.host, target.port, ssl_context=tls_context(), **options)
    else:
        connection = _PinnedHTTPConnection(target.host, target.port, **options)
    try:
        connection.connect()
    except BaseException:
        connection.close()
        raise
    return connection


@cache
def tls_context() -> ssl.SSLContext:
    """Trusts requests' authorities and the system's own (OpenSSL's SSL_CERT_FILE adds an operator's)."""
    context = create_urllib3_context()
    context.load_default_certs()
    context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    context.sslsocket_class = _BoundedTLSSocket
    return context


# --- Connections between two calls ----------------------------------------------------------------


@dataclass(frozen=True)
class _Kept:
    origin: tuple[str, str, int]
    connection: Connection
    until: float  # monotonic seconds


class Idle:
    """The unused connections of this process, each good for another call of the same origin.

    One is handed out only if the address it leads to is among those that have just been checked, so that keeping it
    lets nobody reach what a new connection could not.
    """

    def __init__(self) -> None:
        self._kept: list[_Kept] = []  # the oldest first
        self._lock = threading.Lock()

    def take(self, target: Target, found: Sequence[Address], deadline: float) -> Connection | None:
        """The connection to this origin that was used last, limited to the deadline; None: there is none to use."""
        while (connection := self._pop(target.origin, found)) is not None:
            if connection.is_connected:
                connection.limit(deadline)
                return connection
            connection.close()  # the endpoint has closed it, or said something that nobody had asked for
        return None

    def put(self, target: Target, connection: Connection) -> None:
        """Keep a connection whose last answer was read to its end."""
        if connection.sock is None:  # the answer said that it is the last one
            return
        with self._lock:
            self._kept.append(_Kept(target.origin, connection, time.monotonic() + KEPT_SECONDS))
            surplus, self._kept = self._kept[:-MOST_KEPT], self._kept[-MOST_KEPT:]
        self._close(surplus)

    def forget_all(self) -> None:
        """Close them all. In a forked child that ends only its own copies: nothing is said to the endpoints."""
        self._lock = threading.Lock()  # another thread of the parent may have held it
        kept, self._kept = self._kept, []
        self._close(kept)

    def _pop(self, origin: tuple[str, str, int], found: Sequence[Address]) -> Connection | None:
        now = time.monotonic()
        with self._lock:
            expired = [kept for kept in self._kept if kept.until <= now]
            self._kept = [kept for kept in self._kept if kept.until > now]
            good = (kept for kept in self._kept if kept.origin == origin and kept.connection.peer() in found)
            chosen = max(good, key=lambda kept: kept.until, default=None)
            if chosen is not None:
                self._kept.remove(chosen)
        self._close(expired)
        return chosen.connection if chosen else None

    def _close(self, kept: Sequence[_Kept]) -> None:
        for each in kept:
            each.connection.close()


idle = Idle()
os.register_at_fork(after_in_child=idle.forget_all)
