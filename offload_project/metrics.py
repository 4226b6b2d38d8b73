"""What Prometheus is told: the counters of this machine's processes, and how the work stands by the database.

One door a machine: `/metrics` of the web process has what its workers count, too, for both keep it in the same files.
Where no web process runs, `manage.py worker` opens a door of its own (OFFLOAD_METRICS_PORT). What the database tells is
the same at each door.
"""

import hmac
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from ipaddress import ip_address, ip_network
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connections
from django.db.models import Count, Max, Min, Q
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

from cases import database, leases, metrics
from cases.client_address import address_of
from cases.models import Heartbeat, InputRequest, RequestStatus, Role
from outreach import metrics as _of_outreach  # noqa: F401 (defines what is exported)
from outreach.models import Provider
from webhooks import metrics as _of_webhooks  # noqa: F401

logger = logging.getLogger(__name__)

PATH = "/metrics"
COUNTED_AT_MOST = 2_000  # due rows of a kind, so that a scrape stays quick when there is most to see

GAUGES = {
    "offload_database_up": "Whether the database has answered this scrape; where it has not, what follows is missing",
    "offload_due_rows": "Rows that are due and held by nobody, 2000 at most",
    "offload_oldest_due_age_seconds": "For how long the row has been due that waits longest to be taken",
    "offload_in_flight_rows": "Due rows that a worker holds, 2000 at most with those that wait",
    "offload_processes_alive": "Workers and clocks that have shown a sign of life within a minute",
    "offload_heartbeat_age_seconds": "Since the newest sign of life of any worker, of any clock",
    "offload_provider_open": "Whether a provider is left alone for now, its circuit breaker being open (1), or not (0)",
    "offload_pending_questions": "Questions that wait for people",
    "offload_oldest_question_age_seconds": "For how long the oldest of them has waited",
}


def page() -> bytes:
    """All figures in Prometheus' text format."""
    registry = CollectorRegistry()
    directory = Path(settings.OFFLOAD_METRICS_DIR)
    directory.mkdir(parents=True, exist_ok=True)
    metrics.show_noughts()
    MultiProcessCollector(registry, path=str(directory))  # type: ignore[no-untyped-call]
    registry.register(FromDatabase())
    return generate_latest(registry)


class FromDatabase:
    """How the work stands: a few queries by index at each scrape."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges; of a database that does not answer only that."""
        try:
            families = list(_look())
        except DatabaseError:
            logger.warning("the database does not answer a scrape", exc_info=True)
            yield gauge("offload_database_up", (), [((), 0)])
            return
        yield gauge("offload_database_up", (), [((), 1)])
        yield from families


def gauge(name: str, labels: Iterable[str], values: Iterable[tuple[Iterable[str], float]]) -> GaugeMetricFamily:
    """A gauge out of GAUGES, with these values by labels."""
    family = GaugeMetricFamily(name, GAUGES[name], labels=tuple(labels))
    for by, value in values:
        family.add_metric(tuple(by), value)
    return family


def _look() -> Iterator[GaugeMetricFamily]:
    now = database.now()
    kinds = {kind: _due_of(kind, now) for kind in leases.kinds()}
    yield gauge("offload_due_rows", ["kind"], [([kind], due) for kind, (due, _) in kinds.items()])
    yield gauge("offload_in_flight_rows", ["kind"], [([kind], held) for kind, (_, held) in kinds.items()])
    ages = [([kind], _age(leases.oldest_due(kind), now)) for kind in kinds]
    yield gauge("offload_oldest_due_age_seconds", ["kind"], ages)
    yield from _processes(now)
    left_alone = set(Provider.objects.left_alone().values_list("name", flat=True))
    names = Provider.objects.values_list("name", flat=True)
    yield gauge("offload_provider_open", ["provider"], [([name], float(name in left_alone)) for name in names])
    pending = InputRequest.objects.filter(status=RequestStatus.PENDING).order_by()
    asked = pending.aggregate(count=Count("pk"), oldest=Min("requested_at"))
    yield gauge("offload_pending_questions", (), [((), asked["count"])])
    yield gauge("offload_oldest_question_age_seconds", (), [((), _age(asked["oldest"], now))])


def _due_of(kind: str, now: datetime) -> tuple[int, int]:
    """How many rows wait to be taken, and how many are held; the oldest ones, which are taken first, are looked at."""
    rows = leases.kinds()[kind].model._default_manager.filter(due_at__lte=now).order_by("due_at")
    first = rows.values("due_at", "lease_until")[:COUNTED_AT_MOST]
    counted = first.aggregate(all=Count("due_at"), held=Count("due_at", filter=Q(lease_until__gt=now)))
    return counted["all"] - counted["held"], counted["held"]


def _processes(now: datetime) -> Iterator[GaugeMetricFamily]:
    alive = [([role.value], float(Heartbeat.objects.alive(role).count())) for role in Role]
    yield gauge("offload_processes_alive", ["role"], alive)
    newest = Heartbeat.objects.order_by().values_list("role").annotate(at=Max("finished_at"), busy=Max("busy_until"))
    beats = [([role], _age(max(at, min(busy or at, now)), now)) for role, at, busy in newest]
    yield gauge("offload_heartbeat_age_seconds", ["role"], beats)


def _age(at: datetime | None, now: datetime) -> float:
    return max(0.0, (now - at).total_seconds()) if at else 0.0


# --- The doors ------------------------------------------------------------------------------------


def is_allowed(address: str, authorization: str) -> bool:
    """Whether somebody from this address, or with this Authorization header, may read the figures."""
    token = settings.OFFLOAD_METRICS_TOKEN
    if token and hmac.compare_digest(authorization.encode(), f"Bearer {token}".encode()):
        return True
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in ip_network(cidr, strict=False) for cidr in settings.OFFLOAD_METRICS_CIDRS)


def answer(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: `/metrics` for those who may; for all others there is no such route.

    Before Django looks at the Host header, since Prometheus asks machines by their addresses.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.path_info != PATH or request.method != "GET" or not _may_read(request):
            return get_response(request)
        return HttpResponse(page(), content_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})

    return middleware


def _may_read(request: HttpRequest) -> bool:
    """Where a proxy forwards that nobody has told us of, everyone would come from its address: then only the token."""
    is_forwarded = "X-Forwarded-For" in request.headers or "Forwarded" in request.headers
    is_hidden = is_forwarded and not settings.OFFLOAD_BEHIND_PROXY
    return is_allowed("" if is_hidden else address_of(request), request.headers.get("Authorization", ""))


class _Quiet(WSGIRequestHandler):
    timeout = 10  # seconds that a reader may take over a line or an answer

    def log_message(self, format: str, *args: Any) -> None:
        """No line for each scrape."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


def serve() -> None:
    """Open the door of a machine without web process, in a thread, where OFFLOAD_METRICS_PORT says so."""
    if settings.OFFLOAD_METRICS_PORT:
        host, _, port = settings.OFFLOAD_METRICS_PORT.rpartition(":")
        try:
            server = make_server(host or "127.0.0.1", int(port), _answer, _Server, _Quiet)
        except OSError:
            logger.exception("no door for metrics: %s can't be opened", settings.OFFLOAD_METRICS_PORT)
            return
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


def _answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    allowed = is_allowed(environ.get("REMOTE_ADDR", ""), environ.get("HTTP_AUTHORIZATION", ""))
    if environ.get("PATH_INFO") != PATH or not allowed:
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"Not found.\n"]
    try:
        body = page()
    finally:
        connections.close_all()
    start_response("200 OK", [("Content-Type", CONTENT_TYPE_LATEST)])
    return [body]
