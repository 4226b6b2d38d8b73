"""The client's JSON Schema of a result: accepted at creation, checked before a case completes. Fetches nothing."""

import json
from functools import lru_cache
from typing import Any, NoReturn

import jsonschema_rs

from cases.errors import InvalidCase, InvalidResult
from cases.schema_cost import TooCostly, cost

MAX_ERRORS = 20
MAX_COST = 100_000  # of a schema, in paths through it for values DEPTH deep: a moment's work
DEPTH = 8
KNOWN = 256  # schemas that each process knows again, and how long they may be
LONGEST_KNOWN = 20_000
MAX_WORK = 50_000_000  # of a check, in paths and parts of the result: seconds
# The library fetches an unknown `$schema` by itself, whatever retriever it is given: only these get that far.
DRAFTS = frozenset(
    {
        "https://json-schema.org/draft/2020-12/schema",
        "https://json-schema.org/draft/2019-09/schema",
        "http://json-schema.org/draft-07/schema",
        "http://json-schema.org/draft-06/schema",
        "http://json-schema.org/draft-04/schema",
    }
)


def accept(schema: dict[str, Any]) -> None:
    """Raise InvalidCase unless results can be checked by the schema. Clients send the same one with case after case."""
    _known_validator(schema)


def _known_validator(schema: dict[str, Any]) -> Any:
    text = json.dumps(schema)
    return validator(schema) if len(text) > LONGEST_KNOWN else _kept_validator(text)


@lru_cache(maxsize=KNOWN)
def _kept_validator(text: str) -> Any:
    return validator(json.loads(text))  # what it raises is not remembered


def validator(schema: dict[str, Any]) -> Any:
    """A compiled validator; 2020-12 unless `$schema` names another draft. Raises InvalidCase with what is wrong.

    Remote references are refused: a schema from outside must not make this service fetch anything. So are schemas that
    make too much work, for whatever holds up one check holds up all that its process does.
    """
    draft = _draft(schema)
    if draft not in DRAFTS:
        raise _invalid(f"$schema {draft[:100]!r} is not a draft of JSON Schema that is known here")
    try:
        jsonschema_rs.meta.validate(schema)
        compiled = jsonschema_rs.validator_for(schema, retriever=_refuse, validate_formats=True)
        if cost(schema, draft, depth=DEPTH, limit=MAX_COST) > MAX_COST:
            raise _invalid("its references and combinations multiply to more than can be checked")
    except (ValueError, jsonschema_rs.ReferencingError, TooCostly) as error:  # ValidationError is a ValueError
        first_line = str(error).strip().splitlines()[0]
        raise _invalid(first_line) from error
    return compiled


def _draft(schema: dict[str, Any]) -> str:
    """The draft's address, of which an empty fragment is no part."""
    return str(schema.get("$schema", "https://json-schema.org/draft/2020-12/schema")).removesuffix("#")


def _invalid(why: str) -> InvalidCase:
    return InvalidCase(details=[{"path": "resultSchema", "message": f"Not a valid JSON Schema: {why[:300]}"}])


def _refuse(uri: str) -> NoReturn:
    raise ValueError(f"references to other documents are not followed ({uri})")


def errors(schema: dict[str, Any] | None, result: Any) -> list[dict[str, str]]:
    """What is wrong with it: `{"path": JSON Pointer, "message": …}`; empty if it is valid or no schema is given."""
    if schema is None:
        return []
    compiled = _known_validator(schema)
    if not _can_be_checked(schema, result):
        return [{"path": "", "message": "The result is too deep and too large to be checked by this schema."}]
    found = []
    for error in compiled.iter_errors(result):
        pointer = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in error.instance_path)
        found.append({"path": pointer, "message": error.message})
        if len(found) == MAX_ERRORS:
            break
    return found


def _can_be_checked(schema: dict[str, Any], result: Any) -> bool:
    """Whether it is done in seconds: no part of a value is looked at by more paths than the value's depth allows."""
    depth, size = _measure(result)
    allowed = MAX_WORK // size
    if depth <= DEPTH and allowed >= MAX_COST:
        return True  # shallower values make no more work than those by which it was accepted
    return cost(schema, _draft(schema), depth=depth, limit=allowed) <= allowed


def _measure(value: Any) -> tuple[int, int]:
    """How deep a value is (0: no object or list) and how many values it consists of, itself and keys included."""
    depth, size, level = -1, 0, [value]
    while level:
        depth, size = depth + 1, size + len(level)
        containers = [part for part in level if isinstance(part, dict | list)]
        keys = [key for part in containers if isinstance(part, dict) for key in part]
        level = keys + [item for part in containers for item in (part.values() if isinstance(part, dict) else part)]
    return depth, size


def check(schema: dict[str, Any] | None, result: Any) -> None:
    """Raise InvalidResult with details if the result does not satisfy the schema."""
    if found := errors(schema, result):
        raise InvalidResult(details=found)
