"""A model that takes three seconds, in a process of its own, and that counts how many requests it has at once.

`python -m benchmarks.slow_model SECONDS` prints its port and serves Chat Completions until it is killed. It is one
asyncio loop, so that it takes as little as can be of the machine that it shares with those who ask. Its answer is what
no agent acts upon (`WAIT`). `GET /counts` gives {"now", "peak", "requests"}; `GET /anew` too, and begins a new peak.
"""

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.ground import ROOT

VERDICT = json.dumps({"decision": "WAIT", "reason": "Nothing yet."})
COMPLETION = {
    "id": "chatcmpl-slow",
    "object": "chat.completion",
    "created": 0,
    "model": "slow",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": VERDICT}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
}


@dataclass
class Counts:
    """Of requests: those that wait for an answer, the most that did so at once, and all."""

    now: int = 0
    peak: int = 0
    requests: int = 0

    def begin(self) -> None:
        self.now, self.requests = self.now + 1, self.requests + 1
        self.peak = max(self.peak, self.now)

    def tell(self, is_anew: bool) -> dict[str, int]:
        told = {"now": self.now, "peak": self.peak, "requests": self.requests}
        self.peak = self.now if is_anew else self.peak
        return told


@dataclass
class Server:
    """Serves connections; each may bring any number of requests, one after the other."""

    seconds: float
    counts: Counts

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await reader.readexactly(_length(head))
                is_completion = head.startswith(b"POST")
                writer.write(
                    _answer(await self._completion() if is_completion else self.counts.tell(b"anew" in head[:20]))
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        finally:
            writer.close()

    async def _completion(self) -> dict[str, object]:
        self.counts.begin()
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.counts.now -= 1
        return {**COMPLETION, "created": int(time.time())}


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


def _answer(document: object) -> bytes:
    body = json.dumps(document).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


async def _serve(seconds: float) -> None:
    server = await asyncio.start_server(Server(seconds, Counts()).connection, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@dataclass(frozen=True)
class SlowModel:
    """The server as seen from the process that has started it."""

    port: int

    @property
    def url(self) -> str:
        """What OPENAI_BASE_URL has to be."""
        return f"http://127.0.0.1:{self.port}/v1"

    def counts(self) -> Counts:
        """What it has counted; the peak since this was last asked."""
        return self._get("anew")

    def glance(self) -> Counts:
        """The same, and the peak goes on."""
        return self._get("counts")

    def _get(self, path: str) -> Counts:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=30) as answer:
            return Counts(**json.load(answer))


@contextmanager
def slow_model(seconds: float) -> Iterator[SlowModel]:
    """Run one for as long as the block."""
    command = [sys.executable, "-m", "benchmarks.slow_model", str(seconds)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            yield SlowModel(int(running.stdout.readline()))
        finally:
            running.kill()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1])))
