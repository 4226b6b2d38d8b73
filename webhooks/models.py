import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from django.db import models
from django.db.models import Q

from cases.models import Case, Client, DueRow, Event, TurnIndex, due_index
from cases.models.due import DueManager

if TYPE_CHECKING:
    from webhooks.sender import Outcome


class SigningSecret(models.Model):
    """A client's secret under which its webhooks are signed. Only encrypted here; see webhooks/signing.py."""

    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="signing_secrets")
    encrypted = models.TextField(editable=False)  # a Fernet token
    created_at = models.DateTimeField()
    retires_at = models.DateTimeField(null=True, blank=True)  # null: no successor yet

    class Meta:
        ordering = ("-created_at", "-id")

    def __str__(self) -> str:
        return f"of {self.client}, {self.created_at:%Y-%m-%d}"


USUAL_PORTS = {"http": ":80", "https": ":443"}


def shown(origin: str) -> str:
    """An endpoint's origin as people write it, without the port that its scheme has anyway; words where it is none."""
    return origin.removesuffix(USUAL_PORTS.get(origin.partition(":")[0], "")) or "an address that is none"


class EndpointManager(models.Manager["Endpoint"]):
    def locked(self, pk: int) -> "Endpoint":
        """The row, locked until the transaction ends; deliveries may point at it meanwhile.

        Whoever locks several rows takes them in this order: case, endpoint, delivery.
        """
        return self.select_for_update(of=("self",), no_key=True).get(pk=pk)


class Endpoint(models.Model):
    """The server behind a client's webhook URLs: whatever shares scheme, host and port fails together."""

    client = models.ForeignKey(Client, on_delete=models.CASCADE, related_name="endpoints")
    origin = models.CharField(max_length=300)  # https://host:port; "" for a URL that is none
    created_at = models.DateTimeField()
    last_success_at = models.DateTimeField(null=True, blank=True)
    last_failure_at = models.DateTimeField(null=True, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True)  # its first failure since the last success
    failures = models.PositiveIntegerField(default=0)  # in a row
    parked_at = models.DateTimeField(null=True, blank=True)  # null: its events are sent; see webhooks/endpoints.py
    parked_reason = models.TextField(blank=True)
    rests_until = models.DateTimeField(null=True, blank=True)  # after long waits in vain; null: it is called as usual

    objects: ClassVar[EndpointManager] = EndpointManager()

    class Meta:
        ordering = ("origin",)
        constraints: ClassVar = [
            models.UniqueConstraint(name="endpoint_once_a_client", fields=["client", "origin"]),
        ]

    def __str__(self) -> str:
        return self.shown

    @property
    def shown(self) -> str:
        return shown(self.origin)

    @property
    def is_parked(self) -> bool:
        return self.parked_at is not None


class DeliveryState(models.TextChoices):
    WAITING = "WAITING", "to be delivered"
    DELIVERED = "DELIVERED", "delivered"
    EXHAUSTED = "EXHAUSTED", "given up after the last attempt"
    FAILED = "FAILED", "could not be attempted"  # our own failure; for staff
    PARKED = "PARKED", "kept, since its endpoint is parked"


class DeliveryManager(DueManager):
    def waiting(self, case_id: uuid.UUID) -> "models.QuerySet[Delivery]":
        """The case's deliveries that have not ended, in the order in which the client must hear of them."""
        return self.filter(case_id=case_id, state=DeliveryState.WAITING).order_by("sequence")


class Delivery(DueRow):
    """One event on its way to the client: the same bytes under the same id, however often it is tried.

    Deliveries of a case go out one after the other; only the first that has not ended is ever due.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    client = models.ForeignKey(Client, on_delete=models.PROTECT, related_name="deliveries")
    case = models.ForeignKey(Case, on_delete=models.CASCADE, related_name="deliveries")
    endpoint = models.ForeignKey(Endpoint, on_delete=models.PROTECT, related_name="deliveries")
    timeline_event = models.ForeignKey(Event, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    event_id = models.CharField(max_length=120, unique=True)  # what clients tell repetitions by
    event_type = models.CharField(max_length=60)
    url = models.TextField()
    body = models.BinaryField()  # the exact bytes, never changed
    sequence = models.PositiveIntegerField()  # within the case, from 1
    state = models.CharField(max_length=10, choices=DeliveryState.choices, default=DeliveryState.WAITING)
    attempt_count = models.PositiveIntegerField(default=0)
    attempts_before = models.PositiveIntegerField(default=0)  # of them, before the schedule was last begun anew
    created_at = models.DateTimeField()
    next_attempt_at = models.DateTimeField()
    delivered_at = models.DateTimeField(null=True, blank=True)
    note = models.TextField(blank=True)  # why it was handed to staff

    objects: ClassVar[DeliveryManager] = DeliveryManager()
    stands_first = False  # known to whoever has just seen, while holding the case, that nothing is ahead of it

    class Meta:
        ordering = ("-created_at", "-sequence")
        verbose_name_plural = "deliveries"
        indexes: ClassVar = [
            due_index("delivery_due"),
            TurnIndex("endpoint", name="delivery_turn"),
            models.Index(fields=["-created_at"], name="delivery_newest"),
            models.Index(fields=["-created_at", "-sequence", "-id", "state"], name="delivery_newest_first"),
            models.Index(fields=["endpoint"], name="delivery_kept", condition=Q(state="PARKED")),
            models.Index(fields=["client", "-created_at", "-id"], name="delivery_of_client"),
            models.Index(fields=["endpoint"], name="delivery_held", condition=Q(lease_until__isnull=False)),
            models.Index(
                fields=["-created_at"],
                name="delivery_for_staff",
                condition=Q(state__in=["EXHAUSTED", "FAILED", "PARKED"]),
            ),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(name="delivery_in_order", fields=["case", "sequence"]),
        ]

    def __str__(self) -> str:
        return self.event_id

    def attempt(self, started_at: datetime, outcome: "Outcome") -> "Attempt":
        """One more attempt, counted here; neither is saved. For a row that is held locked."""
        self.attempt_count += 1
        return Attempt(
            delivery=self,
            number=self.attempt_count,
            started_at=started_at,
            duration_ms=outcome.duration_ms,
            status=outcome.status,
            response_headers=outcome.headers,
            response_body=outcome.text,
            error=outcome.error,
        )

    def due_facts(self) -> Iterator[datetime]:
        if self.state == DeliveryState.WAITING and (self.stands_first or not self.is_behind_another()):
            yield self.next_attempt_at

    def is_behind_another(self) -> bool:
        """Whether an earlier event of the case has still to reach the client."""
        return Delivery.objects.waiting(self.case_id).filter(sequence__lt=self.sequence).exists()


class Attempt(models.Model):
    """One call of the endpoint, and what came of it; for staff to read."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()  # from 1
    started_at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField()
    status = models.PositiveIntegerField(null=True, blank=True)  # HTTP; null: no answer
    response_headers = models.JSONField(default=dict, blank=True)
    response_body = models.TextField(blank=True)  # its first 4 KB
    error = models.TextField(blank=True)

    class Meta:
        ordering = ("number",)
        constraints: ClassVar = [
            models.UniqueConstraint(name="attempt_numbered_once", fields=["delivery", "number"]),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number}: {self.status or self.error}"


class EndpointTest(models.Model):
    """When a client last had one of its endpoints tested; see webhooks/trial.py."""

    client = models.OneToOneField(Client, on_delete=models.CASCADE, primary_key=True, related_name="+")
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"of {self.client}"
