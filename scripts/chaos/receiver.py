"""The client's endpoint for webhooks: checks each signature, keeps what it was told and in which order."""

import hashlib
import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from scripts.chaos.outside import Outage

HANG_SECONDS = 4.0


@dataclass(frozen=True)
class Told:
    """One event as it was taken: answered with 204. `is_signed`: by the client's secret, at about this time."""

    event_id: str
    event_type: str
    case_id: str
    is_signed: bool
    digest: str  # SHA-256 of the body
    input_request_id: str = ""


class Receiver:
    """In a process of its own."""

    def __init__(self) -> None:
        self.outage = Outage()
        self.secret = ""
        self.taken: list[Told] = []
        self.lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status = receiver.take(body, dict(self.headers.items()))
                if status:
                    self.send_response(status)
                    self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        class Server(ThreadingHTTPServer):
            request_queue_size = 128

            def handle_error(self, *_: Any) -> None:
                """Workers that are killed go away: nothing is printed."""

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/offload"

    def know(self, secret: str) -> None:
        self.secret = secret

    def fail(self, how: str, seconds: float) -> None:
        self.outage.begin(how, seconds)

    def since(self, index: int) -> list[Told]:
        """What it was told after the first so many, in the order of its coming."""
        with self.lock:
            return self.taken[index:]

    def take(self, body: bytes, headers: dict[str, str]) -> int:
        """The status to answer with; 0: none at all."""
        down = self.outage.now
        if down == "hang":
            time.sleep(HANG_SECONDS)
        if down and down != "lost":
            return {"busy": 503, "limited": 429, "hang": 503}.get(down, 0)
        event = json.loads(body)
        told = Told(
            event_id=event["event_id"],
            event_type=event["event_type"],
            case_id=event["data"]["caseId"],
            is_signed=self._is_signed(body, headers),
            digest=hashlib.sha256(body).hexdigest(),
            input_request_id=event["data"].get("inputRequestId", ""),
        )
        with self.lock:
            self.taken.append(told)
        return 0 if down else 204

    def _is_signed(self, body: bytes, headers: dict[str, str]) -> bool:
        try:
            Webhook(self.secret).verify(body, headers)
        except WebhookVerificationError:
            return False
        return True
