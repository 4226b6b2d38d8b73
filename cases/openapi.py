"""What the OpenAPI document is told that REST framework's classes don't say by themselves.

Views describe their data, and with `codes` their own error codes; the envelope around both is added to the whole
document.
"""

from typing import Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiResponse

from cases.fields import Line, Text


class OperationSchema(AutoSchema):
    """drf-spectacular's, but that lists are never bare, and a viewset's docstring is not repeated at its routes."""

    def get_description(self) -> str:
        action = getattr(self.view, getattr(self.view, "action", ""), None)
        return (getattr(action, "__doc__", None) and super().get_description()) or ""

    def _is_list_view(self, serializer: Any = None) -> bool:
        return False  # an action named `list` answers an object too, with the list and its cursor


def codes(*codes: str) -> OpenApiResponse:
    """A failure of a route's own, with one of these codes; for the `responses` of extend_schema."""
    return OpenApiResponse({"enum": list(codes)}, description=" or ".join(codes))


class TextExtension(OpenApiSerializerFieldExtension):
    """What Text and Line refuse, as a pattern. It is for readers: the fields themselves match no such pattern."""

    target_class = Text
    match_subclasses = True

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        schema: dict[str, Any] = auto_schema._map_serializer_field(self.target, direction, bypass_extensions=True)
        if not isinstance(self.target, Line):
            return schema if self.target.allow_blank else {**schema, "pattern": r"\S"}
        refused = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
        some = f"[^{refused}]*"
        return {**schema, "pattern": f"^{some}$" if self.target.allow_blank else f"^{some}[^\\s{refused}]{some}$"}
