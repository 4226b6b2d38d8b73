"""What clients send about their webhooks, in the API's words."""

from typing import Any

from rest_framework import serializers

from cases.fields import Line, WebhookUrl
from cases.queries import PageQuery
from webhooks.models import DeliveryState


class Flag(serializers.BooleanField):
    """true or false, and nothing that one could take for it."""

    def to_internal_value(self, data: Any) -> bool:
        if type(data) is not bool:
            self.fail("invalid", input=data)
        return data


class EventQuery(PageQuery):
    """The query of GET /events."""

    type = Line(required=False, help_text="Only events of this type, such as `case.failed`.")
    state = serializers.ChoiceField(choices=DeliveryState.values, required=False)
    caseId = Line(required=False, help_text="Only events of this case.")


class NewTest(serializers.Serializer[Any]):
    """The body of POST /webhooks/test."""

    url = WebhookUrl(required=False, help_text="Where to; without one, the URL of your newest case that has one.")
    replayParked = Flag(
        required=False, default=False, help_text="After a success, send what was kept for the endpoint: 1000 at most."
    )
