import uuid
from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import Q

from cases.models.cases import Case
from cases.models.claims import Claimable
from cases.models.json import KeptJSONField


class RequestStatus(models.TextChoices):
    PENDING = "PENDING"
    RESOLVED = "RESOLVED"  # answered
    SUPERSEDED = "SUPERSEDED"  # a later question took its place
    CLOSED = "CLOSED"  # the case ended, or went on without the answer


class InputRequestQuerySet(models.QuerySet["InputRequest"]):
    def unused_answers(self) -> "InputRequestQuerySet":
        """Answers that no mail and no verdict has made use of yet."""
        return self.filter(status=RequestStatus.RESOLVED, used_at__isnull=True)


class InputRequest(Claimable):
    """A question that only a human can decide."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    case = models.ForeignKey(Case, on_delete=models.CASCADE, related_name="input_requests")
    question = models.TextField()
    reason = models.TextField(blank=True)  # why it is asked; for staff
    # What an answer may look like, where the agent offers it. A help for whoever answers: any text is accepted.
    options = KeptJSONField(null=True, blank=True)  # list of texts
    answer_schema = KeptJSONField(null=True, blank=True)  # JSON Schema
    # What the agent would do, and has found out so far: {reply, faults, values, sources}, each where there is any.
    # Values have their sources, as those of a result do. For staff: clients do not see it.
    proposal = KeptJSONField(null=True, blank=True)
    # Asked by the service about itself ("sending has failed for a day"): the answer lets the case go on where it stood,
    # and is not told to the counterparty.
    is_operational = models.BooleanField(default=False)
    # Of an operational one: the agent's question whose place it took, which is asked again afterwards.
    displaced = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    status = models.CharField(max_length=10, choices=RequestStatus.choices, default=RequestStatus.PENDING)
    requested_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)  # answered, superseded or closed
    provided_context = models.TextField(blank=True)
    answered_by = models.CharField(max_length=200, blank=True)  # the actor, as on the timeline
    used_at = models.DateTimeField(null=True, blank=True)
    used_by = models.ForeignKey("cases.Message", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    objects = InputRequestQuerySet.as_manager()

    class Meta:
        ordering = ("-requested_at", "-id")
        verbose_name = "question"
        constraints: ClassVar = [
            models.UniqueConstraint(
                name="input_request_one_pending_a_case", fields=["case"], condition=Q(status=RequestStatus.PENDING)
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["requested_at"], name="input_request_pending", condition=Q(status="PENDING")),
            models.Index(
                fields=["resolved_at"], name="input_request_settled", condition=Q(resolved_at__isnull=False)
            ),  # for what was answered on a day
            models.Index(fields=["-requested_at", "-id", "status"], name="input_request_newest"),
        ]

    def __str__(self) -> str:
        return self.question[:80]

    @property
    def is_pending(self) -> bool:
        return self.status == RequestStatus.PENDING

    @property
    def last_change(self) -> tuple[datetime, datetime]:
        """Which of several questions was resolved, or else asked, last."""
        return self.resolved_at or self.requested_at, self.requested_at
