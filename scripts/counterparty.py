"""The other side of the demo's case: somebody with a mailbox. One for each transport."""

import base64
from collections.abc import Callable
from typing import Any, Protocol

Call = Callable[..., Any]  # method, path, body=None, *, expect=200 -> the answer's data
Manage = Callable[..., str]  # the arguments of manage.py -> what it prints


class Counterparty(Protocol):
    """Gets what the service sends, and answers it."""

    settings: dict[str, str]  # environment variables by which the service reaches it
    is_test: bool  # whether the application's key is a test key

    def set_up(self, manage: Manage) -> dict[str, str]:
        """Before anything else of the service runs: what its environment needs besides the settings."""

    def mails(self, call: Call, case_id: str) -> list[dict[str, str]]:
        """What has come for the case, oldest first: `raw` and `text` of each."""

    def reply(self, call: Call, case_id: str, text: str, *, pdf: bytes | None = None) -> None:
        """Answer the newest mail, with a file if there is one."""

    def close(self) -> None:
        """Go away."""


class Sandbox:
    """The counterparty that test keys have: the service plays it, and its API is the remote control."""

    settings: dict[str, str] = {}
    is_test = True

    def set_up(self, manage: Manage) -> dict[str, str]:
        return {}

    def mails(self, call: Call, case_id: str) -> list[dict[str, str]]:
        mails: list[dict[str, str]] = call("GET", f"/sandbox/cases/{case_id}/mails")["mails"]
        return mails

    def reply(self, call: Call, case_id: str, text: str, *, pdf: bytes | None = None) -> None:
        file = {"name": "confirmation.pdf", "type": "application/pdf"}
        files = [] if pdf is None else [{**file, "content": base64.b64encode(pdf).decode()}]
        call("POST", f"/sandbox/cases/{case_id}/reply", {"text": text, "attachments": files}, expect=202)

    def close(self) -> None: ...
