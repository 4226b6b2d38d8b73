"""The stand-in's HTTP: requests in, answers out, and what goes wrong on the way."""

import json
import socket
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

from outreach.standins.agentmail.refusals import Refused


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request: `before` it takes effect, or `after`, when only its answer is lost."""

    when: str  # "before" or "after"
    status: int = 0  # answered; 0: none
    is_reset: bool = False  # the connection ends without an answer
    wait_seconds: float = 0.0  # before whatever follows
    retry_after: str = ""
    body: bytes | None = None  # sent as it is; with status 200: an answer that is none
    code: str = "internal_error"
    matches: str = "/messages/"  # a part of the path of requests that it is for; others pass by
    method: str = "POST"


class Api(Protocol):
    """Who answers."""

    def take_fault(self, method: str, target: str) -> Fault | None:
        """The next fault that is meant for such a request, which it uses up."""

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        """Status and body (JSON, or bytes for a download) of one request. Raises Refused."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
    stand_in: Api

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that went away are part of the play: nothing is printed."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def _serve(self) -> None:
        stand_in = self.server.stand_in
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = stand_in.take_fault(self.command, self.path)
        if fault and fault.when == "before":
            self._fail(fault)
            return
        try:
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, answer = stand_in.answer(self.command, self.path, headers, body)
        except Refused as refused:
            status, answer = refused.status, refused.body
        if fault:
            self._fail(fault)
        else:
            self._send(status, answer if isinstance(answer, bytes) else json.dumps(answer).encode())

    do_GET = do_POST = do_PATCH = do_DELETE = _serve

    def _fail(self, fault: Fault) -> None:
        time.sleep(fault.wait_seconds)
        if fault.is_reset:
            self.close_connection = True
            # Linger 0: the peer gets a reset instead of an orderly end.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            self.connection.close()
            return
        error = {"name": "Error", "code": fault.code, "message": "as told"}
        self._send(fault.status, json.dumps(error).encode() if fault.body is None else fault.body, fault.retry_after)

    def _send(self, status: int, body: bytes, retry_after: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Silence: the requests are kept, not printed."""
