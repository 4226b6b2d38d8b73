"""The body of a request, looked at on every route that may be sent one."""

from typing import Any

from django.conf import settings
from rest_framework.exceptions import APIException, UnsupportedMediaType
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


class BodyTooLarge(APIException):
    """The body is larger than the route takes."""

    status_code = 413


def check_length(request: Request, *, besides: int) -> None:
    """Raise BodyTooLarge where the body is longer than OFFLOAD_MAX_BODY_BYTES without so many characters of it."""
    if int(request.META.get("CONTENT_LENGTH") or 0) - besides > settings.OFFLOAD_MAX_BODY_BYTES:
        raise BodyTooLarge(f"The body is larger than {settings.OFFLOAD_MAX_BODY_BYTES} bytes, its files left out.")
