"""A receiver of webhooks in a process of its own: HTTP/1.1 over sockets that stay open, and as little work as can be.

It listens on as many ports of 127.0.0.1 as there are endpoints. The path of a request says how it is answered: `/well`
with 200, at once or after `?ms=…`; `/also` likewise; `/fails` with 500; `/hangs` never. `python -m benchmarks.receiver
COUNT` prints the ports as one line of JSON; a line on its standard input is answered by one with the requests to
`/well` since the last one: how many there were, and how many `webhook-id`s among them.
"""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok"
NO = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nno"


# --- The other process ----------------------------------------------------------------------------

_ids: list[bytes] = []


class _Connection(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            head = self.received[:end]
            length = int(_value(head, b"content-length"))
            if len(self.received) < end + 4 + length:
                return
            self.received = self.received[end + 4 + length :]
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        path, _, query = head.split(b" ", 2)[1].partition(b"?ms=")
        if path == b"/well":
            _ids.append(_value(head, b"webhook-id"))
        if path in (b"/well", b"/also"):
            if query:
                asyncio.get_running_loop().call_later(int(query) / 1000, self.transport.write, OK)
            else:
                self.transport.write(OK)
        elif path == b"/fails":
            self.transport.write(NO)


def _value(head: bytes, name: bytes) -> bytes:
    lowered = head.lower()
    start = lowered.index(b"\r\n" + name + b":") + len(name) + 3
    end = lowered.find(b"\r\n", start)
    return head[start : end if end >= 0 else None].strip()


async def _serve(count: int) -> None:
    loop = asyncio.get_running_loop()
    listeners = [socket.create_server(("127.0.0.1", 0), backlog=256) for _ in range(count)]
    for listener in listeners:
        await loop.create_server(_Connection, sock=listener)
    print(json.dumps([listener.getsockname()[1] for listener in listeners]), flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps([len(_ids), len(set(_ids))]), flush=True)
        _ids.clear()


# --- Its handle -----------------------------------------------------------------------------------


class Receiver:
    """The running process: `ports`, one for each endpoint."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin
        assert process.stdout
        self._questions, self._answers = process.stdin, process.stdout
        self.ports: list[int] = json.loads(self._answers.readline())

    def taken(self) -> tuple[int, int]:
        """How many requests to `/well` have come since this was last asked, and of how many different events."""
        self._questions.write("\n")
        self._questions.flush()
        requests, events = json.loads(self._answers.readline())
        return requests, events


@contextmanager
def receiver(endpoints: int) -> Iterator[Receiver]:
    """Runs for as long as the block."""
    command = [sys.executable, "-m", "benchmarks.receiver", str(endpoints)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Receiver(process)
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
