"""What is known of each request: an id that goes along with it, a line in the log, and how long it took."""

import logging
import re
import time
import uuid
from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from cases import log_context
from cases.metrics import SHORT, Counter, Histogram

HEADER = "X-Request-Id"
SANE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
PROBES = ("/healthz", "/readyz", "/metrics")  # asked every few seconds: no line each time
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

REQUESTS = Counter("offload_http_requests_total", "Requests by route and answer", ("method", "route", "status"))
DURATIONS = Histogram("offload_http_request_seconds", "How long requests took", ("area",), buckets=SHORT)

logger = logging.getLogger(__name__)


def follow(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: the caller's X-Request-Id, or one of ours, is on each line that is logged, and on the answer."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        began_at, request_id = time.monotonic(), _id_of(request)
        with log_context.bound(request_id=request_id):
            response = get_response(request)
            response.headers[HEADER] = request_id
            _note(request, response, time.monotonic() - began_at)
        return response

    return middleware


def _id_of(request: HttpRequest) -> str:
    """The one that was sent, if it is one word of harmless characters; else a new one."""
    sent = request.headers.get(HEADER, "")
    return sent if SANE.fullmatch(sent) else uuid.uuid4().hex


def _note(request: HttpRequest, response: HttpResponseBase, seconds: float) -> None:
    route, method = route_of(request), request.method if request.method in METHODS else "other"
    REQUESTS.add(method=str(method), route=route, status=str(response.status_code))
    DURATIONS.note(seconds, area=area_of(route))
    if not request.path_info.startswith(PROBES):
        facts = {"method": method, "route": route, "status": response.status_code, "ms": round(seconds * 1000)}
        logger.info("%s %s %d", method, route, response.status_code, extra={"facts": facts})


def route_of(request: HttpRequest | None) -> str:
    """The route as urls.py has it, never the address that was asked for; all of the staff's pages are one."""
    if request is None:
        return "none"
    match = getattr(request, "resolver_match", None)
    if match is None:
        return "static" if request.path_info.startswith("/static/") else "none"
    route = str(match.route)
    return "admin" if route.startswith("admin") else f"/{route}"


def area_of(route: str) -> str:
    """`staff`, `static`, `probes`, `none` (no such route), or `api` for all else: few, since each is a histogram."""
    if route in {"static", "none"}:
        return route
    return "staff" if route in {"admin", "/"} else "probes" if route in PROBES else "api"
