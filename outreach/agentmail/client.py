"""A thin client of AgentMail's HTTP API: the few calls that are needed, within a time limit, their answers validated.

Not the official SDK: that one repeats unkeyed POSTs by itself, does not encode ids in paths and takes answers as they
come. Our tests hold the stand-in against the SDK instead, and this client against the stand-in.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit

import requests
from django.conf import settings
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.exceptions import HTTPError

from outreach import retry_after
from outreach.providers import trouble

CONNECT_SECONDS = 5.0
CHUNK_BYTES = 64 * 1024
MAX_ANSWER_BYTES = 20_000_000  # of JSON: a page of a hundred messages holds no bodies, one message holds its own
PAGE_SIZE = 100
MAX_PAGES = 500

Fields = dict[str, Any]


class AgentMailError(Exception):
    """A call that brought nothing. `status` is None where no usable answer came, so that its effect is unknown; `code`
    is AgentMail's word for it, "" where the answer had none."""

    def __init__(
        self, reason: str, *, status: int | None = None, code: str = "", retry_after_seconds: float = 0.0
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.code = code
        self.retry_after_seconds = retry_after_seconds

    @property
    def may_pass(self) -> bool:
        """Whether the same call can succeed later without anybody doing anything about it."""
        return self.status is None or self.status >= 500 or self.status in {408, 409, 425, 429}

    @property
    def trouble(self) -> trouble.Trouble | None:
        """What it says about AgentMail itself; None: that it does well."""
        if self.status is None:
            return trouble.down("it gives no usable answer")
        return trouble.of_status(self.status, self.retry_after_seconds or None)


class TooLarge(AgentMailError):
    """What was to be downloaded is larger than we take."""


@dataclass(frozen=True)
class Sent:
    """What AgentMail says of a mail that it has taken. `message_id` is an RFC 5322 Message-ID with its brackets."""

    message_id: str
    thread_id: str

    @classmethod
    def of(cls, answer: Fields) -> Self:
        """Out of an answer or a listed message. Raises AgentMailError where an id is missing or can't be one."""
        message_id = word(answer, "message_id", 900)
        bracketed = message_id if message_id.startswith("<") else f"<{message_id}>"
        return cls(bracketed, word(answer, "thread_id", 300))


@dataclass(frozen=True)
class Page:
    """One page of a list; `next_token` is "" on the last."""

    items: tuple[Fields, ...]
    next_token: str


class AgentMail:
    """The API, for as long as `seconds` from now: all calls of one instance share that time."""

    def __init__(self, *, seconds: float) -> None:
        self.base = settings.AGENTMAIL_BASE_URL.rstrip("/")
        self.key = settings.AGENTMAIL_API_KEY
        self.deadline = time.monotonic() + seconds

    # --- Mail ---

    def send(self, inbox_id: str, body: bytes, *, idempotency_key: str) -> Sent:
        """Send a new mail, which opens a thread; `body` is the request's JSON."""
        return self._post_mail(_path("inboxes", inbox_id, "messages", "send"), body, idempotency_key)

    def reply(self, inbox_id: str, message_id: str, body: bytes, *, idempotency_key: str) -> Sent:
        """Send a mail into the thread of that message."""
        return self._post_mail(_path("inboxes", inbox_id, "messages", message_id, "reply"), body, idempotency_key)

    def _post_mail(self, path: str, body: bytes, idempotency_key: str) -> Sent:
        return Sent.of(self._call("POST", path, body=body, headers={"Idempotency-Key": idempotency_key}))

    def message(self, inbox_id: str, message_id: str) -> Fields:
        """A message with its bodies."""
        return self._call("GET", _path("inboxes", inbox_id, "messages", message_id))

    def messages(self, inbox_id: str, **query: Any) -> Iterator[Fields]:
        """The inbox's messages, without bodies, page after page; the query's lists and times are encoded here."""
        return self._pages(_path("inboxes", inbox_id, "messages"), "messages", **query)

    def raw(self, inbox_id: str, message_id: str, *, limit: int) -> bytes:
        """The mail as it came, RFC 5322. Raises TooLarge beyond `limit` bytes."""
        answer = self._call("GET", _path("inboxes", inbox_id, "messages", message_id, "raw"))
        return self.download(_url(answer), limit=limit)

    def attachment(self, inbox_id: str, message_id: str, attachment_id: str, *, limit: int) -> bytes:
        """A file's bytes. Raises TooLarge beyond `limit` bytes."""
        path = _path("inboxes", inbox_id, "messages", message_id, "attachments", attachment_id)
        return self.download(_url(self._call("GET", path)), limit=limit)

    # --- Inboxes and webhooks ---

    def inbox(self, inbox_id: str) -> Fields:
        return self._call("GET", _path("inboxes", inbox_id))

    def create_inbox(self, **fields: str) -> Fields:
        """A new inbox, or with the same `client_id` the one that there is."""
        return self._call("POST", _path("inboxes"), body=_json(fields))

    def webhooks(self) -> Iterator[Fields]:
        return self._pages(_path("webhooks"), "webhooks")

    def create_webhook(self, **fields: Any) -> Fields:
        """A new webhook, or with the same `client_id` the one that there is."""
        return self._call("POST", _path("webhooks"), body=_json(fields))

    def change_webhook(self, webhook_id: str, **fields: Any) -> Fields:
        return self._call("PATCH", _path("webhooks", webhook_id), body=_json(fields))

    # --- HTTP ---

    def download(self, url: str, *, limit: int) -> bytes:
        """The bytes at a signed link, which needs no key and gets none. Raises TooLarge beyond `limit` bytes."""
        if urlsplit(url).scheme not in {"http", "https"}:
            raise AgentMailError(f"a link that is not http or https: {url[:100]}")
        with self._exchange("GET", url) as response:
            content = self._read(response, limit)
            if response.status_code != 200:
                raise _refusal("a download", response, content)
        return content

    def _pages(self, path: str, name: str, **query: Any) -> Iterator[Fields]:
        token = ""
        for _ in range(MAX_PAGES):
            page = self._page(path, name, {**query, "limit": PAGE_SIZE, "page_token": token or None})
            yield from page.items
            if not page.next_token:
                return
            if page.next_token == token:
                raise AgentMailError("a page whose next page is itself")
            token = page.next_token
        raise AgentMailError(f"more than {MAX_PAGES} pages")

    def _page(self, path: str, name: str, query: Mapping[str, Any]) -> Page:
        answer = self._call("GET", f"{path}?{_query(query)}")
        items, token = answer.get(name), answer.get("next_page_token") or ""
        if not isinstance(items, list) or not isinstance(token, str):
            raise AgentMailError(f"an answer without a list of {name}")
        return Page(tuple(item for item in items if isinstance(item, dict)), token)

    def _call(
        self, method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Fields:
        own = {"Authorization": f"Bearer {self.key}", "Accept": "application/json", **(headers or {})}
        if body is not None:
            own["Content-Type"] = "application/json"
        with self._exchange(method, f"{self.base}{path}", body=body, headers=own) as response:
            content = self._read(response, MAX_ANSWER_BYTES)
            if not 200 <= response.status_code < 300:
                raise _refusal(f"{method} {path.partition('?')[0]}", response, content)
        answer = _object(content)
        if answer is None:
            raise AgentMailError(f"{method} {path.partition('?')[0]}: status {response.status_code} without an answer")
        return answer

    @contextmanager
    def _exchange(
        self, method: str, url: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[requests.Response]:
        """One request and its answer, of which nothing is read yet. Redirects are not followed. Raises AgentMailError
        for whatever happens on the way."""
        try:
            request = requests.Request(
                method, url, headers={**(headers or {}), "Accept-Encoding": "identity"}, data=body
            )
            response = _adapter().send(
                request.prepare(),
                stream=True,
                timeout=(min(CONNECT_SECONDS, self._remaining()), self._longest_wait()),
                proxies=get_environ_proxies(url),
            )
            try:
                yield response
            finally:
                response.close()
        except (requests.RequestException, HTTPError, HTTPException, OSError, ValueError) as error:
            raise AgentMailError(f"{method} {urlsplit(url).path}: {type(error).__name__}: {error}"[:500]) from error

    def _read(self, response: requests.Response, limit: int) -> bytes:
        """The whole body, within the time that is left. A body that ends early is no answer."""
        content = bytearray()
        while chunk := response.raw.read1(CHUNK_BYTES):
            content += chunk
            self._remaining()
            if len(content) > limit:
                raise TooLarge(f"more than {limit} bytes", status=413, code="too_large")
        announced = response.headers.get("Content-Length", "")
        if announced.isdecimal() and len(content) < int(announced):
            raise AgentMailError(f"{len(content)} of {announced} bytes came")
        return bytes(content)

    def _longest_wait(self) -> float:
        return min(self._remaining(), float(settings.OFFLOAD_TRANSPORT_SECONDS))

    def _remaining(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no time is left")
        return left


# --- The connections: one pool a process ---

_adapters: dict[int, HTTPAdapter] = {}


def _adapter() -> HTTPAdapter:
    """This process's pool. An adapter alone is safe for threads; a session, with its cookies, is not. A forked child
    makes one of its own: two processes on one connection would get each other's answers."""
    pid = os.getpid()
    if pid not in _adapters:
        _adapters[pid] = HTTPAdapter(pool_connections=4, pool_maxsize=settings.OFFLOAD_CONCURRENCY)
    return _adapters[pid]


# --- What goes out ---


def _path(*parts: str) -> str:
    """Every part percent-encoded: a Message-ID may hold `/`, `?` and `#`."""
    return "/v0/" + "/".join(quote(part, safe="") for part in parts)


def _query(query: Mapping[str, Any]) -> str:
    return urlencode({name: _parameter(value) for name, value in query.items() if value is not None})


def _parameter(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps(value) if isinstance(value, list) else str(value)


def _json(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields).encode()


# --- What comes back ---


def _object(content: bytes) -> Fields | None:
    """The JSON object in the answer; None where there is something else."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def word(answer: Fields, name: str, limit: int) -> str:
    """An id out of an answer: one word. Raises AgentMailError for anything else."""
    value = answer.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= limit or not value.isprintable() or " " in value:
        raise AgentMailError(f"an answer without a usable {name}")
    return value


def _url(answer: Fields) -> str:
    value = answer.get("download_url")
    if not isinstance(value, str):
        raise AgentMailError("an answer without download_url")
    return value


def _refusal(call: str, response: requests.Response, content: bytes) -> AgentMailError:
    """What AgentMail says is wrong, with what it says would help (docs.agentmail.to, Errors)."""
    body = _object(content) or {}
    code = body.get("code") if isinstance(body.get("code"), str) else ""
    errors = body.get("errors") if isinstance(body.get("errors"), list) else []
    said = [body.get("message"), *(error.get("message") for error in errors or [] if isinstance(error, dict))]
    words = "; ".join(word for word in [*said, body.get("fix")] if isinstance(word, str) and word)
    return AgentMailError(
        f"{call}: {response.status_code} {code or ''} {words}".replace("\x00", "").strip()[:500],
        status=response.status_code,
        code=code or "",
        retry_after_seconds=retry_after.seconds_of(response.headers) or 0.0,
    )
