"""What can go wrong with a case, in the API's own codes. One handler (offload_project/api.py) words the answer."""

from typing import ClassVar


class CaseError(Exception):
    """The base of all; `code` and `status` are what a client sees. Trying again does not help unless it says so."""

    code: ClassVar[str] = "INVALID_REQUEST"
    status: ClassVar[int] = 400
    message: str = "The request can't be carried out."

    def __init__(self, message: str | None = None, details: list[dict[str, str]] | None = None) -> None:
        self.message = message or self.message
        self.details = details
        super().__init__(self.message)


class InvalidCase(CaseError):
    """The case can't be created as it was posted; `details` says where."""

    message = "The request is not valid."


class InvalidResult(CaseError):
    """A result that does not satisfy the case's resultSchema; `details` says where."""

    message = "The result does not satisfy the case's resultSchema."


class Forbidden(CaseError):
    code, status, message = "FORBIDDEN", 403, "You may not see this case."


class CaseNotFound(CaseError):
    code, status, message = "CASE_NOT_FOUND", 404, "There is no such case."


class AttachmentNotFound(CaseError):
    code, status, message = "ATTACHMENT_NOT_FOUND", 404, "There is no such attachment on this case."


class CaseNotWaitingForInput(CaseError):
    code, status, message = "CASE_NOT_WAITING_FOR_INPUT", 409, "The case is not waiting for input."


class InputRequestNotPending(CaseError):
    code, status, message = "INPUT_REQUEST_NOT_PENDING", 409, "The question has already been answered."


class InputRequestMismatch(CaseError):
    code, status, message = "INPUT_REQUEST_MISMATCH", 409, "This is not the question that the case is waiting on."


class CaseAlreadyFinished(CaseError):
    code, status, message = "CASE_ALREADY_FINISHED", 409, "The case has already finished."


class NothingSentYet(CaseError):
    code, status, message = "NOTHING_SENT_YET", 409, "No mail has been sent for this case yet."


class MessageBeingSent(CaseError):
    """Trying again in a moment helps."""

    code, status, message = "MESSAGE_BEING_SENT", 409, "A mail of this case is being sent right now. Try again shortly."


class IdempotencyKeyReused(CaseError):
    code, status, message = "IDEMPOTENCY_KEY_REUSED", 422, "The Idempotency-Key has been used for another request."


class IdempotencyKeyInUse(CaseError):
    """Trying again in a moment helps."""

    code, status = "IDEMPOTENCY_KEY_IN_USE", 409
    message = "The first request with this Idempotency-Key is still being answered. Try again shortly."


class IllegalTransition(CaseError):
    """A status change that the lifecycle does not know: a programming error, not the client's."""

    code, status, message = "INTERNAL_ERROR", 500, "The case can't change its state like this."
