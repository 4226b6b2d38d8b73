"""How AgentMail refuses a request."""

from typing import Any


class Refused(Exception):
    """A request that is answered by an error, in AgentMail's words."""

    def __init__(self, status: int, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"name": f"{code.title().replace('_', '')}Error", "code": code, "message": message, **more}


def not_found(what: str) -> Refused:
    return Refused(404, "not_found", f"{what} not found")


def invalid(path: str, message: str) -> Refused:
    """400 as AgentMail words it: with a list, and without a message."""
    refused = Refused(400, "validation_error", message, errors=[{"path": [path], "message": message}])
    del refused.body["message"]
    return refused
