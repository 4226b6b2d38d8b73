"""A stand-in for a model: a real HTTP server that speaks Chat Completions and says what a script tells it to say.

    with ModelServer([says({"subject": "Hello", "body": "…"}), failing(429, retry_after=1)]) as server:
        ...  # OPENAI_BASE_URL=server.url

A script is either a list of steps, one for each request in the order of their arrival, or a function that is given the
request and answers with a step; it is called in the thread of its request. Every request is kept in `server.requests`.
"""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

FORMATS = frozenset({"json_schema", "json_object", "text"})


@dataclass(frozen=True)
class Step:
    """What comes back for one request. Without `body` it is a completion made of the other fields."""

    content: str | None = None
    status: int = 200
    finish_reason: str = "stop"
    refusal: str | None = None
    tool_calls: tuple[dict[str, Any], ...] = ()
    usage: tuple[int, int] | None = (100, 20)  # prompt and completion tokens; None: the server does not say
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None  # sent as it is
    wait_seconds: float = 0.0  # before anything is sent
    drip_seconds: float = 0.0  # between the bytes of the body
    is_reset: bool = False  # the connection ends without an answer


def says(answer: Any, *, wait_seconds: float = 0.0, usage: tuple[int, int] | None = (100, 20)) -> Step:
    """A usable completion: the text as it is, or anything else as JSON."""
    content = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
    return Step(content, wait_seconds=wait_seconds, usage=usage)


def failing(status: int, message: str = "no", *, retry_after: float | str | None = None, code: str = "") -> Step:
    """An error as OpenAI words it, with `Retry-After` if given (seconds, or an HTTP date)."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Step(status=status, headers=headers, body=_error(message, code))


def cut(content: str = '{"subject": "Hel') -> Step:
    """An answer that ended because it reached the token limit."""
    return Step(content, finish_reason="length")


def refusing(reason: str = "I can't help with that.") -> Step:
    """A refusal in the field that is meant for it."""
    return Step(refusal=reason)


def calling_tool(name: str = "send_mail", arguments: str = "{}") -> Step:
    """Tool calls instead of text, though none were offered."""
    function = {"name": name, "arguments": arguments}
    return Step(finish_reason="tool_calls", tool_calls=({"id": "call_1", "type": "function", "function": function},))


def silent() -> Step:
    """A completion whose content is null."""
    return Step()


def garbage(body: bytes = b"<html>502 Bad Gateway</html>") -> Step:
    """Status 200, and then nothing that is a completion."""
    return Step(body=body)


def resetting() -> Step:
    """The connection is reset after the request has been read."""
    return Step(is_reset=True)


@dataclass(frozen=True)
class Request:
    """One request as it came in."""

    path: str
    headers: dict[str, str]  # lower-case names
    body: dict[str, Any]

    @property
    def model(self) -> str:
        return str(self.body.get("model"))

    @property
    def format(self) -> str:
        """`json_schema`, `json_object`, or `text`."""
        wanted = self.body.get("response_format") or {}
        return str(wanted.get("type", "text"))

    @property
    def messages(self) -> list[dict[str, Any]]:
        return list(self.body.get("messages", []))

    @property
    def system(self) -> str:
        return "\n".join(_text(message) for message in self.messages if message["role"] == "system")

    @property
    def user(self) -> str:
        """All that was said to the model as user, repair rounds included."""
        return "\n".join(_text(message) for message in self.messages if message["role"] == "user")

    @property
    def data(self) -> dict[str, Any]:
        """The JSON document with which the first user message begins; `task` in it names the purpose."""
        first = next(_text(message) for message in self.messages if message["role"] == "user")
        document, _ = json.JSONDecoder().raw_decode(first)
        return dict(document)

    @property
    def purpose(self) -> str:
        """`outreach`, `follow_up`, `reply`, `evaluation` or `check`, whichever response format is in use."""
        return str(self.data.get("task"))

    @property
    def is_repair(self) -> bool:
        """Whether an earlier answer in this same conversation was not usable."""
        return any(message["role"] == "assistant" for message in self.messages)


Script = Callable[[Request], Step] | Iterable[Step]


class ModelServer:
    """Serves on a free port of this machine while the block lasts.

    `formats` are the response formats it knows; one that it does not know is answered by 400. `requests` holds every
    request, refused ones too, and `most_at_once` how many were answered at the same time.
    """

    def __init__(self, script: Script, *, formats: Iterable[str] = FORMATS) -> None:
        self.script = script if callable(script) else _in_turn(script)
        self.formats = frozenset(formats) | {"text"}
        self.requests: list[Request] = []
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.stand_in = self

    @property
    def url(self) -> str:
        """What OPENAI_BASE_URL has to be."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, request: Request) -> Step:
        """The next step of the script, once the request has been written down."""
        with self._lock:
            self.requests.append(request)
        if request.path != "/v1/chat/completions":
            return failing(404, f"there is no {request.path}")
        if request.format not in self.formats:
            return failing(400, f"response_format type {request.format} is not supported by this server")
        return self.script(request)

    def begin(self) -> None:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)

    def end(self) -> None:
        with self._lock:
            self.at_once -= 1


def _in_turn(steps: Iterable[Step]) -> Callable[[Request], Step]:
    remaining, lock = iter(steps), threading.Lock()

    def take(request: Request) -> Step:
        with lock:
            return next(remaining, failing(501, "the script has no step left"))

    return take


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a slow step must not hold up the end of a test
    request_queue_size = 256
    stand_in: ModelServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that went away are part of the play: nothing is printed."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        stand_in = self.server.stand_in
        stand_in.begin()
        try:
            request = Request(self.path, {name.lower(): value for name, value in self.headers.items()}, _object(body))
            step = stand_in.answer(request)
            time.sleep(step.wait_seconds)
        finally:
            stand_in.end()
        self._send(step, request)

    def _send(self, step: Step, request: Request) -> None:
        if step.is_reset:
            self.close_connection = True
            # Linger 0: the peer gets a reset instead of an orderly end.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            self.connection.close()
            return
        body = _completion(step, request) if step.body is None else step.body
        self.send_response(step.status)
        for name, value in {"Content-Type": "application/json", **step.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for part in _parts(body, step.drip_seconds):
            self.wfile.write(part)

    def log_message(self, format: str, *args: Any) -> None:
        """Silence: the requests are kept, not printed."""


def _parts(body: bytes, drip_seconds: float) -> Iterator[bytes]:
    if not drip_seconds:
        yield body
        return
    for index in range(len(body)):
        yield body[index : index + 1]
        time.sleep(drip_seconds)


def _completion(step: Step, request: Request) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": step.content, "refusal": step.refusal}
    if step.tool_calls:
        message["tool_calls"] = list(step.tool_calls)
    completion: dict[str, Any] = {
        "id": "chatcmpl-stand-in",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": request.model,
        "choices": [{"index": 0, "message": message, "finish_reason": step.finish_reason, "logprobs": None}],
    }
    if step.usage:
        prompt, completed = step.usage
        completion["usage"] = {
            "prompt_tokens": prompt,
            "completion_tokens": completed,
            "total_tokens": prompt + completed,
        }
    return json.dumps(completion).encode()


def _error(message: str, code: str) -> bytes:
    error = {"message": message, "type": "stand_in", "param": None, "code": code or None}
    return json.dumps({"error": error}).encode()


def _object(body: bytes) -> dict[str, Any]:
    value = json.loads(body)
    if not isinstance(value, dict):
        raise ValueError("a request's body is a JSON object")
    return value


def _text(message: dict[str, Any]) -> str:
    """A message's text; pictures are left out."""
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(part.get("text", "") for part in content if part.get("type") == "text")
    return content or ""
