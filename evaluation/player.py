"""Plays one scenario through the service: its API, its engine, its sandbox. Work is done in the calling thread.

The database is the one that is configured; a run leaves its rows in it. Time passes by moving the case's rows.
"""

import base64
import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from django.test import Client as Http

from cases import result_schema, services, work
from cases.errors import CaseError
from cases.models import ApiKey, Case, Client, Direction, Event, InputRequest, Message, RequestStatus
from cases.testing import run_due
from cases.time_travel import bring_nearer
from evaluation.pdf import pdf
from evaluation.scenario import Scenario, Turn, When
from outreach import sandbox
from outreach.inbound.content import InboundAttachment
from outreach.models import ModelCall
from webhooks.models import Delivery

MAX_STEPS = 100  # turns and passages of time; a scenario that takes more goes round in circles
MAX_FAILED_STEPS = 4  # a model that is down stays down: no use in playing the whole day of trying again
Json = dict[str, Any]


@dataclass
class Facts:
    """What has come of a run, as records, mailbox and webhooks have it."""

    status: str = ""
    result_status: str | None = None
    result: Any = None
    schema_errors: list[str] = field(default_factory=list)  # of a COMPLETED case
    mails: list[Json] = field(default_factory=list)  # as the counterparty got them, see outreach.sandbox.mailbox
    attempt_count: int = 0
    questions: list[str] = field(default_factory=list)
    webhooks: list[Json] = field(default_factory=list)  # their bodies
    timeline: list[str] = field(default_factory=list)  # types of events
    case_at_end: Json | None = None  # as clients saw it when the case had just ended
    case: Json = field(default_factory=dict)  # as clients see it after the last turn
    errors: list[str] = field(default_factory=list)  # steps of the engine that failed
    broken: str = ""  # why the run could not be played to its end
    model_calls: int = 0
    tokens: int = 0
    seconds: float = 0.0
    transcript: str = ""


class Unplayable(Exception):
    """The run can't go on: a turn asks for what can't be done now, or the service itself does not get on."""


class Player:
    """One run. `before_steps` is told the ids that have names in scripts before the engine looks at the case."""

    def __init__(self, scenario: Scenario, *, before_steps: Callable[[dict[str, str]], None] | None = None) -> None:
        self.scenario = scenario
        self.before_steps = before_steps
        self.facts = Facts()
        self.played: set[int] = set()
        self.http: Http
        self.case_id: uuid.UUID

    def play(self) -> Facts:
        """Play to the end: the case has ended and all has been said, or it waits for what nobody does."""
        started = time.monotonic()
        self._post()
        self._let_work()
        try:
            self._go_on()
        except (CaseError, Unplayable) as error:
            self.facts.broken = str(error)
        self._look()
        self.facts.seconds = time.monotonic() - started
        return self.facts

    def _go_on(self) -> None:
        for _ in range(MAX_STEPS):
            if not (self._take_turn() or self._let_time_pass()):
                return
            self._let_work()
            if len(self.facts.errors) >= MAX_FAILED_STEPS:
                raise Unplayable(f"{MAX_FAILED_STEPS} steps failed; the last: {self.facts.errors[-1]}")
        raise Unplayable(f"it goes on after {MAX_STEPS} steps")

    # --- The client ---

    def _post(self) -> None:
        client = Client.objects.create(name=f"Scenario {self.scenario.name}")
        _, key = ApiKey.issue(client, is_test=True)
        self.http = Http(headers={"x-api-key": key})
        answer = self._call("post", "/cases", self.scenario.case)
        self.case_id = uuid.UUID(answer["caseId"])

    def _call(self, method: str, path: str, body: Json | None = None) -> Json:
        content = {"data": json.dumps(body), "content_type": "application/json"} if body is not None else {}
        response = getattr(self.http, method)(path, **content)
        given: Json = response.json()
        if not given["ok"]:
            raise Unplayable(f"{method.upper()} {path}: {given['error']}")
        data: Json = given["data"]
        return data

    # --- The engine ---

    def _let_work(self) -> None:
        """Do all that is due. What has come in is taken in first, so that scripts can name it."""
        for kind in ("payload", "case"):
            if self.before_steps:
                self.before_steps(self._named_ids())
            errors = run_due(kind, failing=Exception)
            self.facts.errors += [f"{type(error).__name__}: {error}" for error in errors]
        if self.facts.case_at_end is None and self._case().is_terminal:
            self.facts.case_at_end = self._call("get", f"/cases/{self.case_id}")

    def _named_ids(self) -> dict[str, str]:
        """`mail-1` (ours), `reply-1`, `file-1`, `answer-1` … in their order, for the sources that scripts give."""
        ours = Message.objects.filter(case=self.case_id, direction=Direction.OUT).order_by("created_at", "id")
        received = Message.objects.filter(case=self.case_id, direction=Direction.IN).order_by("created_at", "id")
        answers = InputRequest.objects.filter(case=self.case_id, status=RequestStatus.RESOLVED)
        return {
            **{f"mail-{number}": str(message.pk) for number, message in enumerate(ours, 1)},
            **{f"reply-{number}": str(message.pk) for number, message in enumerate(received, 1)},
            **{f"file-{number}": pk for number, pk in enumerate(_files(received), 1)},
            **{f"answer-{n}": str(a.pk) for n, a in enumerate(answers.order_by("requested_at", "id"), 1)},
        }

    def _let_time_pass(self) -> bool:
        """Bring what the case waits for to now; False if it waits for nothing, or is to be left as it is."""
        case = self._case()
        if case.due_at is None or not (self.scenario.lets_time_pass or self._has_turns_left()):
            return False
        bring_nearer(case.pk, max(case.due_at - work.now(), timedelta(seconds=1)))
        return True

    def _has_turns_left(self) -> bool:
        return len(self.played) < len(self.scenario.turns)

    # --- The turns ---

    def _take_turn(self) -> bool:
        """Play the first turn whose time has come; False if there is none."""
        for turn in self.scenario.turns:
            if turn.number not in self.played and self._is_time_for(turn):
                self.played.add(turn.number)
                for name, given in turn.actions:
                    getattr(self, f"_do_{name}")(given)
                return True
        return False

    def _is_time_for(self, turn: Turn) -> bool:
        case = self._case()
        if turn.when is None:
            return (turn.number == 0 or turn.number - 1 in self.played) and not case.is_terminal
        return self._holds(turn.when, case)

    def _holds(self, when: When, case: Case) -> bool:
        mails = sandbox.mailbox(case)
        return (
            when.ended == case.is_terminal
            and (when.mail is None or len(mails) >= when.mail)
            and (when.mail_matches is None or bool(mails and when.mail_matches.search(mails[-1]["text"])))
            and (when.question is None or when.question == (self._open_question() is not None))
        )

    def _do_reply(self, given: Json) -> None:
        sender = given.get("from", {})
        sandbox.reply(
            self._case(),
            text=given.get("text", ""),
            html=given.get("html", ""),
            attachments=[_attachment(file) for file in given.get("attachments", ())],
            from_address=sender.get("address", ""),
            from_name=sender.get("name", ""),
        )

    def _do_out_of_office(self, given: Json) -> None:
        until = date.fromisoformat(given["until"]) if "until" in given else None
        sandbox.out_of_office(self._case(), until=until, text=given.get("text"))

    def _do_bounce(self, kind: str) -> None:
        sandbox.bounce(self._case(), permanent=kind == "permanent")

    def _do_complaint(self, _: bool) -> None:
        sandbox.complaint(self._case())

    def _do_advance_hours(self, hours: float) -> None:
        bring_nearer(self.case_id, timedelta(hours=hours))

    def _do_answer(self, words: str) -> None:
        question = self._open_question()
        if question is None:
            raise Unplayable("an answer is to be given, and no question is open")
        self._call(
            "post", f"/cases/{self.case_id}/input", {"inputRequestId": str(question.pk), "providedContext": words}
        )

    def _do_cancel(self, _: bool) -> None:
        services.cancel_case(self.case_id, actor="scenario")

    # --- What there is to see ---

    def _case(self) -> Case:
        case: Case = Case.objects.get(pk=self.case_id)
        return case

    def _open_question(self) -> InputRequest | None:
        asked = InputRequest.objects.filter(case=self.case_id, status=RequestStatus.PENDING, is_operational=False)
        return asked.first()

    def _look(self) -> None:
        case, facts = self._case(), self.facts
        facts.case = self._call("get", f"/cases/{self.case_id}")
        facts.status, facts.result_status, facts.result = case.status, case.result_status, case.result
        facts.schema_errors = list(_schema_errors(case))
        facts.attempt_count = case.attempt_count
        facts.mails = sandbox.mailbox(case)
        asked = InputRequest.objects.filter(case=case).order_by("requested_at", "id")
        facts.questions = [request.question for request in asked]
        deliveries = Delivery.objects.filter(case=case).order_by("sequence")
        facts.webhooks = [json.loads(bytes(delivery.body)) for delivery in deliveries]
        events = list(Event.objects.filter(case=case))
        facts.timeline = [event.type for event in events]
        calls = list(ModelCall.objects.filter(case=case))
        facts.model_calls = len(calls)
        facts.tokens = sum(call.prompt_tokens + call.completion_tokens for call in calls)
        facts.transcript = _transcript(case, events)


def _files(received: Any) -> Iterator[str]:
    for message in received:
        yield from (str(pk) for pk in message.attachments.order_by("created_at", "name").values_list("pk", flat=True))


def _attachment(given: Json) -> InboundAttachment:
    """The file of a scenario: text, bytes in base64, or a PDF made for it."""
    if "pdf" in given:
        content, type_ = pdf(given["pdf"].get("lines", ()), given["pdf"].get("fields")), "application/pdf"
    elif "base64" in given:
        content, type_ = base64.b64decode(given["base64"]), "application/octet-stream"
    else:
        content, type_ = given.get("text", "").encode(), "text/plain"
    return InboundAttachment(given["name"], given.get("type", type_), content)


def _schema_errors(case: Case) -> Iterator[str]:
    if case.status == "COMPLETED":
        errors = result_schema.errors(case.result_schema, case.result)
        yield from (f"{error['path']}: {error['message']}" for error in errors)


def _transcript(case: Case, events: list[Event]) -> str:
    """The thread, then the timeline with what its events say."""
    parts = [_said(message) for message in case.messages.all()]
    lines = [f"{event.type} ({event.actor}) {json.dumps(event.data, ensure_ascii=False)}" for event in events]
    return "\n\n".join([*parts, "\n".join(lines)])


def _said(message: Message) -> str:
    who = "we" if message.direction == Direction.OUT else f"{message.from_name} <{message.from_address}>"
    files = ", ".join(attachment.name for attachment in message.attachments.all())
    head = f"── {who} ({message.purpose}, {message.status}): {message.subject}" + (f" [{files}]" if files else "")
    return f"{head}\n{message.text.strip()}"
