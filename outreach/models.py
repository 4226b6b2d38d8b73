import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import ClassVar

from django.db import models
from django.db.models import Q

from cases.leases import current_time
from cases.models import Case, Client, Draft, DueRow, Event, InputRequest, Message, TurnIndex, due_index
from cases.models.due import DueManager


class PayloadState(models.TextChoices):
    WAITING = "WAITING", "to be taken in"
    DONE = "DONE", "taken in"
    QUARANTINED = "QUARANTINED", "kept from its case: its sender is not trusted"
    UNMATCHED = "UNMATCHED", "belongs to no case that we know"
    DISCARDED = "DISCARDED", "put aside by staff"
    FAILED = "FAILED", "could not be taken in"


def kept_apart() -> Q:
    """Mail that no case has got: it waits for staff, or they have put it aside.

    Written with ORs, as its index has it: SQLite sees of an IN, whose values it is handed, no index of some rows.
    """
    return Q(state="FAILED") | Q(state="QUARANTINED") | Q(state="UNMATCHED") | Q(state="DISCARDED")


class InboundPayload(DueRow):
    """What a provider handed us, as it came. Acknowledged once this row is committed; understood afterwards."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    source = models.CharField(max_length=20)  # the door it came in by
    dedupe_key = models.CharField(max_length=255)  # the provider's event id, or a digest of the mail
    body = models.BinaryField()
    envelope = models.JSONField(default=dict, blank=True)  # what the server that took it says of it; see doors.py
    received_at = models.DateTimeField()
    state = models.CharField(max_length=12, choices=PayloadState.choices, default=PayloadState.WAITING)
    note = models.TextField(blank=True)  # what became of it, for staff
    try_again_at = models.DateTimeField(null=True, blank=True)  # it may belong to a send that is not committed yet
    message = models.ForeignKey(Message, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    # While it waits for staff, and what they have decided; see inbound/handling.py.
    case = models.ForeignKey(
        Case, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )  # quarantined for
    summary = models.JSONField(default=dict, blank=True)  # what staff see of the mail
    decided_case = models.ForeignKey(Case, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    decided_by = models.CharField(max_length=200, blank=True)  # the person, as on the timeline
    admits_sender = models.BooleanField(default=False)  # whether more mail of this sender is to act on that case

    class Meta:
        verbose_name = "incoming mail"
        verbose_name_plural = "incoming mail"
        ordering = ("-received_at", "-id")
        indexes: ClassVar = [
            due_index("payload_due"),
            models.Index(fields=["state", "-received_at", "-id"], name="payload_kept_apart", condition=kept_apart()),
            models.Index(fields=["-received_at", "-id", "state", "source"], name="payload_newest"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(name="payload_taken_once", fields=["source", "dedupe_key"]),
        ]

    def __str__(self) -> str:
        return f"{self.source} {self.dedupe_key}"

    def due_facts(self) -> Iterator[datetime]:
        if self.state == PayloadState.WAITING:
            yield self.try_again_at or self.received_at


class SandboxMail(models.Model):
    """A mail in the sandbox's mailbox: what the counterparty would have got. A repeated key changes nothing."""

    id = models.BigAutoField(primary_key=True)
    case = models.ForeignKey(Case, on_delete=models.CASCADE, related_name="sandbox_mails")
    idempotency_key = models.CharField(max_length=100, unique=True)
    message_id = models.CharField(max_length=998)
    raw = models.BinaryField()  # RFC 5322
    delivered_at = models.DateTimeField()

    class Meta:
        verbose_name = "sandbox mail"
        verbose_name_plural = "sandbox mail"
        ordering = ("id",)
        indexes: ClassVar = [models.Index(fields=["-delivered_at", "-id"], name="sandbox_mail_newest")]

    def __str__(self) -> str:
        return self.message_id


class SuppressionReason(models.TextChoices):
    BOUNCE = "bounce", "mail to it came back as undeliverable"
    COMPLAINT = "complaint", "mail to it was reported as unwanted"
    STOP = "stop", "asked for no more mail"
    STAFF = "staff", "added by staff"


class Suppression(models.Model):
    """An address that gets no mail from us, and why. Never deleted: staff lift it. See outreach/suppression.py."""

    id = models.BigAutoField(primary_key=True)
    # Lower case, the domain in ASCII; of somebody who was erased its fingerprint, see outreach/fingerprints.py.
    address = models.CharField(max_length=320, db_index=True)
    # null: for all clients, as what a mail system says is true of the mailbox, whoever writes to it
    client = models.ForeignKey(Client, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    reason = models.CharField(max_length=10, choices=SuppressionReason.choices)
    note = models.TextField(blank=True)  # what was said, for staff
    case = models.ForeignKey(Case, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    since = models.DateTimeField()
    added_by = models.CharField(max_length=200, blank=True)  # the person, as on the timeline; empty: the service
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_by = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ("-since", "-id")
        verbose_name = "suppressed address"
        verbose_name_plural = "suppressed addresses"
        indexes: ClassVar = [models.Index(fields=["-since", "-id"], name="suppression_newest")]
        constraints: ClassVar = [
            models.UniqueConstraint(
                name="suppression_once_for_all",
                fields=["address", "reason"],
                condition=Q(lifted_at__isnull=True, client__isnull=True),
            ),
            models.UniqueConstraint(
                name="suppression_once_a_client",
                fields=["address", "reason", "client"],
                condition=Q(lifted_at__isnull=True, client__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.address


class FingerprintKey(models.Model):
    """The one key of the fingerprints that stand in place of erased addresses; see outreach/fingerprints.py."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    encrypted = models.TextField(editable=False)  # see cases/encryption.py
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(name="fingerprint_key_only_one", condition=Q(id=1))]

    def __str__(self) -> str:
        return f"of {self.created_at:%Y-%m-%d}"


def _one_of(*names: str) -> Q:
    """Just one of the columns is not null."""
    alone = (Q(**{f"{other}__isnull": other != name for other in names}) for name in names)
    return reduce(or_, alone)


class NoticeState(models.TextChoices):
    WAITING = "WAITING", "to be sent"
    SENT = "SENT", "sent"
    NOT_NEEDED = "NOT_NEEDED", "no longer open when it was to be sent"
    FAILED = "FAILED", "could not be sent"


class NoticeHold(models.TextChoices):
    """Why a notice is not sent at once."""

    NONE = "", "not held"
    WINDOW = "WINDOW", "joins the next digest"
    QUIET = "QUIET", "quiet hours"
    PATIENCE = "PATIENCE", "only told of if nobody has decided by then"
    BEHIND = "BEHIND", "an earlier one could not be sent yet"


JOINED_AT_MOST = timedelta(hours=25)  # a leader is given up after a day of failures


class StaffNotice(DueRow):
    """What tells one recipient of one thing: a question, a draft, a mail that waits for staff, a parked endpoint.

    Sent at least once, alone or joined with others to one digest; a repeated one has the same Message-ID. Of a digest
    one row, the leader, carries the work; the others point at it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    question = models.ForeignKey(InputRequest, on_delete=models.CASCADE, null=True, related_name="notices")
    draft = models.ForeignKey(Draft, on_delete=models.CASCADE, null=True, related_name="+")
    payload = models.ForeignKey(InboundPayload, on_delete=models.CASCADE, null=True, related_name="+")
    parking = models.ForeignKey(Event, on_delete=models.CASCADE, null=True, related_name="+")  # a webhook.parked
    case = models.ForeignKey(Case, on_delete=models.CASCADE, null=True, related_name="+")  # null: of a mail
    address = models.CharField(max_length=320)  # of a webhook its host and a fingerprint, never its URL
    is_reminder = models.BooleanField(default=False)  # the second one, of a question that has waited too long
    state = models.CharField(max_length=10, choices=NoticeState.choices, default=NoticeState.WAITING)
    note = models.TextField(blank=True)  # why it failed, or was not needed
    created_at = models.DateTimeField()
    held_until = models.DateTimeField(null=True, blank=True)  # not before; null: it was never held
    hold = models.CharField(
        max_length=10, choices=NoticeHold.choices, default=NoticeHold.NONE, db_default=NoticeHold.NONE, blank=True
    )
    begun_at = models.DateTimeField(null=True, blank=True)  # from here it may be out there, alone or with its digest
    leader = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, related_name="joined")
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "notice to staff"
        verbose_name_plural = "notices to staff"
        ordering = ("-created_at", "-id")
        indexes: ClassVar = [
            due_index("notice_due"),
            TurnIndex("address", name="notice_turn"),
            models.Index(fields=["-created_at"], name="notice_for_staff", condition=Q(state="FAILED")),
            models.Index(fields=["address", "-sent_at"], name="notice_last_sent", condition=Q(state="SENT")),
            models.Index(fields=["address", "begun_at"], name="notice_waiting", condition=Q(state="WAITING")),
            models.Index(fields=["-created_at", "-id", "state"], name="notice_newest"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(name="notice_once_an_address", fields=["question", "address", "is_reminder"]),
            models.UniqueConstraint(name="notice_of_draft_once", fields=["draft", "address"]),
            models.CheckConstraint(
                name="notice_of_one_thing", condition=_one_of("question", "draft", "payload", "parking")
            ),
        ]

    def __str__(self) -> str:
        return self.address

    def due_facts(self) -> Iterator[datetime]:
        if self.state != NoticeState.WAITING:
            return
        if self.leader_id and self.begun_at:  # its leader sees to it, unless it is deleted
            yield self.begun_at + JOINED_AT_MOST
        else:
            yield self.held_until or self.created_at


class ModelCall(models.Model):
    """One request to a model: what it was for, what it used, and what was wrong with its answer if anything was."""

    id = models.BigAutoField(primary_key=True)
    case = models.ForeignKey(Case, on_delete=models.CASCADE, related_name="model_call_rows")
    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField()
    purpose = models.CharField(max_length=20)
    model = models.CharField(max_length=100)
    prompt_version = models.CharField(max_length=40, blank=True)
    prompt_tokens = models.PositiveIntegerField(default=0)
    completion_tokens = models.PositiveIntegerField(default=0)
    duration_ms = models.PositiveIntegerField(default=0)
    cost = models.DecimalField(
        max_digits=14, decimal_places=6
    )  # by the price table; 0 where it does not know the model
    fault = models.TextField(blank=True)

    class Meta:
        ordering = ("at", "id")
        indexes: ClassVar = [
            models.Index(fields=["client", "at"], name="model_call_of_client"),
            models.Index(fields=["at"], name="model_call_at"),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} by {self.model}"


class ProviderManager(DueManager):
    def left_alone(self) -> "models.QuerySet[Provider]":
        """Those that nobody calls now: down, or busy and in a pause."""
        providers: models.QuerySet[Provider] = self.filter(Q(is_down=True) | Q(paused_until__gt=current_time()))
        return providers


class Provider(models.Model):
    """How a service does that steps call, as all workers of all machines see it; see outreach/providers.

    No row: it has done well so far. Times are the database's.
    """

    name = models.CharField(max_length=200, primary_key=True)  # `model:api.example.com`, `agentmail`, `smtp:mail…:587`
    failures = models.PositiveIntegerField(default=0)  # in a row, since it last answered
    failing_since = models.DateTimeField(null=True, blank=True)  # the first of them
    failed_at = models.DateTimeField(null=True, blank=True)  # the last of them
    is_down = models.BooleanField(default=False)  # at `paused_until` one call is let through, to see whether it is back
    pauses = models.PositiveIntegerField(default=0)  # since it is down
    paused_until = models.DateTimeField(null=True, blank=True)  # nobody calls it before
    # The limit of calls; without `ramp_from` there is none. What it is at a moment: rules.rate_at.
    ramp_from = models.DateTimeField(null=True, blank=True)
    ramp_rate = models.FloatField(default=1.0)  # calls a second at `ramp_from`
    ramp_knee = models.FloatField(null=True, blank=True)  # up to this rate it grows fast; null: all the way
    slowed_at = models.DateTimeField(null=True, blank=True)  # when it last said that it is busy
    next_at = models.DateTimeField(null=True, blank=True)  # of the next call
    planned_until = models.DateTimeField(null=True, blank=True)  # the next place for a row that has to come again
    last_error = models.CharField(max_length=200, blank=True)  # in our own words
    last_error_at = models.DateTimeField(null=True, blank=True)

    objects = ProviderManager()
    now: datetime  # the database's time at the lock; set by `locked`

    class Meta:
        verbose_name = "provider"
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name
