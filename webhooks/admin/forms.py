"""What staff may decide for an endpoint."""

from datetime import UTC, datetime
from typing import Self

from django import forms
from django.db.models import QuerySet

from cases.admin.forms import WallTime, WithoutColons
from webhooks import replay
from webhooks.models import Delivery, DeliveryState, Endpoint


class ParkForm(WithoutColons, forms.Form):
    """Why nothing is to be sent any more."""

    reason = forms.CharField(label="Reason", max_length=500, help_text="The client reads it, too.")


class UnparkForm(WithoutColons, forms.Form):
    """What becomes of the events that were kept."""

    replay = forms.BooleanField(label="Send what was kept, too", required=False, initial=True)


class ReplayForm(WithoutColons, forms.Form):
    """Which events are sent once more."""

    moment = WallTime(label="Since (UTC)")
    whose = forms.ChoiceField(
        label="Events", choices=[("endpoint", "of this endpoint"), ("client", "of all endpoints of its client")]
    )
    with_delivered = forms.BooleanField(label="Also those that have arrived", required=False)
    confirmed = forms.BooleanField(
        label="Yes: send them to the client now",
        error_messages={"required": "Tick this to send them."},
    )

    @classmethod
    def since(cls, moment: datetime) -> Self:
        """An empty form that begins with that moment."""
        return cls(initial={"moment": moment.astimezone(UTC).replace(second=0, microsecond=0, tzinfo=None)})

    def would_send(self, endpoint: Endpoint) -> int | None:
        """How many events a form means that lacks nothing but the confirmation; None for any other."""
        if set(self.errors) != {"confirmed"}:
            return None
        return self.chosen(endpoint).exclude(state=DeliveryState.WAITING).count()

    def clean_moment(self) -> datetime:
        moment: datetime = self.cleaned_data["moment"]
        return moment.replace(tzinfo=UTC)

    def chosen(self, endpoint: Endpoint) -> QuerySet[Delivery]:
        """The deliveries that the valid form means."""
        wanted = self.cleaned_data
        of = {"client": endpoint.client_id} if wanted["whose"] == "client" else {"endpoint": endpoint}
        rows = replay.since(Delivery.objects.filter(**of), wanted["moment"])
        return rows if wanted["with_delivered"] else rows.exclude(state=DeliveryState.DELIVERED)
