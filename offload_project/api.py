"""How the API speaks: strict JSON in, one envelope out, one table of errors.

Success is `{"ok": true, "data": …}`, failure `{"ok": false, "error": {"code", "message", "details"?}}`, where `details`
is a list of `{"path", "message"}` with paths such as `counterparty.address` or `constraints[0]`.
"""

import json
import logging
import math
import re
from collections.abc import Callable, Iterator
from functools import wraps
from itertools import islice
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.http.response import HttpResponseBase
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.metadata import BaseMetadata
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.settings import api_settings

from cases.errors import CaseError
from offload_project.bodies import BodyBroken, BodyStalled

logger = logging.getLogger(__name__)

MAX_DEPTH = 64
MAX_DETAILS = 50


# One thing that is wrong with a request: `path` and `message`. The path is empty where it is wrong as a whole.
Detail = dict[str, str]


# --- Out ---


class EnvelopeRenderer(BaseRenderer):
    """A view's answer as `{"ok": true, "data": …}`, compact, in UTF-8. Failures do not come this way."""

    media_type = "application/json"
    format = "json"
    charset = None  # application/json has no such parameter (RFC 8259 §11)

    def render(self, data: Any, media_type: str | None = None, context: Any = None) -> bytes:
        return _encode({"ok": True, "data": data})


class AlwaysJSON(BaseContentNegotiation):
    """Whatever Accept says, the answer is the view's first renderer's: 406 would help nobody."""

    def select_parser(self, request: Request, parsers: Any) -> BaseParser | None:
        media_type = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == media_type), None)

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type


class NoMetadata(BaseMetadata):
    """OPTIONS is answered by its Allow header; what a route takes stands in the schema."""

    def determine_metadata(self, request: Request, view: Any) -> dict[str, Any]:
        return {}


def failure(
    status: int,
    code: str,
    message: str,
    details: list[Detail] | None = None,
    headers: dict[str, str] | None = None,
) -> HttpResponse:
    """The envelope of a failure, usable inside and outside of REST framework."""
    error: dict[str, Any] = {"code": code, "message": message}
    if details:
        error["details"] = details
    body = _encode({"ok": False, "error": error})
    return HttpResponse(body, status=status, content_type="application/json", headers=headers)


def success(data: Any) -> HttpResponse:
    """The envelope of a success, for views that are not REST framework's."""
    return HttpResponse(_encode({"ok": True, "data": data}), content_type="application/json")


def _encode(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain)
    return text.encode()


def _plain(value: Any) -> Any:
    """UUIDs, lazy texts and REST framework's ErrorDetail are written as their text."""
    return str(value)


# --- In ---


class StrictJSONParser(BaseParser):
    """`application/json` whose every value PostgreSQL can store and every client can read back (RFC 7493, I-JSON).

    The body must be one object in UTF-8, at most OFFLOAD_MAX_BODY_BYTES long (a view may set `max_body_bytes`) and 64
    levels deep. NaN, numbers beyond a double, NUL and lone surrogates are refused with the path at which they stand. Of
    duplicate keys the last one counts, as nearly every parser has it. An empty body never gets here: REST framework
    takes it for `{}`, which lacks whatever is required.
    """

    media_type = "application/json"

    def parse(self, stream: IO[bytes], media_type: str | None = None, context: Any = None) -> dict[str, Any]:
        """The body as a dict. Raises PayloadTooLarge, or ValidationError with details."""
        view = (context or {}).get("view")
        body = read_at_most(stream, getattr(view, "max_body_bytes", settings.OFFLOAD_MAX_BODY_BYTES))
        value = _decode(body)
        if not isinstance(value, dict):
            raise invalid("", "The body must be a JSON object.")
        if details := list(islice(_faults(value), MAX_DETAILS)):
            raise exceptions.ValidationError(details)
        return value


class PayloadTooLarge(exceptions.APIException):
    """The body is longer than this route takes."""

    status_code = 413
    default_code = "PAYLOAD_TOO_LARGE"


def read_at_most(stream: IO[bytes], limit: int) -> bytes:
    """The whole stream, of which no more than limit + 1 bytes are ever read. Raises PayloadTooLarge."""
    body = stream.read(limit + 1)
    if len(body) > limit:
        raise PayloadTooLarge(f"The body is larger than {limit} bytes.")
    return body


def invalid(path: str, message: str) -> exceptions.ValidationError:
    """The error to raise for one fault at one path."""
    return exceptions.ValidationError([{"path": path, "message": message}])


def _decode(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant, parse_int=_integer)
    except UnicodeDecodeError as error:
        raise invalid("", f"The body is not valid UTF-8 (at byte {error.start}).") from error
    except json.JSONDecodeError as error:
        raise invalid("", f"The body is not valid JSON: {error.msg} (at character {error.pos}).") from error
    except RecursionError as error:
        raise invalid("", f"The body is nested deeper than {MAX_DEPTH} levels.") from error


def _refuse_constant(name: str) -> Any:
    raise invalid("", f"The body is not valid JSON: {name} is not a number.")


def _integer(digits: str) -> int | float:
    # int() raises ValueError beyond 4300 digits. A double ends at 309; infinity is refused where its path is known.
    return int(digits) if len(digits) <= 400 else math.inf


_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def _faults(value: Any, path: str = "", depth: int = 1) -> Iterator[Detail]:
    """What JSON allows and this service does not, each with its path."""
    if isinstance(value, str):
        if _UNSTORABLE.search(value):
            yield {"path": path, "message": "Must not contain NUL characters or lone surrogates."}
    elif isinstance(value, (int, float)) and not _fits_double(value):
        yield {"path": path, "message": "The number is too large."}
    elif isinstance(value, (dict, list)) and depth > MAX_DEPTH:
        yield {"path": path[:200], "message": f"Nested deeper than {MAX_DEPTH} levels."}
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if not _is_harmless(item):
                yield from _faults(item, f"{path}[{index}]", depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            if _UNSTORABLE.search(key):
                yield {"path": path, "message": "A key contains NUL characters or lone surrogates."}
            elif not _is_harmless(item):
                yield from _faults(item, _join(path, key), depth + 1)


def _is_harmless(value: Any) -> bool:
    """Whether it is a text that nothing is wrong with, as nearly all values are: no path has to be told."""
    return isinstance(value, str) and not _UNSTORABLE.search(value)


def _fits_double(number: float) -> bool:
    try:
        return math.isfinite(float(number))
    except OverflowError:
        return False


def _join(path: str, key: str) -> str:
    return f"{path}.{key[:100]}" if path else key[:100]


# --- The table of errors ---

CODES = {
    400: "INVALID_REQUEST",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "REQUEST_TIMEOUT",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    429: "RATE_LIMITED",
    503: "NOT_READY",
}
MESSAGES = {
    400: "The request is not valid.",
    403: "You may not do that.",
    404: "There is nothing at this address.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    500: "Something went wrong on our side. It has been logged.",
}


def exception_handler(error: Exception, context: dict[str, Any]) -> HttpResponse:
    """The envelope for whatever a view raises; REST framework calls it (EXCEPTION_HANDLER).

    A request with neither a valid key nor a valid method is answered 401: who you are is looked at first.
    """
    if isinstance(error, CaseError) and error.status < 500:
        return failure(error.status, error.code, error.message, error.details)
    if isinstance(error, exceptions.ValidationError):
        return invalid_request(flatten(error.detail))
    if isinstance(error, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
        # Always 401: without a challenge (authenticate_header) REST framework would make it 403.
        challenge = getattr(error, "auth_header", None)
        headers = {"WWW-Authenticate": challenge} if challenge else {}
        return failure(401, CODES[401], str(error.detail), headers=headers)
    if isinstance(error, exceptions.APIException) and error.status_code in CODES:
        return failure(error.status_code, CODES[error.status_code], str(error.detail), headers=_headers(error))
    if isinstance(error, SuspiciousOperation | UnreadablePostError):
        return _unreadable(error)
    if isinstance(error, Http404):
        return failure(404, CODES[404], MESSAGES[404])
    if isinstance(error, PermissionDenied):
        return failure(403, CODES[403], MESSAGES[403])
    logger.error("unexpected error in %s", type(context.get("view")).__name__, exc_info=error)
    return failure(500, "INTERNAL_ERROR", MESSAGES[500])


def _unreadable(error: Exception) -> HttpResponse:
    """What Django or the buffer before it has to say about a request that no view could read."""
    if isinstance(error, RequestDataTooBig):
        return failure(413, CODES[413], MESSAGES[413])
    if isinstance(error, BodyStalled):
        return failure(408, CODES[408], MESSAGES[408])
    message = "The body is incomplete or malformed." if isinstance(error, BodyBroken) else MESSAGES[400]
    return failure(400, CODES[400], message)


def invalid_request(details: list[Detail]) -> HttpResponse:
    """400 INVALID_REQUEST whose message names the first fault, for those who read no further."""
    first = details[0] if details else {"path": "", "message": MESSAGES[400]}
    message = f"{first['path']}: {first['message']}" if first["path"] else first["message"]
    return failure(400, CODES[400], message, details[:MAX_DETAILS])


def flatten(errors: Any, path: str = "") -> list[Detail]:
    """REST framework's nested errors as a flat list. Serializers use the API's own names, so none is translated."""
    if isinstance(errors, dict):
        if errors.keys() == {"path", "message"} and isinstance(errors["message"], str):
            return [{"path": str(errors["path"]), "message": str(errors["message"])}]
        return [detail for key, value in errors.items() for detail in flatten(value, _step(path, key))]
    if isinstance(errors, list):
        return [
            detail
            for index, item in enumerate(errors)
            for detail in flatten(item, path if isinstance(item, str) or _is_detail(item) else f"{path}[{index}]")
        ]
    return [{"path": path, "message": str(errors)}]


def _is_detail(item: Any) -> bool:
    return isinstance(item, dict) and item.keys() == {"path", "message"}


def _step(path: str, key: Any) -> str:
    if isinstance(key, int):
        return f"{path}[{key}]"
    return path if key == api_settings.NON_FIELD_ERRORS_KEY else _join(path, str(key))


def _headers(error: exceptions.APIException) -> dict[str, str]:
    # REST framework itself adds Allow to every answer of a view.
    wait = getattr(error, "wait", None)  # Throttled has it, in whole seconds
    return {} if wait is None else {"Retry-After": str(wait)}


# --- Outside of REST framework ---


def read_only(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Let a plain view answer GET and HEAD; anything else is 405 in the envelope."""

    @csrf_exempt  # else a POST were told about a missing token, not about its method
    @wraps(view)
    def answer(request: HttpRequest) -> HttpResponseBase:
        if request.method in {"GET", "HEAD"}:
            return view(request)
        message = f'Method "{request.method}" not allowed.'
        return failure(405, CODES[405], message, headers={"Allow": "GET, HEAD"})

    return answer


def refuse_nul(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: 400 for an address with a NUL in it, which PostgreSQL refuses as a parameter by an exception."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if "\0" in request.path_info or "%00" in request.META.get("QUERY_STRING", ""):
            return failure(400, CODES[400], "The address contains a NUL character.")
        return get_response(request)

    return middleware


def guard_static(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: 405 in the envelope for what is not a reading of a static file; WhiteNoise's would be bare."""
    read = read_only(get_response)

    def middleware(request: HttpRequest) -> HttpResponseBase:
        is_static = f"{request.path_info}/".startswith(settings.STATIC_URL)
        return read(request) if is_static else get_response(request)

    return middleware


def _is_page(request: HttpRequest) -> bool:
    return request.path_info.startswith("/admin/")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Django's handler400: an unknown Host, a body beyond Django's own limits."""
    if _is_page(request):
        return defaults.bad_request(request, exception)
    return _unreadable(exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Django's handler403."""
    return (
        defaults.permission_denied(request, exception) if _is_page(request) else failure(403, CODES[403], MESSAGES[403])
    )


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Django's handler404: an unknown route is one with and without a key."""
    return defaults.page_not_found(request, exception) if _is_page(request) else failure(404, CODES[404], MESSAGES[404])


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Django's handler500; Django has logged the traceback."""
    return defaults.server_error(request) if _is_page(request) else failure(500, "INTERNAL_ERROR", MESSAGES[500])
