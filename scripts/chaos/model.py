"""The model: a server that judges what Ann writes as a careful person would, and counts how often it was asked."""

import re
from collections import Counter
from typing import Any

from evaluation import model_server
from evaluation.model_server import ModelServer, Request, Step
from scripts.chaos.outside import Outage
from scripts.chaos.post import ANSWER, ASKS, DATE, REFUSES, TALKS

HANG_SECONDS = 6.0
_OUTAGES = {
    "busy": lambda: model_server.failing(503),
    "limited": lambda: model_server.failing(429, retry_after=1),
    "hang": lambda: Step(status=503, body=b"{}", wait_seconds=HANG_SECONDS),
    "refuse": model_server.resetting,
    "lost": model_server.resetting,
}


class Model:
    """In a process of its own."""

    def __init__(self) -> None:
        self.outage = Outage()
        self.evaluations: Counter[str] = Counter()
        self.server = ModelServer(self._answer)
        self.server.__enter__()

    def settings(self) -> dict[str, str]:
        return {"OPENAI_BASE_URL": self.server.url, "OPENAI_API_KEY": "none", "OFFLOAD_MODEL": "stand-in"}

    def fail(self, how: str, seconds: float) -> None:
        self.outage.begin(how, seconds)

    def counted(self) -> dict[str, int]:
        """How many evaluations were asked for, by the case's reference."""
        return dict(self.evaluations)

    def _answer(self, request: Request) -> Step:
        self.server.requests.clear()  # nobody reads them, and there are thousands
        if down := self.outage.now:
            return _OUTAGES[down]()
        return model_server.says(self._said(request.purpose, request.data))

    def _said(self, purpose: str, data: dict[str, Any]) -> dict[str, Any]:
        objective = data["client"]["goal"]["objective"]
        reference = re.search(r"order (\S+)\.", objective)
        if purpose == "check":
            return {"allowed": True, "faults": []}
        if purpose != "evaluation":
            return {"subject": f"Order {reference and reference[1]}", "body": f"Hello Ann,\n\n{objective}"}
        self.evaluations[reference[1] if reference else "?"] += 1
        return verdict(data)


def verdict(data: dict[str, Any]) -> dict[str, Any]:
    """What the thread says so far, in the wire names of an evaluation."""
    theirs = [mail for mail in data["thread"] if mail.get("from") == "counterparty"]
    given = next((mail for mail in theirs if DATE in mail["text"]), None)
    if given:
        source = {"path": "/deliveryDate", "source_id": given["id"], "quote": DATE}
        return {"decision": "GOAL_ACHIEVED", "result": {"deliveryDate": "2026-12-14"}, "sources": [source]}
    said = "\n".join(mail["text"] for mail in theirs)
    answers = [answer["text"] for answer in data["answers"] if ANSWER in answer["text"]]
    if REFUSES in said:
        return {"decision": "REJECTED", "reason": "They don't deliver any more."}
    if ASKS in said and not answers:
        return {"decision": "INPUT_NEEDED", "question": "In one piece, or in two?", "reason": "They ask."}
    if ASKS in said:
        return {"decision": "REPLY", "reply_body": answers[-1], "reason": "The client has answered."}
    if TALKS in said:
        return {"decision": "REPLY", "reply_body": "For the warehouse in Bern.", "reason": "The goal says it."}
    return {"decision": "WAIT", "reason": "Nothing has come yet."}
