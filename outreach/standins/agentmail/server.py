"""The stand-in itself: AgentMail's API over HTTP, and what is to go wrong with it."""

import base64
import json
import threading
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from outreach.standins.agentmail.http import Fault, Handler, Server
from outreach.standins.agentmail.messages import Fields
from outreach.standins.agentmail.post_office import PostOffice
from outreach.standins.agentmail.refusals import Refused, invalid, not_found
from outreach.standins.agentmail.routes import ROUTES, match

MAX_REQUEST_BYTES = 6_000_000


class AgentMailServer(PostOffice):
    """Serves on a port of this machine while the block lasts."""

    def __init__(self, *, key: str = "am_stand_in", port: int = 0) -> None:
        super().__init__()
        self.key = key
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str, bytes]] = []  # method, path with query, body
        self._server = Server(("127.0.0.1", port), Handler)
        self._server.stand_in = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        """Status and body (JSON, or bytes for a download) of one request. Raises Refused."""
        with self._lock:
            self.requests.append((method, target, body))
        url = urlsplit(target)
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        if method == "GET" and parts[0] == "files":
            return 200, self._download(parts[1:], url.query)
        self._authorize(headers)
        query = {name: values[-1] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        for route_method, pattern, act in ROUTES:
            found = match(pattern, parts)
            if route_method == method and found is not None:
                if len(body) > MAX_REQUEST_BYTES:
                    raise Refused(413, "payload_too_large", "Request body is larger than 6 MB")
                return 200, act(self, found, query, _object_in(body), headers)
        raise not_found(f"Route {method} {url.path}")

    def take_fault(self, method: str, target: str) -> Fault | None:
        """The next fault that is meant for such a request, which it uses up."""
        with self._lock:
            for fault in self.faults:
                if fault.method == method and fault.matches in target:
                    self.faults.remove(fault)
                    return fault
        return None

    def _authorize(self, headers: dict[str, str]) -> None:
        given = headers.get("authorization", "")
        if not given:
            raise Refused(401, "missing_authorization", "Missing Authorization header")
        if not given.startswith("Bearer "):
            raise Refused(401, "invalid_token_type", "Use the Bearer scheme")
        if given != f"Bearer {self.key}":
            refused = Refused(403, "forbidden", "Forbidden")
            refused.body = {"message": "Forbidden"}  # from the gateway: no code
            raise refused

    def _download(self, parts: list[str], query: str) -> bytes:
        if query != "signature=x":
            raise Refused(403, "forbidden", "Forbidden")
        inbox_id, message_id, name = json.loads(base64.urlsafe_b64decode(parts[0]))
        stored = self.message(inbox_id, message_id)
        return stored.raw if name == "raw" else stored.files[name]


def _object_in(body: bytes) -> Fields:
    if not body:
        return {}
    try:
        value = json.loads(body)
    except ValueError as error:
        raise invalid("", "The body is not JSON") from error
    if not isinstance(value, dict):
        raise invalid("", "The body must be an object")
    return value
