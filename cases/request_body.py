"""The body of a request, looked at on every route that may be sent one."""

from typing import Any

from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.request import Request


def body_of(request: Request, *, may_be_empty: bool = False) -> Any:
    """The parsed body. Raises what its parser raises, and UnsupportedMediaType where the route takes no such type.

    Where a body is required, that holds for an empty one, too. Where none is, tools that declare a type for an empty
    one (`curl -d ''`) do no harm; one with something in it is looked at all the same, and refused where it is broken.
    """
    data = request.data
    negotiator: Any = request.negotiator
    declared = request.content_type
    if declared and not may_be_empty and negotiator.select_parser(request, request.parsers) is None:
        raise UnsupportedMediaType(declared)
    return data
