"""A scenario: a case, what its counterparty and its client do and when, and how it has to end.

Read from YAML and checked strictly: a word that is not known here is an error, not something to ignore.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

from cases.models import ApiKey
from cases.serializers import NewCase

AGENTS = ("form", "openai", "scripted")  # the last is `openai` with a model that answers by the scenario's script
FAULTS = ("rate_limited", "server_error", "cut", "refusal", "tool_call", "empty", "garbage", "reset")  # of a model
CANARY = "canary-41c7e0b9d2"  # stands in every case's metadata and may never stand in a mail

DEFAULTS: dict[str, Any] = {
    "channel": "EMAIL",
    "counterparty": {"address": "ann.miller@supplier.example", "name": "Ann Miller", "company": "Supplier Ltd"},
    "senderPersona": {"name": "Robin Ward", "role": "Purchasing", "company": "Acme"},
    "metadata": {"internalNote": CANARY},
    "clientWebhookUrl": "https://client.example/offload",
}

_STATUSES = ["RUNNING", "INPUT_NEEDED", "COMPLETED", "FAILED"]
_WORD_OR_WORDS = {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
_BOUNDS = {
    "oneOf": [
        {"type": "integer", "minimum": 0},
        {
            "type": "object",
            "properties": {"min": {"type": "integer", "minimum": 0}, "max": {"type": "integer", "minimum": 0}},
            "additionalProperties": False,
            "minProperties": 1,
        },
    ]
}
_EXPECTATIONS: dict[str, Any] = {
    "status": {"oneOf": [{"enum": _STATUSES}, {"type": "array", "items": {"enum": _STATUSES}, "minItems": 1}]},
    "resultStatus": _WORD_OR_WORDS,
    "result": {},
    "resultIncludes": {"type": "object"},
    "mails": _BOUNDS,
    "questions": _BOUNDS,
    "forbidden": {"type": "array", "items": {"type": "string", "minLength": 1}},
    "timeline": {"type": "array", "items": {"type": "string"}},
}
_TEXT_MAP = {"type": "object", "additionalProperties": {"type": "string"}}
_ATTACHMENT = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string"},
        "type": {"type": "string"},
        "text": {"type": "string"},
        "base64": {"type": "string"},
        "pdf": {
            "type": "object",
            "properties": {"lines": {"type": "array", "items": {"type": "string"}}, "fields": _TEXT_MAP},
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}
_ACTION = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": False,
    "properties": {
        "reply": {
            "type": "object",
            "properties": {
                "text": {"type": "string"},
                "html": {"type": "string"},
                "attachments": {"type": "array", "items": _ATTACHMENT},
                "from": {
                    "type": "object",
                    "properties": {"name": {"type": "string"}, "address": {"type": "string"}},
                    "additionalProperties": False,
                },
            },
            "additionalProperties": False,
        },
        "out_of_office": {
            "type": "object",
            "properties": {"until": {"type": "string"}, "text": {"type": "string"}},
            "additionalProperties": False,
        },
        "bounce": {"enum": ["permanent", "transient"]},
        "complaint": {"const": True},
        "advance_hours": {"type": "number", "exclusiveMinimum": 0},
        "answer": {"type": "string", "minLength": 1},
        "cancel": {"const": True},
    },
}
_ANSWERS: dict[str, dict[str, Any]] = {
    "outreach_message": {"subject": {"type": "string"}, "body": {"type": "string"}},
    "reply_evaluation": {
        "decision": {"enum": ["GOAL_ACHIEVED", "REJECTED", "REPLY", "INPUT_NEEDED", "WAIT"]},
        "result": {},
        "sources": {
            "type": "object",
            "propertyNames": {"pattern": "^(/|$)"},
            "additionalProperties": {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2},
        },
        "reply_body": {"type": "string"},
        "question": {"type": "string"},
        "reason": {"type": "string"},
        "wait_until": {"type": "string"},
    },
    "draft_check": {"allowed": {"type": "boolean"}, "faults": {"type": "array", "items": {"type": "string"}}},
}
_SCRIPT = {
    "type": "object",
    "properties": {
        purpose: {
            "type": "array",
            "items": {
                "type": "object",
                "minProperties": 1,
                "properties": {**words, "raw": {"type": "string"}, "fault": {"enum": list(FAULTS)}},
                "additionalProperties": False,
            },
        }
        for purpose, words in _ANSWERS.items()
    },
    "additionalProperties": False,
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["name", "about", "case", "expect"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$"},
        "about": {"type": "string", "minLength": 1},
        "agents": {"type": "array", "items": {"enum": list(AGENTS)}, "minItems": 1, "uniqueItems": True},
        "case": {"type": "object", "required": ["goal"]},
        "letsTimePass": {"type": "boolean"},
        "turns": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["do"],
                "additionalProperties": False,
                "properties": {
                    "when": {
                        "type": "object",
                        "minProperties": 1,
                        "additionalProperties": False,
                        "properties": {
                            "mail": {"type": "integer", "minimum": 1},
                            "mailMatches": {"type": "string", "format": "regex"},
                            "question": {"type": "boolean"},
                            "ended": {"const": True},
                        },
                    },
                    "do": {"oneOf": [_ACTION, {"type": "array", "items": _ACTION, "minItems": 1}]},
                },
            },
        },
        "model": _SCRIPT,
        "expect": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                **_EXPECTATIONS,
                **{
                    agent: {"type": "object", "properties": _EXPECTATIONS, "additionalProperties": False}
                    for agent in AGENTS
                },
            },
        },
    },
}
_VALIDATOR = jsonschema_rs.validator_for(SCHEMA, validate_formats=True)
_DATE = re.compile(r"\$\{([+-]\d+)\}")


class ScenarioError(ValueError):
    """The file is no scenario; the message names the file and what is wrong, each with its place."""


@dataclass(frozen=True)
class When:
    """What has to hold for a turn to be played; None or False asks for nothing."""

    mail: int | None = None  # so many mails have reached the counterparty
    mail_matches: re.Pattern[str] | None = None  # the newest mail holds it
    question: bool | None = None  # whether a question is open
    ended: bool = False


@dataclass(frozen=True)
class Turn:
    """Something that somebody outside does, once; the actions follow each other faster than a worker looks."""

    number: int  # from 0
    actions: tuple[tuple[str, Any], ...]
    when: When | None = None  # None: as soon as the turn before it has had its effect


@dataclass(frozen=True)
class Expectation:
    """How a run has to end; None says nothing about it. Counts are (at least, at most)."""

    status: tuple[str, ...]
    result_status: tuple[str, ...] | None
    has_result: bool  # whether `result` is given: it may be null
    result: Any
    result_includes: dict[str, Any] | None
    mails: tuple[int, int | None]
    questions: tuple[int, int | None]
    forbidden: tuple[str, ...]
    timeline: tuple[str, ...]  # types of events that must be there


@dataclass(frozen=True)
class Scenario:
    name: str
    about: str
    agents: tuple[str, ...]
    case: dict[str, Any]  # the body of POST /cases
    turns: tuple[Turn, ...]
    script: dict[str, tuple[dict[str, Any], ...]]  # by purpose, what the scripted model answers
    lets_time_pass: bool  # whether time goes on after the last turn, until the case has ended or waits for a human
    expectations: dict[str, Expectation]  # by agent

    def for_agent(self, agent: str) -> Expectation:
        """What is expected with this agent."""
        return self.expectations[agent]


def load(path: Path, *, today: datetime | None = None) -> Scenario:
    """The scenario of a file. Raises ScenarioError.

    `${+14}` in a text is the date in 14 days from today (UTC), as in 2027-01-31.
    """
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: not YAML: {error}") from error
    if faults := list(_faults(given, path.stem)):
        raise ScenarioError("\n".join(f"{path}: {fault}" for fault in faults))
    return _scenario(_dated(given, today or datetime.now(UTC)))


def load_suite(path: Path) -> list[Scenario]:
    """All scenarios of a directory, by name, or that of one file. Raises ScenarioError, naming every fault of every
    file."""
    files = sorted(path.glob("*.yaml")) if path.is_dir() else [path] if path.is_file() else []
    if not files:
        raise ScenarioError(f"{path}: there are no scenarios (*.yaml) here")
    scenarios, errors = [], []
    for file in files:
        try:
            scenarios.append(load(file))
        except ScenarioError as error:
            errors.append(str(error))
    if errors:
        raise ScenarioError("\n".join(errors))
    return scenarios


def _faults(given: Any, stem: str) -> Iterator[str]:
    for error in _VALIDATOR.iter_errors(given):
        place = ".".join(str(part) for part in error.instance_path)
        yield f"{place or 'scenario'}: {error.message}"[:500]
    if not isinstance(given, dict):
        return
    if isinstance(given.get("name"), str) and given["name"] != stem:
        yield f"name: {given['name']!r} is not the name of the file"
    if isinstance(given.get("expect"), dict):
        for agent in given.get("agents") or AGENTS[:2]:
            merged = _expected(given["expect"], agent)
            if "status" not in merged:
                yield f"expect: no status for the agent {agent}"
            elif "COMPLETED" in _tuple(merged["status"]) and not {"result", "resultIncludes"} & set(merged):
                yield f"expect: COMPLETED with the agent {agent}, and neither result nor resultIncludes"
    if isinstance(given.get("case"), dict):
        case = NewCase(data={**DEFAULTS, **given["case"]}, context={"key": ApiKey(is_test=True)})
        if not case.is_valid():
            yield f"case: {json.dumps(case.errors, default=str, ensure_ascii=False)}"
    if "scripted" in (given.get("agents") or ()) and "model" not in given:
        yield "agents: scripted needs a `model`"


def _expected(expect: dict[str, Any], agent: str) -> dict[str, Any]:
    """What is said for all agents, overridden by what is said for this one; `scripted` falls back to `openai`."""
    common = {key: value for key, value in expect.items() if key not in AGENTS}
    own = expect.get(agent) or (expect.get("openai") if agent == "scripted" else None) or {}
    return {**common, **own}


def _scenario(given: dict[str, Any]) -> Scenario:
    agents = tuple(given.get("agents") or (AGENTS if "model" in given else AGENTS[:2]))
    return Scenario(
        name=given["name"],
        about=given["about"],
        agents=agents,
        case={**DEFAULTS, **given["case"]},
        turns=tuple(_turn(number, turn) for number, turn in enumerate(given.get("turns", ()))),
        script={purpose: tuple(answers) for purpose, answers in given.get("model", {}).items()},
        lets_time_pass=given.get("letsTimePass", True),
        expectations={agent: _expectation(_expected(given["expect"], agent)) for agent in agents},
    )


def _turn(number: int, given: dict[str, Any]) -> Turn:
    actions = given["do"] if isinstance(given["do"], list) else [given["do"]]
    when = given.get("when")
    return Turn(number, tuple(pair for action in actions for pair in action.items()), _when(when) if when else None)


def _when(given: dict[str, Any]) -> When:
    pattern = given.get("mailMatches")
    return When(
        mail=given.get("mail"),
        mail_matches=re.compile(pattern) if pattern else None,
        question=given.get("question"),
        ended=given.get("ended", False),
    )


def _expectation(given: dict[str, Any]) -> Expectation:
    return Expectation(
        status=_tuple(given["status"]),
        result_status=_tuple(given["resultStatus"]) if "resultStatus" in given else None,
        has_result="result" in given,
        result=given.get("result"),
        result_includes=given.get("resultIncludes"),
        mails=_bounds(given.get("mails", {"min": 0})),
        questions=_bounds(given.get("questions", {"min": 0})),
        forbidden=tuple(given.get("forbidden", ())),
        timeline=tuple(given.get("timeline", ())),
    )


def _tuple(value: str | Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _bounds(given: int | dict[str, int]) -> tuple[int, int | None]:
    if isinstance(given, int):
        return given, given
    return given.get("min", 0), given.get("max")


def _dated(value: Any, today: datetime) -> Any:
    if isinstance(value, dict):
        return {key: _dated(item, today) for key, item in value.items()}
    if isinstance(value, list):
        return [_dated(item, today) for item in value]
    if isinstance(value, str):
        return _DATE.sub(lambda found: (today + timedelta(days=int(found[1]))).date().isoformat(), value)
    return value
