"""Endpoints that behave as no HTTP library would let them, on a socket of their own."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

Answer = Callable[[socket.socket, threading.Event], None]


@dataclass
class Receiver:
    """Where it listens, and the raw requests that it has got."""

    port: int
    requests: list[bytes] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)  # by SNI, where TLS is spoken

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"


@contextmanager
def receiver(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Listen on loopback; each connection's request is read and then handed to `answer`, until the test is over."""
    listener = socket.create_server(("127.0.0.1", 0))
    found = Receiver(listener.getsockname()[1])
    if tls is not None:
        tls.sni_callback = lambda _, name, __: found.names.append(name)
    over, threads = threading.Event(), []

    def serve(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            spoken = tls.wrap_socket(connection, server_side=True) if tls else connection
            with spoken:
                found.requests.append(read_request(spoken))
                answer(spoken, over)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connection.settimeout(10)
                threads.append(threading.Thread(target=serve, args=(connection,)))
                threads[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield found
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in (acceptor, *threads):
            thread.join(10)


def read_request(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536) or b"\r\n\r\n"
    head, _, body = received.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length and (more := connection.recv(65536)):
        body += more
    return head + b"\r\n\r\n" + body


def says(raw: bytes) -> Answer:
    """Answers these bytes and closes."""
    return lambda connection, over: connection.sendall(raw)


def drips(raw: bytes, seconds: float = 0.05) -> Answer:
    """One byte at a time for far longer than anybody should wait; after the last one come more of the same."""

    def answer(connection: socket.socket, over: threading.Event) -> None:
        for position in range(round(10 / seconds)):
            if over.wait(seconds):
                return
            connection.sendall(raw[position : position + 1] or b"x")

    return answer


def hangs(connection: socket.socket, over: threading.Event) -> None:
    """Takes the request and never says a word."""
    over.wait(10)


def floods(head: bytes, total: int) -> Answer:
    """A head, and `total` bytes after it."""

    def answer(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(head)
        for _ in range(total // 65536):
            connection.sendall(b"x" * 65536)

    return answer


def keeps_open(*raws: bytes, seen: list[bytes] | None = None) -> Answer:
    """Answers the requests of one connection with these, then closes it; all but the first request go to `seen`."""

    def answer(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(raws[0])
        for raw in raws[1:]:
            request = read_request(connection)
            if not request.startswith(b"POST"):
                return
            if seen is not None:
                seen.append(request)
            connection.sendall(raw)

    return answer
