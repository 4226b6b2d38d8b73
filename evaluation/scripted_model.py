"""What the stand-in for a model answers: the scenario's script, purpose by purpose, always the same."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from evaluation import model_server
from evaluation.model_server import Request, Step
from evaluation.scenario import FAULTS, Scenario

WIRE_NAMES = {
    "outreach": "outreach_message",
    "follow_up": "outreach_message",
    "reply": "outreach_message",
    "closing": "outreach_message",
    "evaluation": "reply_evaluation",
    "check": "draft_check",
}
_FAULTY: Mapping[str, Callable[[], Step]] = {
    "rate_limited": lambda: model_server.failing(429, retry_after=0),
    "server_error": lambda: model_server.failing(500),
    "cut": model_server.cut,
    "refusal": model_server.refusing,
    "tool_call": model_server.calling_tool,
    "empty": model_server.silent,
    "garbage": model_server.garbage,
    "reset": model_server.resetting,
}
assert set(_FAULTY) == set(FAULTS)  # noqa: S101 (the words that scenarios may use)
_EMPTY_EVALUATION: dict[str, Any] = {
    "decision": "INPUT_NEEDED",
    "result": None,
    "sources": [],
    "reply_body": "",
    "question": "",
    "reason": "",
    "wait_until": None,
}


class ScriptedModel:
    """Answers requests in the order of the script; its last answer for a purpose goes on being given.

    Where the script has none, drafts are plain, checks allow, and evaluations ask a human.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.script = scenario.script
        self.objective = str(scenario.case["goal"]["objective"])
        self.ids: dict[str, str] = {}
        self.given: Counter[str] = Counter()
        self.last_reply_body = ""

    def know(self, ids: Mapping[str, str]) -> None:
        """What `reply-1`, `file-1`, `answer-1` … in the script's sources stand for from now on."""
        self.ids = dict(ids)

    def __call__(self, request: Request) -> Step:
        """The step for a request, called in the server's thread; a case has one request under way at a time."""
        name = WIRE_NAMES[request.purpose]
        answer = self._next(name)
        if "fault" in answer:
            return _FAULTY[answer["fault"]]()
        if "raw" in answer:
            return model_server.says(answer["raw"])
        made: Callable[[dict[str, Any], Request], dict[str, Any]] = getattr(self, f"_{name}")
        return model_server.says(made(answer, request))

    def _next(self, name: str) -> dict[str, Any]:
        answers = self.script.get(name, ())
        answer = answers[min(self.given[name], len(answers) - 1)] if answers else {}
        self.given[name] += 1
        return answer

    def _outreach_message(self, answer: dict[str, Any], request: Request) -> dict[str, Any]:
        words = {
            "outreach": f"Hello,\n\n{self.objective}",
            "follow_up": "Hello,\n\nmay I come back to my mail? I would be glad of your answer.",
            "reply": self.last_reply_body or "Thank you for your reply.",
            "closing": "Thank you, that is all.",
        }
        return {"subject": " ".join(self.objective.split())[:70], "body": words[request.purpose], **answer}

    def _reply_evaluation(self, answer: dict[str, Any], request: Request) -> dict[str, Any]:
        evaluation = {**_EMPTY_EVALUATION, "question": "The script says nothing. What now?", **answer}
        evaluation["sources"] = [
            {"path": path, "source_id": self.ids.get(source, source), "quote": quote}
            for path, (source, quote) in answer.get("sources", {}).items()
        ]
        self.last_reply_body = evaluation["reply_body"]
        return evaluation

    def _draft_check(self, answer: dict[str, Any], request: Request) -> dict[str, Any]:
        return {"allowed": True, "faults": [], **answer}
