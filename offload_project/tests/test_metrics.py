"""/metrics: who may read it, what it counts, and that it never harms what it counts."""

import json
import multiprocessing
import os
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from wsgiref.simple_server import make_server

import pytest
from django.db import OperationalError
from django.test import Client
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import DjangoAssertNumQueries, Settings

from cases import database, metrics, work
from cases.factories import CaseFactory, ClientFactory, InputRequestFactory
from cases.metrics import Slot
from cases.models import Case, Heartbeat
from cases.testing import run_due
from offload_project import metrics as door
from offload_project.tests.processes import Service
from outreach import budget
from outreach.agents.base import ModelCall
from outreach.factories import FORM, Played
from outreach.transports import TRANSPORTS, TransportError
from scripts import demo

Figures = dict[tuple[str, tuple[tuple[str, str], ...]], float]
TOKEN = "a-token-of-the-scraper"


def read(text: str) -> Figures:
    """Each sample by its name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def figures() -> Figures:
    return read(door.page().decode())


def of(figures: Figures, name: str, **labels: str) -> float:
    return figures.get((name, tuple(sorted(labels.items()))), 0.0)


class Gained:
    """What has been added to a counter since this began."""

    def __init__(self) -> None:
        self.before = figures()

    def __call__(self, name: str, **labels: str) -> float:
        return of(figures(), name, **labels) - of(self.before, name, **labels)


@pytest.fixture
def gained(db: None) -> Gained:
    return Gained()


# --- Who may read ---


@pytest.mark.django_db
def test_this_machine_reads_and_others_find_no_such_route(client: Client) -> None:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain; version=")
    assert answer["Cache-Control"] == "no-store"
    assert b"offload_database_up 1.0" in answer.content
    other = client.get("/metrics", REMOTE_ADDR="203.0.113.9")
    unknown = client.get("/no-such-route", REMOTE_ADDR="203.0.113.9")
    assert (other.status_code, other.content) == (404, unknown.content)
    assert client.post("/metrics").status_code == 404


@pytest.mark.django_db
def test_a_token_opens_from_anywhere(client: Client, settings: Settings) -> None:
    def status(authorization: str) -> int:
        return client.get("/metrics", REMOTE_ADDR="203.0.113.9", HTTP_AUTHORIZATION=authorization).status_code

    assert status("Bearer ") == 404  # no token is set, so none is right
    settings.OFFLOAD_METRICS_TOKEN = TOKEN
    assert status(f"Bearer {TOKEN}") == 200
    assert [status(wrong) for wrong in ("", TOKEN, f"Bearer {TOKEN}x", "Bearer ", "Bearer \u00fc")] == [404] * 5


@pytest.mark.django_db
def test_networks_open_and_a_host_of_ones_own_name_is_no_hindrance(client: Client, settings: Settings) -> None:
    settings.OFFLOAD_METRICS_CIDRS = ["10.1.0.0/16"]
    assert client.get("/metrics", REMOTE_ADDR="10.1.2.3", HTTP_HOST="10.1.9.9:8000").status_code == 200
    assert client.get("/metrics", REMOTE_ADDR="10.2.2.3").status_code == 404
    assert client.get("/metrics", REMOTE_ADDR="").status_code == 404


@pytest.mark.django_db
def test_behind_a_proxy_the_proxys_own_address_opens_nothing(client: Client, settings: Settings) -> None:
    assert client.get("/metrics", HTTP_X_FORWARDED_FOR="127.0.0.1").status_code == 404  # nobody told us of a proxy
    settings.OFFLOAD_BEHIND_PROXY = True
    assert client.get("/metrics", HTTP_X_FORWARDED_FOR="127.0.0.1, 203.0.113.9").status_code == 404
    assert client.get("/metrics").status_code == 200  # the scraper on this machine, past the proxy


# --- What the database tells ---


@pytest.mark.engine
@pytest.mark.django_db
def test_depth_age_and_what_is_in_flight_are_read_from_the_rows() -> None:
    now = database.now()
    client = ClientFactory()
    for minutes in (1, 2, 3):
        CaseFactory(client=client, created_at=now - timedelta(minutes=minutes))
    (held,) = work.claim("case", 1)  # the one of three minutes
    seen = figures()
    assert of(seen, "offload_due_rows", kind="case") == 2
    assert of(seen, "offload_in_flight_rows", kind="case") == 1
    assert 120 <= of(seen, "offload_oldest_due_age_seconds", kind="case") < 130
    assert of(seen, "offload_due_rows", kind="delivery") == 0
    assert ("offload_due_rows", (("kind", "delivery"),)) in seen  # nought is said, not left out
    assert held.kind.name == "case"


@pytest.mark.django_db
def test_heartbeats_and_questions_are_told(client: Client) -> None:
    now = database.now()
    Heartbeat.objects.create(name="a:1", started_at=now, finished_at=now - timedelta(seconds=20))
    Heartbeat.objects.create(name="a:2", role="clock", started_at=now, finished_at=now - timedelta(seconds=90))
    InputRequestFactory(requested_at=now - timedelta(hours=2))
    seen = figures()
    assert of(seen, "offload_processes_alive", role="worker") == 1
    assert of(seen, "offload_processes_alive", role="clock") == 0
    assert 20 <= of(seen, "offload_heartbeat_age_seconds", role="worker") < 30
    assert 90 <= of(seen, "offload_heartbeat_age_seconds", role="clock") < 100
    assert of(seen, "offload_pending_questions") == 1
    assert 7200 <= of(seen, "offload_oldest_question_age_seconds") < 7300


@pytest.mark.django_db
def test_a_scrape_asks_a_bounded_number_of_questions(django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    CaseFactory.create_batch(20)
    with django_assert_max_num_queries(16):
        figures()


@pytest.mark.django_db
def test_of_a_database_that_does_not_answer_only_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics.EVENTS.add(type="case.created")

    def refuse(*args: Any) -> Any:
        raise OperationalError("no route to 10.1.2.3")

    monkeypatch.setattr(door, "_look", refuse)
    seen = figures()
    assert of(seen, "offload_database_up") == 0
    assert ("offload_due_rows", (("kind", "case"),)) not in seen
    assert of(seen, "offload_events_total", type="case.created") >= 1  # what was counted is told all the same


# --- What is counted ---


@pytest.mark.django_db(transaction=True)
def test_a_played_case_is_counted(gained: Gained) -> None:
    played = Played.begin(result_schema=FORM)
    played.reply("Invoice number: 4711\nTotal: 12.50")
    assert played.reload().status == "COMPLETED"
    assert gained("offload_events_total", type="case.completed") == 1
    assert gained("offload_send_seconds_count", transport="sandbox", outcome="sent") == 1
    assert gained("offload_step_seconds_count", kind="payload", outcome="done") == 1
    assert gained("offload_step_seconds_count", kind="case", outcome="done") >= 3
    assert gained("offload_step_seconds_count", kind="case", outcome="failed") == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("permanent", "outcome", "step"), [(True, "refused", "done"), (False, "failed", "failed")])
def test_mails_that_are_not_taken_are_counted_as_such(
    gained: Gained, monkeypatch: pytest.MonkeyPatch, permanent: bool, outcome: str, step: str
) -> None:
    class Refusing:
        def send(self, mail: Any) -> Any:
            raise TransportError("no", permanent=permanent)

    monkeypatch.setitem(TRANSPORTS, "sandbox", Refusing)
    CaseFactory()
    run_due("case", failing=TransportError)
    assert gained("offload_send_seconds_count", transport="sandbox", outcome=outcome) == 1
    assert gained("offload_send_seconds_count", transport="sandbox", outcome="sent") == 0
    assert gained("offload_step_seconds_count", kind="case", outcome=step) >= 1


@pytest.mark.django_db(transaction=True)
def test_model_calls_are_counted_with_their_cost(gained: Gained, settings: Settings) -> None:
    settings.OFFLOAD_MODEL_PRICES = {"m": [2.0, 10.0]}
    case = CaseFactory()
    (held,) = work.claim("case", 1)
    call: dict[str, Any] = {
        "purpose": "check",
        "model": "m",
        "prompt_version": "1",
        "prompt_tokens": 1000,
        "completion_tokens": 100,
    }
    calls = [ModelCall(**call, duration_ms=1500, fault=""), ModelCall(**call, duration_ms=500, fault="no JSON")]
    budget.write_down(held, iter(calls))
    assert Case.objects.get(pk=case.pk).model_calls == 2
    assert gained("offload_model_call_seconds_count", purpose="check", outcome="usable") == 1
    assert gained("offload_model_call_seconds_count", purpose="check", outcome="faulty") == 1
    assert gained("offload_model_call_seconds_sum", purpose="check", outcome="usable") == pytest.approx(1.5)
    assert gained("offload_model_tokens_total", purpose="check", direction="read") == 2000
    assert gained("offload_model_tokens_total", purpose="check", direction="written") == 200
    assert gained("offload_model_cost_total", purpose="check") == pytest.approx(0.006)


@pytest.mark.django_db
def test_requests_are_counted_by_route_and_never_by_what_was_asked_for(client: Client, gained: Gained) -> None:
    client.get("/cases/no-such-case-canary")
    client.get("/canary-of-a-stranger")
    client.generic("CANARY", "/healthz")
    client.get("/admin/canary/")
    route = "/cases/<str:case_id>"
    assert gained("offload_http_requests_total", method="GET", route=route, status="401") == 1
    assert gained("offload_http_requests_total", method="GET", route="none", status="404") == 1
    assert gained("offload_http_requests_total", method="other", route="/healthz", status="405") == 1
    assert gained("offload_http_request_seconds_count", area="api") == 1
    assert "canary" not in door.page().decode().lower()


@pytest.mark.django_db
def test_what_alerts_look_for_is_told_before_it_has_happened() -> None:
    seen = figures()
    for state in ("delivered", "exhausted", "failed", "parked"):
        assert ("offload_webhook_deliveries_total", (("state", state),)) in seen


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_is_not_counted(gained: Gained) -> None:
    def fail() -> None:
        with database.transaction():
            metrics.EVENTS.add_after_commit(type="case.failed")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert gained("offload_events_total", type="case.failed") == 0


# --- Processes ---


def test_a_dead_processs_files_are_gone_on_with(tmp_path: Path, settings: Settings) -> None:
    script = (
        "import django; django.setup()\n"
        "from cases import metrics\n"
        "metrics.EVENTS.add(type='case.created')\n"
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "OFFLOAD_VAR_DIR": str(tmp_path), "DATABASE_URL": f"sqlite:///{tmp_path}/x.sqlite3"}
    for _ in range(3):
        process = subprocess.run([sys.executable, "-c", script], env=environment, check=False, timeout=60)
        assert process.returncode == -9
    (directory,) = (tmp_path / "metrics").iterdir()
    assert sorted(path.name for path in directory.iterdir()) == ["0.lock", "counter_0.db", "histogram_0.db"]
    settings.OFFLOAD_METRICS_DIR = directory
    assert of(read_counters(directory), "offload_events_total", type="case.created") == 3


def read_counters(directory: Path) -> Figures:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(directory))  # type: ignore[no-untyped-call]
    return read(generate_latest(registry).decode())


def test_living_processes_have_slots_of_their_own(tmp_path: Path, settings: Settings) -> None:
    settings.OFFLOAD_METRICS_DIR = tmp_path
    first, second = Slot(), Slot()
    assert (first(), first(), second()) == (0, 0, 1)
    context = multiprocessing.get_context("fork")
    numbers = context.SimpleQueue()
    child = context.Process(target=lambda: numbers.put(first()))
    child.start()
    child.join(20)
    assert numbers.get() == 2  # not its parent's, which goes on with it
    assert first() == 0
    assert Slot()() == 2  # the child's, which is free again


def test_counting_never_fails_what_it_counts(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    settings.OFFLOAD_METRICS_DIR = tmp_path / "file" / "x"
    monkeypatch.setattr(metrics, "_is_started", False)
    monkeypatch.setattr(metrics, "_is_broken", False)
    monkeypatch.setattr(metrics, "_slot", Slot())
    metrics.EVENTS.add(type="case.created")
    metrics.STEPS.note(1.0, kind="case", outcome="done")
    assert [record.message for record in caplog.records] == [
        f"nothing more is counted in this process: {settings.OFFLOAD_METRICS_DIR}"
    ]


@pytest.mark.django_db(transaction=True)
def test_a_worker_has_a_door_of_its_own(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []

    def open_door(*args: Any) -> Any:
        opened.append(make_server(*args))
        return opened[0]

    monkeypatch.setattr(door, "make_server", open_door)
    settings.OFFLOAD_METRICS_PORT = "127.0.0.1:0"
    door.serve()
    (server,) = opened
    address = f"http://127.0.0.1:{server.server_port}"
    try:
        with urllib.request.urlopen(f"{address}/metrics", timeout=10) as answer:
            assert of(read(answer.read().decode()), "offload_database_up") == 1
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{address}/", timeout=10)
        refused.value.close()
        settings.OFFLOAD_METRICS_CIDRS = []
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{address}/metrics", timeout=10)
        refused.value.close()
        assert refused.value.code == 404
    finally:
        server.shutdown()
        server.server_close()


def test_no_door_is_opened_where_no_port_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "make_server", lambda *args: pytest.fail("opened"))
    door.serve()


# --- In real processes ---


@pytest.mark.long
def test_one_door_tells_of_web_and_workers_and_the_log_is_json(on_sqlite: Service) -> None:
    on_sqlite.environment |= {
        "DJANGO_SETTINGS_MODULE": "offload_project.settings",
        "OFFLOAD_LOG_FORMAT": "json",
        "OFFLOAD_METRICS_PORT": str(demo.free_port()),
    }
    client = json.loads(on_sqlite.manage("create_client", "Acme", "--test", "--json"))
    base = on_sqlite.start_web()
    on_sqlite.start("clock")
    on_sqlite.start("worker")
    with closing(demo.Api(base, client["apiKey"])) as api:
        case_id = api.call("POST", "/cases", demo.CASE, expect=201)["caseId"]
        demo.wait_for("the case to run", lambda: api.call("GET", f"/cases/{case_id}")["status"] == "RUNNING")

    def door_of(address: str) -> Figures:
        with urllib.request.urlopen(f"{address}/metrics", timeout=20) as answer:
            return read(answer.read().decode())

    for address in (base, f"http://127.0.0.1:{on_sqlite.environment['OFFLOAD_METRICS_PORT']}"):
        seen = door_of(address)
        assert of(seen, "offload_http_requests_total", method="POST", route="/cases", status="201") == 1  # web's
        assert of(seen, "offload_send_seconds_count", transport="sandbox", outcome="sent") == 1  # a worker's
        assert of(seen, "offload_events_total", type="case.created") == 1
        assert of(seen, "offload_processes_alive", role="worker") == 1
        assert of(seen, "offload_processes_alive", role="clock") == 1
    lines = [json.loads(line) for line in on_sqlite.log("worker").splitlines()]
    assert [line["message"] for line in lines if line["logger"] == "django-q"] == []  # else one for each wake-up
    (sent,) = [line for line in lines if line["message"] == f"case {case_id}: message.sent by system"]
    assert (sent["case_id"], sent["client_id"], sent["step"]) == (case_id, client["clientId"], "send_queued")
    assert client["apiKey"] not in on_sqlite.log("web") + on_sqlite.log("worker")
