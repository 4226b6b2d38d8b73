"""Serializers that cost less than what they check: their declared fields are copied as they stand.

REST framework makes each field anew for each request, from the arguments that it was declared with, and copies of
those: so that a serializer may change its own fields. For a body as large as that of POST /cases this takes as long as
all its checks. Nobody changes a field here, so that a request's fields differ from the declared ones by their parent.
"""

from typing import Any

from rest_framework import serializers


class Shape(serializers.Serializer[Any]):
    # No docstring: the OpenAPI document would take it for what every body is about.

    def get_fields(self) -> dict[str, Any]:
        return {name: _unbound(field) for name, field in self._declared_fields.items()}


def _unbound(declared: Any) -> Any:
    """The field as it was declared, to be bound to another parent; what it consists of is shared."""
    field = type(declared).__new__(type(declared), *declared._args, **declared._kwargs)
    field.__dict__.update(declared.__dict__)
    field.__dict__.pop("fields", None)  # of a serializer within, bound to it, where somebody has looked at them
    child = declared.__dict__.get("child")  # of a list or a map
    if child is not None:
        field.child = _unbound(child)
        field.child.parent = field
    return field
