"""The log: lines that machines read, about which request and case, with nothing in them that is somebody's own."""

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError
from django.test import Client as Browser
from pytest_django import Settings
from pytest_httpserver import HTTPServer

from cases import log_context, pump, work
from cases.factories import ApiKeyFactory, CaseFactory
from cases.models import Case
from cases.testing import run_due
from offload_project import logs
from offload_project.logs import JsonFormatter, TextFormatter
from outreach.factories import FORM, Played
from outreach.transports import TRANSPORTS
from webhooks import signing

CANARY = "Kanarienvogel"  # in everything that people write
ADDRESS = f"{CANARY}.ann@supplier.example"
MAIL = f"Subject: {CANARY}\r\n\r\nDear {CANARY}"


class Log:
    """All that is logged, as it would be written."""

    def __init__(self) -> None:
        self.stream = StringIO()

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    def of(self, start: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["message"].startswith(start)]


@pytest.fixture
def log() -> Iterator[Log]:
    """Down to DEBUG, but for the loggers that settings keep quiet."""
    kept = Log()
    handler = logging.StreamHandler(kept.stream)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(lambda record: not record.name.startswith(("werkzeug", "factory")))  # of the tests' own machinery
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield kept
    root.removeHandler(handler)
    root.setLevel(level)


def fresh_secrets() -> None:
    logs._secrets.cache_clear()


@pytest.fixture(autouse=True)
def secrets_of_this_test() -> Iterator[None]:
    fresh_secrets()
    yield
    fresh_secrets()


# --- A whole case ---


@pytest.fixture
def key() -> Any:
    return ApiKeyFactory(is_test=True)


def post_case(key: Any, hook: str = "", **headers: Any) -> Any:
    case = {
        "channel": "EMAIL",
        "goal": {"objective": f"Get the invoice of {CANARY}.", "knowledge": {"order": CANARY}},
        "counterparty": {"address": ADDRESS, "name": f"{CANARY} Ann"},
        "senderPersona": {"name": f"{CANARY} Bob"},
        "constraints": [f"Never say {CANARY}."],
        "metadata": {"tenant": CANARY},
        "clientReferenceId": CANARY,
        "resultSchema": FORM,
        **({"clientWebhookUrl": hook} if hook else {}),
    }
    return Browser().post("/cases", case, content_type="application/json", HTTP_X_API_KEY=key.key, **headers)


@pytest.mark.django_db(transaction=True)
def test_a_whole_case_leaves_nothing_in_the_log_that_is_anybodys(
    log: Log, key: Any, httpserver: HTTPServer, settings: Settings
) -> None:
    settings.OFFLOAD_WEBHOOK_ALLOW_CIDRS = ["127.0.0.0/8"]
    settings.OFFLOAD_SETTLE_SECONDS = 0
    secret = signing.new_secret(key.client)
    httpserver.expect_request(f"/hooks/{CANARY}").respond_with_data(f"no, {CANARY}", status=500)
    hook = httpserver.url_for(f"/hooks/{CANARY}")
    answer = post_case(key, hook, HTTP_X_REQUEST_ID="order-4711.a")
    assert answer.status_code == 201, answer.content
    played = Played(Case.objects.get(pk=answer.json()["data"]["caseId"]))
    run_due()
    played.reply(f"Why do you ask, {CANARY}?")  # a question to a human
    question = played.question
    body = {"inputRequestId": str(question.pk), "providedContext": f"Tell them {CANARY}."}
    given = Browser().post(
        f"/cases/{played.case.pk}/input", body, content_type="application/json", HTTP_X_API_KEY=key.key
    )
    assert given.status_code == 202, given.content
    run_due()
    played.reply(f"Invoice number: {CANARY}-4711\nTotal: 12.50\nRemarks: {CANARY}")
    played.take(f"From: {ADDRESS}\r\nTo: nobody@sandbox.invalid\r\n{MAIL}".encode())
    assert CANARY in json.dumps(played.mails)
    assert httpserver.log  # a webhook was refused
    Browser().get(f"/files/{CANARY}")
    Browser().get(f"/{CANARY}?q={CANARY}")

    assert CANARY.lower() not in log.text.lower()
    assert key.key not in log.text
    assert secret not in log.text
    (created,) = log.of(f"case {played.case.pk}: case.created")
    assert created["request_id"] == "order-4711.a"
    assert created["case_id"] == str(played.case.pk)
    assert created["client_id"] == str(key.client.pk)
    (sent, *_) = log.of(f"case {played.case.pk}: message.sent")
    about = {name: sent.get(name) for name in ("kind", "step", "case_id", "client_id", "request_id")}
    assert about == {
        "kind": "case",
        "step": "send_queued",
        "case_id": str(played.case.pk),
        "client_id": str(key.client.pk),
        "request_id": None,
    }
    (asked, *_) = log.of("POST /cases 201")
    assert (asked["route"], asked["status"], asked["client_id"]) == ("/cases", 201, str(key.client.pk))
    assert log_context.current() == {}


# --- What goes wrong ---


class LibraryError(Exception):
    """Such as a provider's SDK raises: with all that it was given."""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "error",
    [
        LibraryError(f"POST https://u:{CANARY}@api/ said {MAIL}"),
        ValueError(ADDRESS),
        IntegrityError(f"duplicate key\nDETAIL: Key (text)=({CANARY}) exists"),
        OperationalError(f"server closed the connection\nCONTEXT: {CANARY}"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_traceback_of_a_failed_step_has_no_words_of_libraries(
    log: Log, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    class Failing:
        def send(self, mail: Any) -> Any:
            try:
                raise KeyError(mail.text)
            except KeyError as cause:
                raise error from cause

    monkeypatch.setitem(TRANSPORTS, "sandbox", Failing)
    case = CaseFactory(goal={"objective": CANARY}, counterparty={"address": ADDRESS, "name": CANARY})
    run_due("case", failing=type(error))
    assert CANARY.lower() not in log.text.lower()
    (failed,) = log.of(f"case {case.pk}: the step failed")
    assert failed["case_id"] == str(case.pk)
    said = failed["exception"]
    assert said["type"].endswith(f".{type(error).__name__}")
    assert "KeyError" in said["causes"]
    assert any(frame.startswith("outreach/advance.py:") and frame.endswith(" send_queued") for frame in said["at"])
    words = ": server closed the connection" if type(error) is OperationalError else ""
    assert said["said"] == type(error).__name__ + words
    assert CANARY in Case.objects.get(pk=case.pk).last_error or isinstance(error, ValueError)  # staff may read it


@pytest.mark.django_db
def test_an_unexpected_error_of_a_request_is_logged_without_what_was_sent(
    log: Log, key: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **fields: Any) -> Any:
        raise RuntimeError(f"{fields}")

    monkeypatch.setattr("cases.services.create_case", broken)
    assert post_case(key).status_code == 500
    assert CANARY.lower() not in log.text.lower()
    (said,) = log.of("unexpected error in CaseViewSet")
    assert said["exception"]["type"] == "builtins.RuntimeError"
    assert said["request_id"]
    assert log.of("Internal Server Error: /cases")


def format_of(formatter: logging.Formatter, *args: Any, name: str = "cases.x", error: Any = None) -> str:
    exc_info = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord(name, logging.WARNING, __file__, 1, args[0], args[1:], exc_info)
    return formatter.format(record)


def test_exceptions_as_arguments_say_their_type_only() -> None:
    line = json.loads(format_of(JsonFormatter(), "mail %s: %s", 7, LibraryError(CANARY)))
    assert line["message"] == "mail 7: LibraryError"
    line = json.loads(format_of(JsonFormatter(), "%s", OSError(28, "No space left on device", f"/x/{CANARY}")))
    assert line["message"] == "OSError: [28] No space left on device"


def test_of_others_lines_only_the_first_line_is_kept() -> None:
    text = f"Failed 'task' - it broke\nTraceback:\n{CANARY}"
    assert json.loads(format_of(JsonFormatter(), text, name="django-q"))["message"] == "Failed 'task' - it broke"


def test_a_line_with_wrong_arguments_is_still_a_line() -> None:
    assert json.loads(format_of(JsonFormatter(), "%d of %d", "x"))["message"].startswith("a line that can't be worded")


def test_line_breaks_forge_no_lines() -> None:
    written = format_of(JsonFormatter(), "%s", 'x\n{"level": "forged"}')
    assert "\n" not in written
    assert json.loads(written)["message"] == 'x\n{"level": "forged"}'


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter("%(message)s")], ids=["json", "text"])
def test_secrets_are_struck_out_wherever_they_stand(formatter: logging.Formatter, settings: Settings) -> None:
    settings.OPENAI_API_KEY = "a-model-key-4711"
    settings.OFFLOAD_METRICS_TOKEN = "a-metrics-token"
    settings.AGENTMAIL_WEBHOOK_SECRET = ["one-of-several"]
    settings.OFFLOAD_STAFF_NOTICES = ["https://hooks.example/services/T/B/secret-part", "staff@example.org"]
    fresh_secrets()
    given = [
        "a-model-key-4711",
        "a-metrics-token",
        "one-of-several",
        settings.SECRET_KEY,
        "https://hooks.example/services/T/B/secret-part",
        "offload_live_0123456789abcdefghij",
        "whsec_MDEyMzQ1Njc4OWFiY2RlZg==",
        "postgres://user:pass-word@db/offload",
        "ann@supplier.example",
    ]
    written = format_of(formatter, "; ".join(given))
    for secret in given[:7]:
        assert secret not in written
    assert "pass-word" not in written
    assert "ann@" not in written
    assert "postgres://[secret]@db/offload" in written
    assert "[address]" in written


def test_long_words_take_no_time() -> None:
    began = time.monotonic()
    logs.message_of(logging.LogRecord("cases", 20, "", 1, "a" * 1_000_000 + "@", (), None))
    assert time.monotonic() - began < 1


# --- Requests ---


@pytest.mark.parametrize(
    ("sent", "is_kept"),
    [
        ("4bf92f3577b34da6-00f0:67.aa_b", True),
        ("a" * 64, True),
        ("a" * 65, False),
        ("", False),
        ("-begins-so", False),
        ("two words", False),
        ('x"}{', False),
        ("ann@supplier.example", False),
        ("x\u00fc", False),
    ],
)
def test_a_sane_request_id_is_kept_and_answered(client: Browser, log: Log, sent: str, is_kept: bool) -> None:
    answer = client.get("/no-such-route", HTTP_X_REQUEST_ID=sent)
    given = answer["X-Request-Id"]
    assert (given == sent) is is_kept
    assert is_kept or (len(given) == 32 and given.isalnum())
    assert [line["request_id"] for line in log.of("GET none 404")] == [given]


def test_probes_leave_no_line_each(client: Browser, log: Log) -> None:
    assert client.get("/healthz")["X-Request-Id"]
    assert log.of("GET /healthz") == []


# --- Context ---


def test_what_is_bound_ends_and_takes_what_was_added_along() -> None:
    log_context.add(case_id="x")  # outside of any: nobody would end it
    assert log_context.current() == {}
    with log_context.bound(request_id="r"):
        log_context.add(client_id=7)
        with log_context.bound(case_id="c", kind=None):
            assert log_context.current() == {"request_id": "r", "client_id": "7", "case_id": "c"}
        assert log_context.current() == {"request_id": "r", "client_id": "7"}
    assert log_context.current() == {}
    with pytest.raises(ValueError, match="not a field of the log: body"):
        log_context.bound(body="x").__enter__()


@pytest.mark.django_db
def test_a_step_names_its_row_while_it_lasts() -> None:
    case, seen = CaseFactory(), []
    (held,) = work.claim("case", 1)
    look: Callable[..., None] = lambda claim: seen.append(dict(log_context.current()))  # noqa: E731
    object.__setattr__(held, "kind", type("K", (), {"name": "case", "of_case": "pk", "step": staticmethod(look)}))
    pump.run_step(held)
    assert seen == [{"case_id": str(case.pk), "kind": "case", "row_id": str(case.pk)}]
    assert log_context.current() == {}


def test_the_service_logs_json_unless_at_a_desk(tmp_path: Any) -> None:
    script = (
        "import django; django.setup(); import logging\n"
        "from cases import log_context\n"
        "with log_context.bound(case_id='c'): logging.getLogger('cases').info('hello')"
    )

    def said(**more: str) -> str:
        base = {name: value for name, value in os.environ.items() if name != "OFFLOAD_LOG_FORMAT"}
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**base, "OFFLOAD_VAR_DIR": str(tmp_path), **more},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stderr

    line = json.loads(said())
    assert {name: line[name] for name in ("level", "logger", "message", "case_id")} == {
        "level": "INFO",
        "logger": "cases",
        "message": "hello",
        "case_id": "c",
    }
    assert line["time"].endswith("+00:00")
    assert said(OFFLOAD_LOG_FORMAT="text").endswith(" INFO cases hello case_id=c\n")
    (tmp_path / "secret_key").write_text("k" * 60)
    assert said(SECRET_KEY="").endswith(" INFO cases hello case_id=c\n")
