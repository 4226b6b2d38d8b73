"""A model, or whoever takes our mail, is busy or away: all leave it alone together, and come back one by one.

Over HTTP and SMTP, against servers that count who comes.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.db import connection, models
from pytest_django import Settings

from cases import database, services
from cases.factories import CaseFactory, reschedule
from cases.models import Case, InputRequest, Message, MessageStatus, Status
from cases.testing import run_due
from cases.tests.engine import in_threads, wait_for
from cases.work import StepWaits
from evaluation.model_server import ModelServer, Request, Step, failing, says
from outreach.agents import openai as agent_module
from outreach.agents.base import AgentError
from outreach.agents.openai import OpenAIAgent
from outreach.models import Provider
from outreach.providers import gate as gates
from outreach.providers import rules
from outreach.providers.gate import ProviderWaits, SharedGate
from outreach.providers.trouble import busy, down
from outreach.standins.agentmail.http import Fault
from outreach.tests.agentmail import agentmail, post_case
from outreach.tests.mail_servers import scripted_server
from outreach.tests.memory import Outbox
from outreach.transports import TransportError

pytestmark = [pytest.mark.django_db, pytest.mark.engine]

WAITS_OR_FAILS = (StepWaits, AgentError, TransportError)
FAST = 30.0  # calls a second with which a ramp begins, in tests that are not about it


@pytest.fixture(autouse=True)
def nothing_seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What other tests have seen of providers is not ours; tries within a step follow each other at once."""
    gates.forget()
    monkeypatch.setattr(agent_module, "LONGEST_PAUSE", 0.01)
    monkeypatch.setattr(agent_module, "_dialects", {})
    yield
    gates.forget()


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "START", FAST)


@contextmanager
def model(settings: Settings, script: Callable[[Request], Step]) -> Iterator[ModelServer]:
    settings.OFFLOAD_MODEL, settings.OPENAI_API_KEY = "model-1", "sk-test"
    with ModelServer(script) as server:
        settings.OPENAI_BASE_URL = server.url
        yield server


def good(request: Request) -> Step:
    """What a model says that does well."""
    if request.purpose == "check":
        return says({"allowed": True, "faults": []})
    return says({"subject": "Delivery", "body": "Hello Ann,\n\nwhen will it come?\n\nKind regards"})


def cases_to_write(count: int) -> list[Case]:
    return [
        CaseFactory(transport="memory", counterparty={"address": f"ann{number}@supplier.example", "name": "Ann"})
        for number in range(count)
    ]


def time_passes(**length: float) -> None:
    """For providers, and for cases that wait."""
    by = timedelta(**length)
    moments = [field.name for field in Provider._meta.fields if isinstance(field, models.DateTimeField)]
    for row in Provider.objects.all():
        Provider.objects.filter(pk=row.pk).update(**{name: (at := getattr(row, name)) and at - by for name in moments})
    for case in Case.objects.all():
        times = {name: (at := getattr(case, name)) and at - by for name in ("retry_at", "failing_since")}
        Case.objects.filter(pk=case.pk).update(**times)
        reschedule(case)
    gates.forget()


def the_provider() -> Provider:
    found: Provider = Provider.objects.get()
    return found


# --- A model --------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["Retry-After", "retry-after-ms"])
def test_what_one_case_is_told_all_keep_to(
    header: str, outbox: Outbox, settings: Settings, fast: None, caplog: pytest.LogCaptureFixture
) -> None:
    is_busy = True
    told = {"Retry-After": "120"} if header == "Retry-After" else {"retry-after-ms": "120000"}

    def script(request: Request) -> Step:
        return Step(status=429, headers=told, body=b"{}") if is_busy else good(request)

    with model(settings, script) as server:
        cases = cases_to_write(3)
        began_at = database.now()
        run_due("case", failing=StepWaits)
        assert len(server.requests) == 1
        for case in cases:
            case.refresh_from_db()
            assert (case.status, case.failures, case.lease_token) == (Status.CREATED, 0, None)
            assert (
                case.last_error
                == f"{the_provider().name} takes fewer calls for now (it answers 429), and others come first"
            )
            assert case.retry_at is not None
            assert 120 <= (case.retry_at - began_at).total_seconds() < 130
        assert the_provider().name == f"model:127.0.0.1:{server._server.server_port}"
        time_passes(seconds=100)
        run_due("case", failing=StepWaits)
        assert len(server.requests) == 1
        is_busy = False
        time_passes(seconds=30)
        run_due("case")
        assert len(server.requests) == 1 + 2 * 3  # each is written and looked at
    assert sorted(mail.to_address for mail in outbox.sent) == [f"ann{number}@supplier.example" for number in range(3)]
    assert not [record for record in caplog.records if record.message.endswith("the step failed")]
    assert set(Case.objects.values_list("last_error", "failing_since")) == {("", None)}


def away(request: Request) -> Step:
    return failing(500, "overloaded")


def test_a_model_that_is_away_is_tried_by_one_call_at_a_time(outbox: Outbox, settings: Settings, fast: None) -> None:
    answers = away
    with model(settings, lambda request: answers(request)) as server:
        cases_to_write(12)
        run_due("case", failing=WAITS_OR_FAILS)
        assert len(server.requests) == rules.DOWN_AFTER
        assert Case.objects.filter(failures=0, retry_at__isnull=False).count() == 12
        for pause in (30, 60, 120):  # doubled each time
            time_passes(seconds=pause / 2)
            run_due("case", failing=WAITS_OR_FAILS)
            before = len(server.requests)
            time_passes(seconds=pause / 2 + 20)
            run_due("case", failing=WAITS_OR_FAILS)
            assert len(server.requests) == before + 1
        assert the_provider().pauses == 4
        answers = good
        for _ in range(10):
            time_passes(minutes=16)
            run_due("case", failing=StepWaits)
        assert len(server.requests) == rules.DOWN_AFTER + 3 + 2 * 12
    assert len(outbox.sent) == len({mail.case_id for mail in outbox.sent}) == 12
    assert not the_provider().is_down


def test_without_a_gate_each_case_would_try_by_itself(
    outbox: Outbox, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same outage, so that it is seen what the gate spares."""
    monkeypatch.setattr(gates, "of_model", lambda url: gates.OpenGate())
    settings.OFFLOAD_STEP_SECONDS = 0.8
    with model(settings, away) as server:
        cases_to_write(12)
        run_due("case", failing=WAITS_OR_FAILS)
        assert len(server.requests) > 12
    assert Case.objects.filter(failures=1).count() == 12
    assert not Provider.objects.exists()


def test_a_key_that_is_not_accepted_is_everybodys_trouble(outbox: Outbox, settings: Settings) -> None:
    with model(settings, lambda _: failing(401)) as server:
        cases_to_write(9)
        run_due("case", failing=WAITS_OR_FAILS)
        assert len(server.requests) == rules.DOWN_AFTER
    assert Case.objects.filter(failures=1).count() == rules.DOWN_AFTER
    assert "it answers 401" in Case.objects.filter(failures=0)[0].last_error


def test_a_request_that_the_model_does_not_like_is_nobodys_trouble(settings: Settings) -> None:
    too_long = failing(400, "maximum context length is 4096", code="context_length_exceeded")
    with model(settings, lambda _: too_long):
        cases_to_write(7)
        run_due("case")
    assert not Provider.objects.exists()
    assert Case.objects.filter(status=Status.INPUT_NEEDED).count() == 7


def test_a_step_that_had_too_little_time_says_nothing_about_the_model(settings: Settings) -> None:
    settings.OFFLOAD_MODEL_SECONDS = 60.0
    with model(settings, lambda _: Step("{}", wait_seconds=3)) as server:
        name = f"model:127.0.0.1:{server._server.server_port}"
        conversation = OpenAIAgent(0.8, SharedGate(name, 60))
        with pytest.raises(AgentError):
            conversation._draft("outreach", _view(), ())
    assert not Provider.objects.exists()


def _view() -> Any:
    from outreach.tests.test_openai_agent import view

    return view()


def test_a_day_of_waiting_reaches_a_human_by_name(outbox: Outbox, settings: Settings) -> None:
    with model(settings, away):
        [case] = cases_to_write(1)
        run_due("case", failing=WAITS_OR_FAILS)
        for _ in range(2):
            time_passes(hours=11, minutes=59)
            run_due("case", failing=WAITS_OR_FAILS)
            assert not InputRequest.objects.exists()
        time_passes(minutes=3)
        run_due("case", failing=WAITS_OR_FAILS)
    asked = InputRequest.objects.get()
    assert asked.is_operational
    assert asked.reason.startswith("It has waited for a day: model:127.0.0.1:")
    assert asked.reason.endswith("it answers 500")
    case.refresh_from_db()
    assert (case.status, outbox.sent) == (Status.INPUT_NEEDED, [])


# --- AgentMail ------------------------------------------------------------------------------------


def test_agentmail_that_is_busy_is_not_asked_by_the_next_case(settings: Settings) -> None:
    with agentmail(settings) as server:
        server.faults.append(Fault("before", status=429, code="rate_limit_exceeded", retry_after="900"))
        first, second = post_case(), post_case()
        errors = run_due(failing=WAITS_OR_FAILS)
        assert [type(error) for error in errors] == [TransportError, ProviderWaits]
        assert (server.faults, server.requests) == ([], [])  # one has come, whom the fault met, and nobody after
        waiting = Message.objects.get(send_started_at=None)
        assert waiting.status == MessageStatus.QUEUED
        services.cancel_case(waiting.case_id, actor="staff olaf")
        waiting.refresh_from_db()
        assert waiting.status == MessageStatus.DROPPED  # not UNKNOWN: nobody has tried to send it
        time_passes(seconds=901)
        run_due()
        assert len(server.sent()) == 1
    assert {first.pk, second.pk} >= {waiting.case_id}


def test_agentmail_that_is_away_costs_no_case_more_than_its_wait(settings: Settings, fast: None) -> None:
    with agentmail(settings) as server:
        server.faults += [Fault("before", is_reset=True)] * 20
        for _ in range(14):
            post_case()
        settings.OFFLOAD_MAX_MAILS_PER_RECIPIENT_HOUR = 100
        run_due(failing=WAITS_OR_FAILS)
        assert 20 - len(server.faults) == rules.DOWN_AFTER
        assert server.requests == []
        assert Message.objects.filter(send_started_at=None).count() == 14 - rules.DOWN_AFTER
        server.faults.clear()
        for _ in range(8):
            time_passes(minutes=16)
            run_due(failing=StepWaits)
        assert len(server.sent()) == 14
        assert len(server.requests) == 14
    assert Case.objects.filter(status=Status.RUNNING, attempt_count=1).count() == 14


# --- A mail server, and a provider's API ----------------------------------------------------------


def smtp_cases(settings: Settings, port: int, count: int) -> None:
    settings.EMAIL_BACKEND = "outreach.transports.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", port, 5
    settings.OFFLOAD_MAX_MAILS_PER_RECIPIENT_HOUR = 100
    for number in range(count):
        CaseFactory(transport="email", counterparty={"address": f"ann{number}@supplier.example", "name": "Ann"})


def test_a_mail_server_that_is_away(settings: Settings, fast: None) -> None:
    with scripted_server(BANNER="421 4.3.2 Closing for a while") as (port, script):
        smtp_cases(settings, port, 12)
        run_due("case", failing=WAITS_OR_FAILS)
        assert script.connections == rules.DOWN_AFTER
        time_passes(seconds=31)
        run_due("case", failing=WAITS_OR_FAILS)
        assert script.connections == rules.DOWN_AFTER + 1
        assert the_provider().name == f"smtp:127.0.0.1:{port}"
        assert the_provider().last_error == "it answers 421"
        script.answers.pop("BANNER")
        for _ in range(8):
            time_passes(minutes=16)
            run_due("case", failing=StepWaits)
        assert len(script.mails) == 12
        assert script.connections == rules.DOWN_AFTER + 1 + 12
    assert Case.objects.filter(status=Status.RUNNING, attempt_count=1).count() == 12


def test_a_recipient_that_is_put_off_says_nothing_about_the_server(settings: Settings) -> None:
    with scripted_server(RCPT="450 4.7.1 Greylisted, come again") as (port, script):
        smtp_cases(settings, port, 8)
        run_due("case", failing=TransportError)
        assert script.connections == 8
    assert not Provider.objects.exists()


class _Api(BaseHTTPRequestHandler):
    """A provider's API of which it is said what it answers."""

    asked: list[dict[str, Any]]
    answers: list[tuple[int, dict[str, str], Any]]

    def do_POST(self) -> None:
        self.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        status, headers, answer = self.answers.pop(0) if self.answers else (200, {}, self._taken())
        body = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _taken(self) -> dict[str, Any]:
        return {"ErrorCode": 0, "Message": "OK", "MessageID": f"id-{len(self.asked)}", "To": self.asked[-1]["To"]}

    def log_message(self, format: str, *args: Any) -> None:
        """Silence."""


@contextmanager
def postmark(settings: Settings, *answers: tuple[int, dict[str, str], Any]) -> Iterator[type[_Api]]:
    api = type("Api", (_Api,), {"asked": [], "answers": list(answers)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), api)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    settings.EMAIL_BACKEND = "anymail.backends.postmark.EmailBackend"
    url = f"http://127.0.0.1:{server.server_port}/"
    settings.ANYMAIL = {"POSTMARK_SERVER_TOKEN": "token", "POSTMARK_API_URL": url}
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_the_pause_that_a_providers_api_asks_for(form: str, settings: Settings) -> None:
    until = database.now() + timedelta(seconds=600)
    header = "600" if form == "seconds" else until.strftime("%a, %d %b %Y %H:%M:%S GMT")
    busy_answer = (429, {"Retry-After": header}, {"ErrorCode": 429, "Message": "Too many"})
    with postmark(settings, busy_answer) as api:
        first, second = (
            CaseFactory(transport="email", counterparty={"address": f"{name}@supplier.example", "name": "Ann"})
            for name in ("ann", "bob")
        )
        errors = run_due("case", failing=WAITS_OR_FAILS)
        assert sorted(type(error).__name__ for error in errors) == ["ProviderWaits", "TransportError"]
        assert len(api.asked) == 1
        for case in (first, second):
            case.refresh_from_db()
            assert case.retry_at is not None
            assert 590 <= (case.retry_at - database.now()).total_seconds() <= 605
        assert the_provider().name == "anymail:postmark"
        time_passes(seconds=606)
        run_due("case")
        assert len(api.asked) == 3
    assert Case.objects.filter(status=Status.RUNNING, attempt_count=1).count() == 2


# --- Several processes ----------------------------------------------------------------------------


def in_processes(count: int, act: Callable[[], int]) -> list[int]:
    """What `act` returned in each of so many processes at once, below 256."""
    children = []
    for _ in range(count):
        child = os.fork()
        if child == 0:
            code = 255
            try:
                database.forget_inherited_connections()
                gates.forget()
                code = act()
            finally:
                os._exit(code)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


GO, PROBE, WAIT = 1, 2, 3


def tries() -> int:
    """How a call is let in, which then takes a while."""
    try:
        entry = SharedGate("somebody", 60).enter(0)
    except ProviderWaits:
        return WAIT
    return PROBE if getattr(entry, "is_probe", False) else GO


def report(*troubles: Any, name: str = "somebody") -> None:
    for trouble in troubles:
        SharedGate(name, 60).enter(0).report(trouble)


@pytest.mark.django_db(transaction=True)
def test_one_process_of_many_finds_out_whether_it_is_back() -> None:
    report(*[down("it is away")] * rules.DOWN_AFTER)
    assert in_processes(3, tries) == [WAIT] * 3
    time_passes(seconds=31)
    assert sorted(in_processes(4, tries)) == [PROBE, WAIT, WAIT, WAIT]
    time_passes(seconds=61)  # who tried it has died with it
    assert sorted(in_processes(2, tries)) == [PROBE, WAIT]


@pytest.mark.django_db(transaction=True)
def test_what_one_process_is_told_another_hears_of_within_a_second() -> None:
    report(None)
    assert tries() == GO

    def is_told() -> int:
        report(busy("it answers 429", 300.0))
        return 0

    assert in_processes(1, is_told) == [0]
    wait_for(lambda: tries() == WAIT, 5)


@pytest.mark.django_db(transaction=True)
def test_of_many_calls_that_begin_together_one_looks_and_none_keeps_a_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[str] = []
    real = gates._look

    def look(name: str) -> Any:
        looks.append(name)
        time.sleep(0.2)
        return real(name)

    monkeypatch.setattr(gates, "_look", look)

    def enter(_: int) -> bool:
        connection.close()
        SharedGate("somebody", 60).enter(0)
        return connection.connection is None

    assert in_threads(6, enter) == [True] * 6
    assert looks == ["somebody"]
    gates._seen["somebody"] = replace(gates._seen["somebody"], at=0.0)
    assert in_threads(6, enter) == [True] * 6
    assert len(looks) == 2


def test_who_waits_for_a_turn_hears_of_a_pause_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    report(busy("it answers 429", 0.0))
    assert tries() == GO
    waited: list[float] = []

    def another_is_told(seconds: float) -> None:
        waited.append(seconds)
        other = gates.SharedEntry("somebody", is_probe=False, began_at=time.monotonic())
        other.report(busy("it answers 429", 300.0))

    monkeypatch.setattr(time, "sleep", another_is_told)
    with pytest.raises(ProviderWaits) as waits:
        SharedGate("somebody", 60).enter(60)
    assert len(waited) == 1
    assert 290 < waits.value.retry_after_seconds <= 300


@pytest.mark.django_db(transaction=True)
def test_all_processes_together_keep_to_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "DOUBLES_EVERY_SECONDS", 1000.0)  # one call a second for as long as the test
    report(busy("it answers 429", 0.0))

    def asks_often() -> int:
        return sum(tries() == GO for _ in range(20))

    began_at = datetime.now()
    got_in = sum(in_processes(3, asks_often))
    seconds = (datetime.now() - began_at).total_seconds()
    assert 1 <= got_in <= seconds + 1


# --- The rules ------------------------------------------------------------------------------------


def a_row(**fields: Any) -> Provider:
    row = Provider(name="somebody", **fields)
    row.now = datetime.fromisoformat("2026-11-26T12:00:00+00:00")
    return row


def later(row: Provider, seconds: float) -> Provider:
    row.now += timedelta(seconds=seconds)
    return row


def told_busy(row: Provider, retry_after: float | None = None, *, age: float = 0.0, is_probe: bool = False) -> None:
    trouble = busy("it answers 429", retry_after)
    rules.note_trouble(row, trouble, began_at=row.now - timedelta(seconds=age), is_probe=is_probe)


def told_down(row: Provider, *, is_probe: bool = False) -> None:
    rules.note_trouble(row, down("it answers 500"), began_at=row.now, is_probe=is_probe)


def turn(row: Provider, patience: float = 0.0) -> rules.Turn:
    return rules.admit(row, patience_seconds=patience, call_seconds=60)


def test_the_rate_doubles_until_there_is_no_limit() -> None:
    row = a_row()
    told_busy(row, 10)
    start = row.now + timedelta(seconds=10)
    rates = [rules.rate_at(row, start + timedelta(seconds=seconds)) for seconds in (0, 2, 4, 12, 100)]
    assert rates == [1, 2, 4, 64, 64]
    assert turn(later(row, 23)).is_ours
    assert (row.ramp_from, row.next_at, row.paused_until) == (None, None, None)


def test_what_was_too_much_is_halved_once_and_then_grows_slowly() -> None:
    row = a_row()
    told_busy(row, 0)
    told_busy(later(row, 6), 0)  # at eight calls a second
    assert (row.ramp_rate, row.ramp_knee) == (4, 4)
    for _ in range(30):  # of calls that were under way
        told_busy(later(row, 0.01), 0, age=1)
    assert rules.rate_at(row, row.now) == pytest.approx(4, abs=0.1)
    assert rules.rate_at(row, row.now + timedelta(seconds=20)) == pytest.approx(6, abs=0.1)
    for _ in range(30):
        told_busy(later(row, 1), 0)
    assert row.ramp_rate == rules.FLOOR


def test_of_two_pauses_the_longer_one_counts() -> None:
    row = a_row()
    told_busy(row, 60)
    told_busy(row, 5, age=1)
    assert turn(row).in_seconds == 60
    told_busy(row, 90, age=1)
    assert turn(row, patience=80).in_seconds == 90


def test_the_end_of_a_pause_is_no_stampede() -> None:
    row = a_row()
    for _ in range(rules.DOWN_AFTER):
        told_down(row)
    waits = [turn(row).in_seconds for _ in range(2000)]
    assert waits == sorted(waits)
    assert [sum(30 <= wait < 30 + seconds for wait in waits) for seconds in (1, 3, 10)] == [1, 5, 88]
    assert waits[-1] < 80  # two thousand within less than a minute all the same


def test_a_row_comes_again_within_a_quarter_of_an_hour() -> None:
    row = a_row()
    told_busy(row, 24 * 3600)
    assert all(450 <= turn(row).in_seconds <= 900 for _ in range(50))


def test_who_is_let_through_is_not_followed_by_others() -> None:
    row = a_row()
    for _ in range(rules.DOWN_AFTER - 1):
        told_down(row)
    assert turn(row) == rules.Turn(0, is_ours=True)
    told_down(row)
    assert not turn(row, patience=30).is_ours
    assert turn(later(row, 30)) == rules.Turn(0, is_ours=True, is_probe=True)
    assert turn(row).in_seconds == 60
    rules.note_answer(row, is_probe=False)  # of a call from before
    assert row.is_down
    rules.note_answer(row, is_probe=True)
    assert (row.is_down, row.failures, row.paused_until) == (False, 0, None)
    assert [turn(row, patience=2).in_seconds for _ in range(2)] == [0, 1]


def test_a_service_that_says_it_is_busy_is_there() -> None:
    row = a_row(is_down=True, failures=7, pauses=2)
    assert turn(row).is_probe
    told_busy(row, 20, is_probe=True)
    assert (row.is_down, row.failures) == (False, 0)
    assert turn(row).in_seconds == 20


def test_the_pauses_of_an_outage_grow_to_five_minutes() -> None:
    row, pauses = a_row(failures=rules.DOWN_AFTER - 1), []
    row.failed_at = row.now
    told_down(row)
    for _ in range(6):
        assert row.paused_until is not None
        pauses.append((row.paused_until - row.now).total_seconds())
        assert turn(later(row, pauses[-1])).is_probe
        told_down(row, is_probe=True)
    assert pauses == [30, 60, 120, 240, 300, 300]


def test_failures_that_are_far_apart_do_not_add_up() -> None:
    row = a_row()
    for _ in range(20):
        told_down(later(row, 601))
    assert (row.is_down, row.failures) == (False, 1)


def test_an_answer_in_between_forgives_what_failed_before(django_assert_num_queries: Any) -> None:
    for _ in range(3):
        report(*[down("it is away")] * (rules.DOWN_AFTER - 1), None)
    assert (the_provider().is_down, the_provider().failures) == (False, 0)
    with django_assert_num_queries(0):  # it was looked at a moment ago, and does well
        report(None)


def test_a_database_that_does_not_answer_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise database.UNAVAILABLE[0]("gone")

    report(busy("it answers 429", 300.0))
    monkeypatch.setattr(Provider.objects, "locked", fails)
    entry = SharedGate("somebody", 60).enter(0)
    entry.report(down("it is away"))
    assert the_provider().failures == 0
