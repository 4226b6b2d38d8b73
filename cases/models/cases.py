import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q, Value

from cases.errors import CaseAlreadyFinished, CaseNotFound, IllegalTransition
from cases.models.clients import Client
from cases.models.due import DueManager, DueRow, TurnIndex, due_index
from cases.models.json import KeptJSONField
from cases.prepared import Prepared


class Channel(models.TextChoices):
    EMAIL = "EMAIL"
    SMS = "SMS"


class Status(models.TextChoices):
    CREATED = "CREATED"
    RUNNING = "RUNNING"
    INPUT_NEEDED = "INPUT_NEEDED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


class ResultStatus(models.TextChoices):
    """Why a case ended; the words are the API's."""

    GOAL_ACHIEVED = "goal_achieved"
    MAX_RETRIES = "max_retries"
    FAILED_REJECTED = "failed_rejected"
    BOUNCED = "BOUNCED"
    COMPLAINED = "COMPLAINED"
    REJECTED = "REJECTED"
    CANCELLED = "cancelled"
    OPTED_OUT = "opted_out"
    SUPPRESSED = "suppressed"
    DEADLINE_PASSED = "deadline_passed"
    FAILED_BY_STAFF = "failed_by_staff"


class ReviewMode(models.TextChoices):
    """Which of a case's mails wait for a person's approval before they are sent; the words are the API's."""

    NONE = "none"
    FIRST = "first"  # until the first one is sent
    ALL = "all"


class InputTimeoutAction(models.TextChoices):
    """What happens once a question has waited for the case's `input_timeout_hours`; the words are the API's."""

    WAIT = "wait"  # people are reminded, and the case keeps waiting
    FAIL = "fail"


TERMINAL = frozenset({Status.COMPLETED, Status.FAILED})
OPEN = frozenset(Status) - TERMINAL


class CaseManager(DueManager):
    def with_time(self) -> models.QuerySet[Any]:
        """Likewise, with their clients: most of what is done to a case depends on its client's wishes."""
        return super().with_time().select_related("client")

    def locked(self, pk: uuid.UUID) -> "Case":
        """The case with its row locked until the transaction ends, and `now` read along. Raises CaseNotFound."""
        try:
            case: Case = super().locked(pk)
        except Case.DoesNotExist as error:
            raise CaseNotFound from error
        return case

    def locked_open(self, pk: uuid.UUID) -> "Case":
        """As `locked`, for what is done to a case that has not ended. Raises CaseAlreadyFinished, too."""
        case = self.locked(pk)
        if case.is_terminal:
            raise CaseAlreadyFinished
        return case


class Case(DueRow):
    """A goal to be reached with one person outside, from POST to result."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    client = models.ForeignKey(Client, on_delete=models.PROTECT, related_name="cases")
    is_test = models.BooleanField(default=False)
    reopened_from = models.OneToOneField(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="reopened_as"
    )  # the ended case whose thread this one continues
    client_reference_id = models.TextField(null=True, blank=True)

    # As the client sent them; null is a field that was not given.
    channel = models.CharField(max_length=10, choices=Channel.choices)
    goal = KeptJSONField()
    counterparty = KeptJSONField()
    sender_persona = KeptJSONField()
    constraints = KeptJSONField(null=True, blank=True)
    language = models.CharField(max_length=35, null=True, blank=True)  # BCP 47, of the first mail
    input_timeout_hours = models.PositiveIntegerField(null=True, blank=True)  # null: the client's reminder_hours
    input_timeout_action = models.CharField(
        max_length=4, choices=InputTimeoutAction.choices, default=InputTimeoutAction.WAIT
    )
    max_attempts = models.PositiveIntegerField(default=3)  # automated follow-ups after the first message
    follow_up_delay_hours = models.PositiveIntegerField(default=72)
    result_schema = KeptJSONField(null=True, blank=True)
    client_webhook_url = models.TextField(null=True, blank=True)
    metadata = KeptJSONField(null=True, blank=True)
    review_mode = models.CharField(max_length=5, choices=ReviewMode.choices, default=ReviewMode.NONE)

    counterparty_address = models.CharField(max_length=320, db_index=True)  # lower case, to look mail up by
    transport = models.CharField(max_length=20)  # the one it began with: a thread does not change its provider
    our_address = models.CharField(max_length=320, blank=True)  # where its mail is sent from, known from the first send
    thread_id = models.CharField(max_length=300, blank=True)  # the provider's, where it has one

    status = models.CharField(max_length=12, choices=Status.choices, default=Status.CREATED)
    result_status = models.CharField(max_length=20, choices=ResultStatus.choices, null=True, blank=True)
    result = KeptJSONField(null=True, blank=True)
    sources = models.JSONField(null=True, blank=True)  # list of {path, source_id, quote}; see outreach/evidence.py
    failure_reason = models.TextField(null=True, blank=True)
    attempt_count = models.PositiveIntegerField(default=0)  # every outbound message
    follow_up_count = models.PositiveIntegerField(default=0)  # those that max_attempts bounds
    next_action_at = models.DateTimeField(null=True, blank=True)
    deadline_at = models.DateTimeField(null=True, blank=True)  # past it the case fails, and nothing more is sent
    input_overdue_at = models.DateTimeField(null=True, blank=True)  # of the open question: see InputTimeoutAction
    paused_at = models.DateTimeField(null=True, blank=True)  # since then nothing is sent and nothing evaluated

    # What models have been asked for this case, see outreach/budget.py. Facts of ours: they raise no `version`.
    model_calls = models.PositiveIntegerField(default=0, editable=False)
    model_tokens = models.PositiveBigIntegerField(default=0, editable=False)
    model_cost = models.DecimalField(max_digits=14, decimal_places=6, default=Decimal(0), editable=False)

    version = models.PositiveIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(editable=False)
    updated_at = models.DateTimeField(editable=False)

    may_have_questions = may_have_files = True  # where nobody has looked; see `at_once` in cases/resources.py

    objects: ClassVar[CaseManager] = CaseManager()
    OPEN_ENDS: ClassVar = frozenset({Status.RUNNING, Status.INPUT_NEEDED, Status.COMPLETED, Status.FAILED})
    NEXT: ClassVar = {  # a case that can't write its first mail asks before it runs; no open case is completed unsent
        Status.CREATED: frozenset({Status.RUNNING, Status.INPUT_NEEDED, Status.FAILED}),
        Status.RUNNING: OPEN_ENDS,
        Status.INPUT_NEEDED: OPEN_ENDS,
    }

    class Meta:
        ordering = ("-created_at", "-id")
        indexes: ClassVar = [
            due_index("case_due"),
            TurnIndex("client", name="case_turn"),
            models.Index(fields=["client", "-created_at", "-id"], name="case_of_client"),
            models.Index(fields=["status", "-created_at"], name="case_by_status"),
            models.Index(
                fields=["updated_at"], name="case_ended", condition=Q(result_status__isnull=False)
            ),  # for what has ended on a day
            models.Index(fields=["-created_at", "-id"], name="case_newest"),
            models.Index(fields=["-created_at"], name="case_failing", condition=Q(failures__gt=0)),
            models.Index(fields=["-created_at"], name="case_for_test", condition=Q(is_test=True)),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                name="case_terminal_has_nothing_due",
                condition=~Q(status__in=sorted(TERMINAL)) | Q(due_at__isnull=True),
            ),
            models.CheckConstraint(
                name="case_terminal_has_result_status",
                condition=Q(status__in=sorted(TERMINAL), result_status__isnull=False)
                | Q(status__in=sorted(OPEN), result_status__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        """Its reference and what it is about; without a reference the beginning of its id stands behind that."""
        about = str(self.goal.get("objective") or "")[:60]
        return f"{self.client_reference_id}: {about}" if self.client_reference_id else f"{about} ({str(self.pk)[:8]})"

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def earlier(self) -> "list[Case]":
        """The cases whose thread this one continues, oldest first."""
        return [*self.reopened_from.earlier, self.reopened_from] if self.reopened_from else []

    @property
    def has_result(self) -> bool:
        """Whether the goal was achieved with a result; null is one where a schema was given, for it is valid then."""
        achieved = self.result_status == ResultStatus.GOAL_ACHIEVED
        return achieved and (self.result is not None or self.result_schema is not None)

    @property
    def settle(self) -> timedelta:
        """How long a reply waits for a correction to join it; nobody waits in the sandbox."""
        if self.transport == "sandbox":
            return timedelta()
        own = self.client.settle_seconds
        return timedelta(seconds=settings.OFFLOAD_SETTLE_SECONDS if own is None else own)

    @property
    def reviews_next_mail(self) -> bool:
        """Whether the agent's next mail waits for a person's approval."""
        is_first = self.review_mode == ReviewMode.FIRST and self.attempt_count == 0
        return is_first or self.review_mode == ReviewMode.ALL

    @property
    def is_held_up(self) -> bool:
        """Whether the service itself asks what to do; judging mail or answers would only fail again."""
        if self.status != Status.INPUT_NEEDED:
            return False
        return self.input_requests.filter(is_operational=True, status="PENDING").exists()

    @property
    def fails_unanswered(self) -> bool:
        return self.input_timeout_action == InputTimeoutAction.FAIL

    def move_to(self, status: Status) -> None:
        """Set status or raise IllegalTransition. For a row you hold locked; does not save."""
        if status not in self.NEXT.get(Status(self.status), ()):  # COMPLETED and FAILED have no way out
            raise IllegalTransition(f"case {self.pk}: {self.status} -> {status}")
        self.status = status

    def touch(self) -> None:
        """Mark a change of the domain: clients see `updated_at` rise, decisions in flight see another `version`."""
        self.version += 1
        self.updated_at = max(self.now, self.updated_at + timedelta(milliseconds=1))

    def due_facts(self) -> Iterator[datetime]:
        if self.is_terminal:
            return
        facts = self._waiting_facts()
        if self.paused_at:
            yield from filter(None, [facts["sending"]])  # it may be out there already
            return
        if facts["draft"]:  # until a person has decided, or something changes, nothing happens
            yield from filter(None, [self.deadline_at])
            return
        if facts["outdated_draft"]:
            yield facts["outdated_draft"]
        if self.status == Status.CREATED:
            yield self.created_at
        if self.status == Status.RUNNING and self.next_action_at:
            yield self.next_action_at
        if facts["queued"]:
            yield facts["queued"]
        overdue_at = self.input_overdue_at if self.status == Status.INPUT_NEEDED else None
        if overdue_at and not self.fails_unanswered:
            yield overdue_at
        news = [] if self.is_held_up else [*self._news(facts)]
        yield from news
        if not news:  # what has come in by then is looked at before the case fails
            yield from filter(None, [self.deadline_at, overdue_at if self.fails_unanswered else None])

    def _news(self, facts: dict[str, datetime | None]) -> Iterator[datetime]:
        """When what has come in is looked at: mail once it has settled, an answer at once."""
        if facts["unread_first"] and facts["unread_last"]:
            yield min(facts["unread_last"] + self.settle, facts["unread_first"] + 5 * self.settle)
        yield from filter(None, [facts["answer"]])

    def _waiting_facts(self) -> "dict[str, datetime | None]":
        """When something began to wait for this case; None where nothing does.

        `queued`, `unread_first`, `unread_last`; `sending`, a queued message whose send has begun; `draft`, and
        `outdated_draft`, which the case has moved on without; `answer`, that nothing has made use of yet.
        """
        facts: dict[str, datetime | None] = dict.fromkeys(WAITING)
        for status, since, drafted_for, begun_at in _waiting(self):
            if status == "DRAFT":  # at most one, as of those that are queued
                facts["draft" if drafted_for == self.version else "outdated_draft"] = since
            elif status == "QUEUED":
                facts["queued"] = since
                facts["sending"] = since if begun_at else None
            elif status == "RECEIVED":
                facts["unread_first"] = facts["unread_first"] or since
                facts["unread_last"] = since
            else:
                facts["answer"] = facts["answer"] or since
        return facts


WAITING = ("draft", "outdated_draft", "sending", "queued", "unread_first", "unread_last", "answer")


@Prepared
def _waiting(case: Case) -> models.QuerySet[Any, Any]:
    """The case's messages and answers that wait, in order: status, since when, and of messages two columns more."""
    messages = case.messages.waiting().values_list("status", "created_at", "case_version", "send_started_at")
    none = (Value(None, models.PositiveIntegerField()), Value(None, models.DateTimeField()))
    answers = case.input_requests.unused_answers().order_by().values_list("status", "resolved_at", *none)
    return messages.union(answers, all=True).order_by("created_at")
