"""What models are asked to answer with, as JSON Schema, and how their answers are read.

The wire names are `outreach_message`, `reply_evaluation` and `draft_check`. The client's resultSchema is not part of
the schema that is sent: strict servers accept a small part of JSON Schema only, and what they make of the rest differs.
The model is shown it as data, `result` may be any JSON, and the engine validates it.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cases import result_schema
from cases.errors import CaseError
from outreach.agents.base import CaseView, Decision, Draft, Judgement, Source, Verdict

LONGEST_WAIT = timedelta(days=366)
LONGEST_TEXT = 20_000  # characters of a mail, a question or a reason: a model in a loop writes more
MOST_OPTIONS = 10  # that a question offers
LONGEST_OPTION = 200  # characters
LONGEST_ANSWER_SCHEMA = 2_000  # characters of JSON
LONGEST_FAULT = 300  # characters of one fault: it goes back to the model, and into the timeline


class Unusable(Exception):
    """An answer that can't be used; `faults` tell the model why."""

    def __init__(self, *faults: str) -> None:
        self.faults = tuple(fault[:LONGEST_FAULT] for fault in faults)
        super().__init__(" ".join(self.faults))


class NoCompletion(Exception):
    """The server's answer is not a completion at all."""


@dataclass(frozen=True)
class Form:
    """A named shape of an answer. `is_strict`: every server that knows json_schema can enforce all of it."""

    name: str
    properties: dict[str, Any]
    defaults: dict[str, Any]  # for what an answer leaves out
    is_strict: bool = True

    @property
    def schema(self) -> dict[str, Any]:
        required = list(self.properties)  # strict servers want every property named
        return {
            "type": "object",
            "properties": self.properties,
            "required": required,
            "additionalProperties": False,
        }


_TEXT_OR_NULL = {"type": ["string", "null"]}
_SOURCE = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("path", "source_id", "quote")},
    "required": ["path", "source_id", "quote"],
    "additionalProperties": False,
}
MESSAGE = Form("outreach_message", {"subject": {"type": "string"}, "body": {"type": "string"}}, {"subject": ""})
EVALUATION = Form(
    "reply_evaluation",
    {
        "decision": {"type": "string", "enum": [decision.value for decision in Decision]},
        "result": {},
        "sources": {"type": "array", "items": _SOURCE},
        "reply_body": _TEXT_OR_NULL,
        "question": _TEXT_OR_NULL,
        "options": {"type": ["array", "null"], "items": {"type": "string"}},
        "answer_schema": {"type": ["object", "null"]},
        "reason": _TEXT_OR_NULL,
        "wait_until": _TEXT_OR_NULL,
        "opt_out": {"type": "boolean"},
    },
    {
        "result": None,
        "sources": [],
        "reply_body": None,
        "question": None,
        "options": None,
        "answer_schema": None,
        "reason": None,
        "wait_until": None,
        "opt_out": False,
    },
    is_strict=False,  # `result` may be anything
)
CHECK = Form(
    "draft_check",
    {"allowed": {"type": "boolean"}, "faults": {"type": "array", "items": {"type": "string"}}},
    {"faults": []},
)


# --- Completions ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Completion:
    """What a server answered: the text, or why there is none."""

    text: str
    refusal: str
    finish_reason: str
    has_tool_calls: bool
    prompt_tokens: int
    completion_tokens: int


def completion_of(body: bytes) -> Completion:
    """Read the body of a Chat Completions answer. Raises NoCompletion for everything that is none."""
    try:
        answer = json.loads(body)
        choice = answer["choices"][0]
        message = choice["message"]
        usage = answer.get("usage") or {}
        return Completion(
            text=_text(message.get("content")),
            refusal=str(message.get("refusal") or ""),
            finish_reason=str(choice.get("finish_reason") or ""),
            has_tool_calls=bool(message.get("tool_calls") or message.get("function_call")),
            prompt_tokens=_count(usage.get("prompt_tokens")),
            completion_tokens=_count(usage.get("completion_tokens")),
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise NoCompletion(f"{type(error).__name__} while reading {len(body)} bytes") from error


def _text(content: Any) -> str:
    if isinstance(content, list):  # some servers answer in parts
        return "".join(str(part.get("text") or "") for part in content)
    return "" if content is None else str(content)


def _count(value: Any) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**31 else 0


def object_of(completion: Completion, form: Form) -> dict[str, Any]:
    """The JSON object that was answered. Raises Unusable where there is none, or where it has been cut off."""
    if completion.refusal or completion.finish_reason == "content_filter":
        raise Unusable(f"You refused to answer: {completion.refusal or 'filtered'}")
    if completion.finish_reason == "length":
        raise Unusable("Your answer was cut off at the token limit. Be much shorter.")
    if not completion.text.strip():
        called = " You called a tool; there are no tools." if completion.has_tool_calls else ""
        raise Unusable(f"Your answer held no text.{called}")
    for found in _objects(completion.text):
        if found.keys() & form.properties.keys():
            _check_characters(found)
            return found
    raise Unusable("Your answer is not one valid JSON object.")


_THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)  # reasoning that some open models put before the answer
_DECODER = json.JSONDecoder()
_MOST_TRIES = 50  # opening braces that are tried: prose may be full of them


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The outermost JSON objects in a text: it may be one, or have one inside fences or prose."""
    text = _THOUGHT.sub("", text)
    start, tries = text.find("{"), 0
    while start >= 0 and tries < _MOST_TRIES:
        tries += 1
        end = start + 1
        try:
            value, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            yield value
        start = text.find("{", end)


def _check_characters(value: Any) -> None:
    """Raise Unusable for what neither mail nor database can hold: NUL, half surrogates, numbers without end."""
    try:
        written = json.dumps(value, ensure_ascii=False, allow_nan=False)
        written.encode()
    except ValueError as error:
        raise Unusable("Your answer holds characters or numbers that can't be stored.") from error
    if "\\u0000" in written:
        raise Unusable("Your answer holds a NUL character.")


# --- Answers --------------------------------------------------------------------------------------


def _filled(form: Form, answer: dict[str, Any]) -> dict[str, Any]:
    """The answer with what it left out, without what nobody asked for. Raises Unusable where it breaks the schema."""
    known = {**form.defaults, **{name: answer[name] for name in form.properties if name in answer}}
    if errors := result_schema.errors(form.schema, known):
        raise Unusable(*(f"{error['path'] or 'the answer'}: {error['message']}" for error in errors))
    for name, value in known.items():
        if name != "result" and isinstance(value, str) and len(value) > LONGEST_TEXT:
            raise Unusable(f"/{name}: it is longer than {LONGEST_TEXT} characters. Be much shorter.")
    return known


def draft_of(answer: dict[str, Any]) -> Draft:
    """A mail; its subject is one line. Raises Unusable."""
    known = _filled(MESSAGE, answer)
    if not known["body"].strip():
        raise Unusable("/body: it is empty.")
    return Draft(body=known["body"].strip(), subject=" ".join(known["subject"].split()))


def judgement_of(answer: dict[str, Any]) -> Judgement:
    """A second look. Named faults count even where `allowed` is true. Raises Unusable."""
    known = _filled(CHECK, answer)
    faults = tuple(fault.strip()[:LONGEST_FAULT] for fault in known["faults"] if fault.strip())
    return Judgement(is_allowed=known["allowed"] and not faults, faults=faults)


_NEEDED = {
    Decision.REJECTED: "reason",
    Decision.REPLY: "reply_body",
    Decision.INPUT_NEEDED: "question",
    Decision.WAIT: "reason",
}
_MAY_WRITE = {Decision.REPLY, Decision.GOAL_ACHIEVED, Decision.INPUT_NEEDED}
_MAY_KNOW = {Decision.GOAL_ACHIEVED, Decision.INPUT_NEEDED}


def verdict_of(answer: dict[str, Any], case: CaseView, *, is_last: bool) -> Verdict:
    """A verdict. Raises Unusable.

    A `wait_until` that is no usable time is a fault of the first answer; in the last one it is left out, since the wait
    then has its ordinary length.
    """
    offers = {"options": _options(answer.get("options")), "answer_schema": _answer_schema(answer.get("answer_schema"))}
    known = _filled(EVALUATION, {**answer, **offers})
    decision = Decision(known["decision"])
    needed = _NEEDED.get(decision)
    if needed and not (known[needed] or "").strip():
        raise Unusable(f"/{needed}: a decision of {decision} needs it.")
    return Verdict(
        decision=decision,
        result=_result(known["result"], case) if decision in _MAY_KNOW else None,
        sources=tuple(Source(**source) for source in known["sources"]),
        reply_body=(known["reply_body"] or "").strip() if decision in _MAY_WRITE else "",
        question=(known["question"] or "").strip(),
        options=tuple(known["options"] or ()) if decision == Decision.INPUT_NEEDED else (),
        answer_schema=known["answer_schema"] if decision == Decision.INPUT_NEEDED else None,
        reason=(known["reason"] or "").strip(),
        wait_until=_wait_until(known["wait_until"], case, is_last) if decision == Decision.WAIT else None,
        opts_out=known["opt_out"],
    )


def _options(offered: Any) -> list[str] | None:
    """The options of a question, without repetitions; none at all where they are not what was asked for."""
    if not isinstance(offered, list) or not all(isinstance(option, str) for option in offered):
        return None
    options = list(dict.fromkeys(" ".join(option.split()) for option in offered))
    is_good = 2 <= len(options) <= MOST_OPTIONS and all(0 < len(option) <= LONGEST_OPTION for option in options)
    return options if is_good else None


def _answer_schema(offered: Any) -> dict[str, Any] | None:
    """The schema of an answer, if it is one and short."""
    if not isinstance(offered, dict) or not offered or len(json.dumps(offered)) > LONGEST_ANSWER_SCHEMA:
        return None
    try:
        result_schema.validator(offered)
    except CaseError:
        return None
    return offered


def _result(result: Any, case: CaseView) -> Any:
    """The result; models that may not nest freely write it as a string of JSON."""
    if isinstance(result, str) and case.result_schema is not None and result_schema.errors(case.result_schema, result):
        try:
            inner = _DECODER.decode(result)
        except (ValueError, RecursionError):
            return result
        _check_characters(inner)
        return inner
    return result


def _wait_until(text: str | None, case: CaseView, is_last: bool) -> datetime | None:
    if not text or not text.strip():
        return None
    try:
        return _time(text.strip(), case.now or datetime.now(UTC))
    except Unusable:
        if is_last:
            return None
        raise


def _time(text: str, now: datetime) -> datetime:
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise Unusable("/wait_until: it has no zone. Write it like 2026-01-31T09:00:00+01:00, or null.")
        at = at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Unusable("/wait_until: it is not an ISO 8601 time with a zone, nor null.") from error
    if not now < at <= now + LONGEST_WAIT:
        raise Unusable("/wait_until: it is not later than `now` and within a year of it. It may be null.")
    return at
