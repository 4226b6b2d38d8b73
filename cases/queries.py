"""What clients ask for in the query of an address. Parameters that are not known are ignored, as fields are."""

import re
from datetime import timedelta
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request

from cases.fields import EPOCH, LATEST_MILLISECONDS, Line, Text
from cases.models import Status
from cases.shapes import Shape


class Digits(serializers.IntegerField):
    """A whole number, written in digits and nothing else."""

    def to_internal_value(self, data: Any) -> int:
        if not re.fullmatch("[0-9]{1,15}", data):
            self.fail("invalid")
        return int(data)


@extend_schema_field({"type": "integer", "format": "int64", "minimum": 0, "maximum": LATEST_MILLISECONDS})
class Moment(Digits):
    """Unix milliseconds, as an aware datetime."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"min_value": 0, "max_value": LATEST_MILLISECONDS, **options})

    def run_validation(self, data: Any = serializers.empty) -> Any:
        validated = super().run_validation(data)
        return EPOCH + timedelta(milliseconds=validated)


class PageQuery(Shape):
    limit = Digits(required=False, default=50, min_value=1, max_value=100, help_text="At most so many.")
    cursor = Line(required=False, help_text="The nextCursor of the page before.")

    @classmethod
    def of(cls, request: Request) -> dict[str, Any]:
        """The parameters, checked. Raises ValidationError, also for one that is given twice."""
        given = dict(request.query_params.lists())
        query = cls(data={name: values[0] for name, values in given.items()})
        query.is_valid(raise_exception=True)
        if twice := [name for name, values in given.items() if name in query.fields and len(values) > 1]:
            raise serializers.ValidationError({name: ["Must be given once."] for name in twice})
        return dict(query.validated_data)


class CasesQuery(PageQuery):
    status = serializers.ChoiceField(choices=Status.choices, required=False)
    clientReferenceId = Text(required=False, allow_blank=True, help_text="Exactly this one.")
    createdAfter = Moment(required=False, help_text="Unix time in milliseconds; later than that.")
    createdBefore = Moment(required=False, help_text="Unix time in milliseconds; earlier than that.")
