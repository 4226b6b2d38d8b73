"""What can go wrong, by the API's own codes: `except CaseNotFound`, or a whole kind: `except Conflict`."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class OffloadError(Exception):
    """The base of all."""


class ConnectionFailed(OffloadError):
    """No answer has come, so whether the service has carried the request out is unknown. The cause is httpx's error."""


class AnswerMalformed(OffloadError):
    """An answer came that is none of the API: from a proxy, say, or of another service."""


class NotInTime(OffloadError):
    """A case has not come to what was waited for."""


class DownloadIncomplete(OffloadError):
    """A file has come shorter or longer than announced. Asking for it again helps."""


class WebhookInvalid(OffloadError):
    """Not signed with the secret, or at another time, or no event. Answer 400 and do nothing."""


class ApiError(OffloadError):
    """The service has refused the request.

    `code` is the API's; `details` lists what is wrong with a body as `{"path", "message"}`; `retry_after_seconds` is
    what the service asks to wait, where it does.
    """

    by_code: ClassVar[dict[str, type["ApiError"]]] = {}
    by_status: ClassVar[dict[int, type["ApiError"]]] = {}

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: Sequence[Mapping[str, Any]] = (),
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(f"{code} ({status}): {message}")
        self.status, self.code, self.message = status, code, message
        self.details = list(details)
        self.retry_after_seconds = retry_after_seconds

    def __init_subclass__(cls, code: str = "", status: int = 0) -> None:
        if code:
            cls.by_code[code] = cls
        if status:
            cls.by_status[status] = cls

    @classmethod
    def of(cls, status: int, code: str, *arguments: Any) -> "ApiError":
        """The error of the code's class; of the status's, where a later version of the service has a new code."""
        kind = cls.by_code.get(code) or cls.by_status.get(status, cls)
        return kind(status, code, *arguments)


class InvalidRequest(ApiError, code="INVALID_REQUEST", status=400): ...


class Unauthorized(ApiError, code="UNAUTHORIZED", status=401): ...


class Forbidden(ApiError, code="FORBIDDEN", status=403): ...


class NotFound(ApiError, code="NOT_FOUND", status=404): ...


class CaseNotFound(NotFound, code="CASE_NOT_FOUND"): ...


class AttachmentNotFound(NotFound, code="ATTACHMENT_NOT_FOUND"): ...


class DraftNotFound(NotFound, code="DRAFT_NOT_FOUND"): ...


class EventNotFound(NotFound, code="EVENT_NOT_FOUND"): ...


class MethodNotAllowed(ApiError, code="METHOD_NOT_ALLOWED", status=405): ...


class RequestTimeout(ApiError, code="REQUEST_TIMEOUT", status=408): ...


class Conflict(ApiError, status=409): ...


class CaseNotWaitingForInput(Conflict, code="CASE_NOT_WAITING_FOR_INPUT"): ...


class InputRequestNotPending(Conflict, code="INPUT_REQUEST_NOT_PENDING"): ...


class InputRequestMismatch(Conflict, code="INPUT_REQUEST_MISMATCH"): ...


class CaseAlreadyFinished(Conflict, code="CASE_ALREADY_FINISHED"): ...


class CaseNotFinished(Conflict, code="CASE_NOT_FINISHED"): ...


class CaseAlreadyReopened(Conflict, code="CASE_ALREADY_REOPENED"): ...


class AlreadySent(Conflict, code="ALREADY_SENT"): ...


class DraftNotPending(Conflict, code="DRAFT_NOT_PENDING"): ...


class DraftChanged(Conflict, code="DRAFT_CHANGED"): ...


class EventNotEnded(Conflict, code="EVENT_NOT_ENDED"): ...


class IdempotencyKeyInUse(Conflict, code="IDEMPOTENCY_KEY_IN_USE"): ...


class NotASandboxCase(Conflict, code="NOT_A_SANDBOX_CASE"): ...


class NothingSentYet(Conflict, code="NOTHING_SENT_YET"): ...


class PayloadTooLarge(ApiError, code="PAYLOAD_TOO_LARGE", status=413): ...


class UnsupportedMediaType(ApiError, code="UNSUPPORTED_MEDIA_TYPE", status=415): ...


class IdempotencyKeyReused(ApiError, code="IDEMPOTENCY_KEY_REUSED", status=422): ...


class RateLimited(ApiError, code="RATE_LIMITED", status=429): ...


class ServerError(ApiError, code="INTERNAL_ERROR", status=500): ...


class NotReady(ApiError, code="NOT_READY", status=503): ...
