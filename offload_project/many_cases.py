"""Very many made-up cases with all that belongs to them, to see how pages and queries do with the rows of years.

All addresses end in .example, and all cases are of the sandbox: a worker that finds them sends no mail.
"""

import calendar
import hashlib
import random
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import models, transaction

from cases import work
from cases.models import (
    ApiKey,
    Attachment,
    Case,
    Client,
    Correspondent,
    Direction,
    Event,
    InputRequest,
    Message,
    MessageStatus,
    Purpose,
    RequestStatus,
    ResultStatus,
    Status,
)
from offload_project.bulk import Bulk
from outreach.models import (
    InboundPayload,
    ModelCall,
    NoticeState,
    PayloadState,
    SandboxMail,
    StaffNotice,
    Suppression,
    SuppressionReason,
)
from webhooks.models import Attempt, Delivery, DeliveryState, Endpoint

CASES_AT_ONCE = 2000  # in one transaction
DAYS = 400  # over which the cases are spread
FRESH_DAYS = 14  # younger ones are mostly open
CLIENTS = ("Acme Finance", "Brook Logistics", "Castle Insurance", "Delta Travel", "Elm Property", "Forge Parts", "Kiln")
GIVEN = re.findall(
    r"\w+", "Ann Ben Clara David Élodie Frank Grete Hugo Inês Jan Klára Luís Mia Noël Olga Pál Søren Uta Zoë"
)
FAMILY = re.findall(r"\w+", "Adler Berg Costa Dubois Fischer García Horváth Ito Jansen Keller Lund Müller Novák Rossi")
FIRMS = re.findall(r"\w+", "supplier bakery carpenter printers hotel clinic garage museum nursery quarry vineyard")
THINGS = re.findall(r"\w+", "invoice contract delivery quotation certificate appointment refund receipt order permit")
MONTHS = list(calendar.month_name)[1:]
REASONS = [reason for reason in ResultStatus.values if reason != ResultStatus.GOAL_ACHIEVED]
FILES = (("invoice.pdf", "application/pdf"), ("photo.jpg", "image/jpeg"), ("list.csv", "text/csv"))
REAL_FILES = 3
SYLLABLES = re.findall(r"\w+", "ba de fi go lu ma ne pi ro su ta ve wi zo kra ste bli dru")
MADE: tuple[type[models.Model], ...] = (
    Case,
    Message,
    Attachment,
    InputRequest,
    Event,
    Correspondent,
    InboundPayload,
    SandboxMail,
    ModelCall,
    Suppression,
    StaffNotice,
    Delivery,
    Attempt,
)


@dataclass
class Maker:
    """Makes so many cases and messages, the same ones for the same seed; times count back from now."""

    cases: int
    messages: int
    seed: int
    progress: Callable[[int], None]
    rng: random.Random = field(init=False)
    now: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.now = work.now()
        self.paragraphs = _paragraphs(self.rng)
        self.bulks: dict[type[models.Model], Bulk] = {model: Bulk(model) for model in MADE}
        self.owed = 0.0  # messages that are still to be made for the cases so far
        self.number = 0  # of the case

    def make(self) -> dict[str, int]:
        """Store everything; the number of rows by the model's name."""
        with work.transaction():
            self._clients()
        self._files()
        for number in range(self.cases):
            self.number = number
            self._case()
            if (number + 1) % CASES_AT_ONCE == 0 or number + 1 == self.cases:
                self._store()
                self.progress(number + 1)
        return {model.__name__: bulk.stored for model, bulk in self.bulks.items()}

    def _store(self) -> None:
        with transaction.atomic():
            for bulk in self.bulks.values():
                bulk.store()

    def _id(self) -> uuid.UUID:
        return uuid.UUID(int=self.rng.getrandbits(128), version=4)

    def _add(self, model: type[models.Model], /, **values: Any) -> None:
        self.bulks[model].add(**values)

    def _clients(self) -> None:
        self.clients = [Client.objects.create(pk=self._id(), name=name) for name in CLIENTS]
        for client in self.clients:
            ApiKey.issue(client, name="made", key_id=self._id())
        origins = [f"https://hooks.{client.name.split()[0].lower()}.example" for client in self.clients]
        made = zip(self.clients, origins, strict=True)
        rows = [Endpoint(client=client, origin=origin, created_at=self.now) for client, origin in made]
        for row in rows[-2:]:
            row.parked_at, row.parked_reason, row.failures = self.now, "It has not answered for days.", 12
        self.endpoints = [Endpoint.objects.create(**_fields(row)) for row in rows]

    def _files(self) -> None:
        """The few files that all attachments share."""
        names = [f"attachments/made-{number}" for number in range(REAL_FILES)]
        for name in names:
            if not default_storage.exists(name):
                default_storage.save(name, ContentFile(b"made up\n"))
        self.files = names

    def _case(self) -> None:
        rng, number = self.rng, self.number
        age = timedelta(days=DAYS) * (1 - (number + rng.random()) / self.cases)
        created_at = self.now - age
        is_fresh = age < timedelta(days=FRESH_DAYS)
        status = rng.choices([*Status], (4, 52, 14, 22, 8) if is_fresh else (0, 20, 5, 700, 275))[0]
        place = min(int(rng.expovariate(0.35)), len(self.clients) - 1)
        given, family = rng.choice(GIVEN), rng.choice(FAMILY)
        firm = f"{rng.choice(FIRMS)}{rng.randrange(5000)}"
        thing, month = rng.choice(THINGS), rng.choice(MONTHS)
        case = {
            "id": self._id(),
            "client": place,
            "status": status,
            "created_at": created_at,
            "is_test": rng.random() < 0.1,
            "reference": f"{thing[:3].upper()}-{number:06}" if rng.random() < 0.9 else None,
            "address": f"{_ascii(given)}.{_ascii(family)}{number}@{firm}.example",
            "name": f"{given} {family}",
            "company": f"{firm.capitalize()} Ltd",
            "subject": f"{thing.capitalize()} of {month}",
            "thing": thing,
            "month": month,
            "last_at": created_at,
            "draft": False,
            "queued": False,
        }
        self._thread(case)
        self._store_case(case)
        self._history(case)

    # --- The thread ---

    def _thread(self, case: dict[str, Any]) -> None:
        """The case's mail: as much as it is owed, so that the sum comes out right."""
        rng = self.rng
        self.owed += self.messages / self.cases
        is_last = self.number + 1 == self.cases
        count = round(self.owed) if is_last else max(1, min(round(self.owed * rng.uniform(0.4, 1.6)), 40))
        if case["status"] == Status.CREATED and not is_last:
            count = min(count, 1)
        self.owed -= count
        at, case["attempts"], case["references"] = case["created_at"], 0, []
        step = min(timedelta(hours=40), (self.now - at) / (count + 1))
        for place in range(count):
            at += step * rng.uniform(0.3, 1.0)
            case["last_at"] = at
            if place == 0 or rng.random() < 0.45:
                self._ours(case, at, is_first=place == 0, is_last=place == count - 1)
            else:
                self._theirs(case, at)

    def _ours(self, case: dict[str, Any], at: datetime, *, is_first: bool, is_last: bool) -> None:
        rng, pk = self.rng, self._id()
        status = MessageStatus.SENT
        if is_last and case["status"] in (Status.CREATED, Status.RUNNING):
            waits = 0.5 if case["status"] == Status.CREATED else 0.08
            status = rng.choices([MessageStatus.DRAFT, MessageStatus.QUEUED, status], (waits, waits / 2, 1 - waits))[0]
        case["draft"], case["queued"] = status == MessageStatus.DRAFT, status == MessageStatus.QUEUED
        is_sent = status == MessageStatus.SENT
        if is_sent and rng.random() < 0.004:
            status = rng.choice([MessageStatus.REFUSED, MessageStatus.UNKNOWN, MessageStatus.DROPPED])
        case["attempts"] += is_sent
        message_id = f"<{pk.hex}@offload.example>"
        self._add(
            Message,
            id=pk,
            case_id=case["id"],
            direction=Direction.OUT,
            purpose=Purpose.OUTREACH if is_first else rng.choice([Purpose.FOLLOW_UP, Purpose.REPLY]),
            status=status,
            message_id=message_id,
            references=" ".join(case["references"][-5:]),
            from_address=f"case-{case['id'].hex}@sandbox.invalid",
            from_name="Bob Buyer",
            to_address=case["address"],
            subject=case["subject"] if is_first else f"Re: {case['subject']}",
            text=self._text(case, f"Dear {case['name']}", "Bob Buyer"),
            created_at=at,
            idempotency_key=pk.hex,
            case_version=1,
            send_started_at=at if is_sent else None,
            sent_at=at if is_sent else None,
            drafted_at=at if status == MessageStatus.DRAFT or rng.random() < 0.05 else None,
            decided_by="staff ann" if status == MessageStatus.SENT else "",
            provider_id=pk.hex,
        )
        case["references"].append(message_id)
        self._event(case, "message.sent", "system", at, f'{{"messageId": "{pk}", "purpose": "OUTREACH"}}')
        if case["is_test"] and is_sent:
            self._add(
                SandboxMail,
                case_id=case["id"],
                idempotency_key=pk.hex,
                message_id=message_id,
                raw=f"To: {case['address']}\r\nSubject: {case['subject']}\r\n\r\nPlease send it.\r\n".encode(),
                delivered_at=at,
            )

    def _theirs(self, case: dict[str, Any], at: datetime) -> None:
        rng, pk = self.rng, self._id()
        purpose = rng.choices([Purpose.HUMAN, Purpose.MACHINE, Purpose.DELAY, Purpose.REPORT], (90, 7, 1, 2))[0]
        message_id = f"<{pk.hex}@mail.example>"
        text = self._text(case, "Hello Bob", case["name"])
        is_over = case["status"] in (Status.COMPLETED, Status.FAILED) and rng.random() < 0.01
        is_unread = purpose == Purpose.HUMAN and case["status"] == Status.RUNNING and rng.random() < 0.02
        colleague = f"office@{case['address'].partition('@')[2]}" if rng.random() < 0.03 else ""
        self._add(
            Message,
            id=pk,
            case_id=case["id"],
            direction=Direction.IN,
            purpose=purpose,
            status=MessageStatus.RECEIVED,
            message_id=message_id,
            in_reply_to=case["references"][-1],
            references=" ".join(case["references"][-5:]),
            from_address=colleague or case["address"],
            from_name="The office" if colleague else case["name"],
            to_address=f"case-{case['id'].hex}@sandbox.invalid",
            subject=f"Re: {case['subject']}",
            text=text,
            full_text=f"{text}\n\n> Please send it.",
            created_at=at,
            read_at=None if is_unread else at,
            is_after_end=is_over,
        )
        case["references"].append(message_id)
        if rng.random() < 0.3:  # as many as are worth the time that they take
            self._event(case, "message.received", "counterparty", at, {"messageId": str(pk), "purpose": purpose})
        self._payload(case, at, pk, text, purpose)
        if colleague and not case.get("colleague"):
            case["colleague"] = True
            self._add(Correspondent, case_id=case["id"], address=colleague, name="The office", how="COPIED", since=at)
        if rng.random() < 0.25:
            self._attachment(pk, at)

    def _attachment(self, message_pk: uuid.UUID, at: datetime) -> None:
        name, kind = self.rng.choice(FILES)
        pk = self._id()
        self._add(
            Attachment,
            id=pk,
            message_id=message_pk,
            name=f"{pk.hex[:6]}-{name}",
            type=kind,
            declared_type=kind,
            size=self.rng.randrange(500, 3_000_000),
            sha256=hashlib.sha256(pk.bytes).hexdigest(),
            file=self.rng.choice(self.files),
            text=self.rng.choice(self.paragraphs),
            created_at=at,
        )

    def _payload(self, case: dict[str, Any], at: datetime, message_pk: uuid.UUID, text: str, purpose: str) -> None:
        """What the mail came in as; and now and then another that waits for a person."""
        self._add(
            InboundPayload,
            id=self._id(),
            source="mail",
            dedupe_key=message_pk.hex,
            body=f"From: {case['address']}\r\nSubject: Re: {case['subject']}\r\n\r\n{text}".encode(),
            received_at=at,
            state=PayloadState.DONE,
            note="A reply" if purpose == Purpose.HUMAN else "An automatic reply",
            message_id=message_pk,
        )
        if self.rng.random() < 0.01:
            states = [PayloadState.QUARANTINED, PayloadState.UNMATCHED, PayloadState.FAILED, PayloadState.DISCARDED]
            state = self.rng.choices(states, (4, 4, 1, 3))[0]
            sender = f"stranger{self.rng.randrange(10**6)}@elsewhere.example"
            self._add(
                InboundPayload,
                id=self._id(),
                source="mail",
                dedupe_key=self._id().hex,
                body=b"From: stranger\r\n\r\nHello.\r\n",
                received_at=at,
                state=state,
                note="Nobody knows the sender.",
                case_id=case["id"] if state == PayloadState.QUARANTINED else None,
                summary={"from": sender, "name": "A stranger", "subject": case["subject"], "text": text[:200]},
            )

    def _text(self, case: dict[str, Any], greeting: str, name: str) -> str:
        rng = self.rng
        about = f"This is about the {case['thing']} of {case['month']}, number {rng.randrange(10**7):07}."
        return "\n\n".join([f"{greeting},", about, *rng.sample(self.paragraphs, rng.randrange(1, 4)), name])

    # --- The case and what goes with it ---

    def _store_case(self, case: dict[str, Any]) -> None:
        rng, status, at = self.rng, case["status"], case["last_at"]
        is_running = status == Status.RUNNING
        next_at = self.now + timedelta(hours=rng.uniform(1, 72)) if is_running else None
        end = rng.choice(REASONS) if status == Status.FAILED else None
        is_done = status == Status.COMPLETED
        has_failed = is_running and rng.random() < 0.03
        retry_at = self.now + timedelta(minutes=30) if has_failed else None
        self._add(
            Case,
            id=case["id"],
            client_id=self.clients[case["client"]].pk,
            is_test=case["is_test"],
            client_reference_id=case["reference"],
            channel="EMAIL",
            goal={"objective": f"Get the {case['thing']} of {case['month']}.", "knowledge": {"order": self.number}},
            counterparty={"address": case["address"], "name": case["name"], "company": case["company"]},
            sender_persona={"name": "Bob Buyer", "company": CLIENTS[case["client"]]},
            constraints='["Never promise a date of payment."]',
            result_schema='{"type": "object", "properties": {"number": {"type": "string"}}}',
            client_webhook_url=f"{self.endpoints[case['client']].origin}/offload",
            counterparty_address=case["address"],
            transport="sandbox",
            our_address=f"case-{case['id'].hex}@sandbox.invalid",
            status=status,
            result_status=ResultStatus.GOAL_ACHIEVED if is_done else end,
            result={"number": str(self.number)} if is_done else None,
            failure_reason="It did not work out." if end else None,
            attempt_count=case["attempts"],
            follow_up_count=max(case["attempts"] - 2, 0),
            next_action_at=next_at,
            due_at=(retry_at or next_at) if is_running and not case["draft"] else None,
            retry_at=retry_at,
            failures=4 if has_failed else 0,
            last_error="TransportError: the server did not answer" if has_failed else "",
            created_at=case["created_at"],
            updated_at=at,
            model_calls=case["attempts"],
            model_tokens=1800 * case["attempts"],
        )

    def _history(self, case: dict[str, Any]) -> None:
        rng, status, at = self.rng, case["status"], case["last_at"]
        key = {"case_id": case["id"], "client_id": self.clients[case["client"]].pk}
        self._event(case, "case.created", "client offload_live_Ab12", case["created_at"], "{}")
        if status != Status.CREATED:
            calls = {"purpose": "evaluation", "model": "made-model", "prompt_tokens": 1500, "completion_tokens": 300}
            self._add(ModelCall, **key, at=at, duration_ms=rng.randrange(400, 9000), cost="0.0021", **calls)
            self._event(case, "verdict", "system", at, '{"agent": "openai", "decision": "WAIT"}')
        if status == Status.INPUT_NEEDED or rng.random() < 0.2:
            self._question(case, at, is_open=status == Status.INPUT_NEEDED)
        if status in (Status.COMPLETED, Status.FAILED):
            kind = "case.completed" if status == Status.COMPLETED else "case.failed"
            self._event(case, kind, "system", at, "{}")
            self._delivery(case, kind, at)
        if rng.random() < 0.01:
            self._add(
                Suppression,
                address=case["address"],
                reason=rng.choice([SuppressionReason.BOUNCE, SuppressionReason.STOP]),
                note="Said so in a mail.",
                case_id=case["id"],
                since=at,
                lifted_at=at if rng.random() < 0.1 else None,
            )

    def _question(self, case: dict[str, Any], at: datetime, *, is_open: bool) -> None:
        pk = self._id()
        self._add(
            InputRequest,
            id=pk,
            case_id=case["id"],
            question=f"May we tell {case['name']} the order number of the {case['thing']}?",
            reason="The goal does not say so.",
            status=RequestStatus.PENDING
            if is_open
            else self.rng.choice(["RESOLVED", "RESOLVED", "SUPERSEDED", "CLOSED"]),
            requested_at=at,
            resolved_at=None if is_open else at,
            provided_context="" if is_open else "Yes.",
            answered_by="" if is_open else "staff ann",
            used_at=None if is_open else at,
        )
        self._event(case, "case.input_needed", "system", at, {"inputRequestId": str(pk)})
        failed = self.rng.random() < 0.01
        self._add(
            StaffNotice,
            id=self._id(),
            question_id=pk,
            address="staff@offload.example",
            state=NoticeState.FAILED if failed else NoticeState.SENT,
            created_at=at,
            sent_at=None if failed else at,
        )

    def _delivery(self, case: dict[str, Any], kind: str, at: datetime) -> None:
        rng, pk = self.rng, self._id()
        is_parked = case["client"] >= len(self.clients) - 2
        weights = (0, 0, 0, 0, 1) if is_parked else (2, 970, 20, 1, 0)
        state = rng.choices([*DeliveryState], weights)[0]
        attempts = {DeliveryState.DELIVERED: 1, DeliveryState.EXHAUSTED: 3, DeliveryState.WAITING: 1}.get(state, 0)
        self._add(
            Delivery,
            id=pk,
            client_id=self.clients[case["client"]].pk,
            case_id=case["id"],
            endpoint_id=self.endpoints[case["client"]].pk,
            event_id=f"evt_{case['id']}_{kind.replace('.', '_')}",
            event_type=kind,
            url=f"{self.endpoints[case['client']].origin}/offload",
            body=f'{{"event_type": "{kind}", "data": {{"caseId": "{case["id"]}"}}}}'.encode(),
            sequence=1,
            state=state,
            attempt_count=attempts,
            created_at=at,
            next_attempt_at=at,
            due_at=self.now + timedelta(hours=1) if state == DeliveryState.WAITING else None,
            delivered_at=at if state == DeliveryState.DELIVERED else None,
        )
        for number in range(1, attempts + 1):
            answer = 200 if state == DeliveryState.DELIVERED else 503
            took = rng.randrange(20, 4000)
            self._add(Attempt, delivery_id=pk, number=number, started_at=at, duration_ms=took, status=answer)

    def _event(self, case: dict[str, Any], kind: str, actor: str, at: datetime, data: dict[str, Any] | str) -> None:
        self._add(Event, case_id=case["id"], type=kind, actor=actor, at=at, data=data)


def _fields(row: Any) -> dict[str, Any]:
    return {field.name: getattr(row, field.name) for field in row._meta.concrete_fields if not field.primary_key}


def _paragraphs(rng: random.Random) -> list[str]:
    """Made of 4000 made-up words, the first of them far more frequent than the last, as in a language."""
    words = ["".join(rng.choices(SYLLABLES, k=rng.randrange(1, 5))) for _ in range(4000)]
    weights = list(accumulate(1 / (place + 2) for place in range(len(words))))
    return [
        " ".join(rng.choices(words, cum_weights=weights, k=rng.randrange(8, 30))).capitalize() + "."
        for _ in range(3000)
    ]


_PLAIN = str.maketrans("áàâäãåéèêëíìîïñóòôöõøúùûüçÉ", "aaaaaaeeeeiiiinoooooouuuucE")


def _ascii(name: str) -> str:
    return name.translate(_PLAIN).lower()
