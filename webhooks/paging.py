"""Events in pages, newest first. A cursor names the last event of a page, so that new ones move nobody's place."""

import base64
import binascii
import uuid
from datetime import UTC, datetime, timedelta

from django.db.models import Q, QuerySet
from rest_framework.exceptions import ValidationError

from cases.payload_parts import milliseconds
from webhooks.models import Delivery

NEWEST_FIRST = ("-created_at", "-id")


def page(deliveries: QuerySet[Delivery], limit: int, cursor: str | None) -> tuple[list[Delivery], str | None]:
    """Up to `limit` events behind the cursor, and the cursor to the next ones. Raises ValidationError."""
    rows = list(deliveries.filter(_behind(cursor) if cursor else Q()).order_by(*NEWEST_FIRST)[: limit + 1])
    shown = rows[:limit]
    return shown, _cursor(shown[-1]) if len(rows) > limit else None


def _cursor(last: Delivery) -> str:
    text = f"{milliseconds(last.created_at)}_{last.pk.hex}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _behind(cursor: str) -> Q:
    try:
        at, _, key = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii").partition("_")
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(at))
        pk = uuid.UUID(key)
    except (ValueError, OverflowError, binascii.Error) as error:
        raise ValidationError({"cursor": ["Not a cursor of this list."]}) from error
    return Q(created_at__lt=moment) | Q(created_at=moment, pk__lt=pk)
