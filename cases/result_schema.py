"""The client's JSON Schema of a result: accepted at creation, checked before a case completes. Fetches nothing."""

from typing import Any, NoReturn

import jsonschema_rs

from cases.errors import InvalidCase, InvalidResult

MAX_ERRORS = 20
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


def validator(schema: dict[str, Any]) -> Any:
    """A compiled validator; 2020-12 unless `$schema` names another draft. Raises InvalidCase with what is wrong.

    Remote references are refused: a schema from outside must not make this service fetch anything.
    """
    draft = schema.get("$schema", "https://json-schema.org/draft/2020-12/schema")
    if not isinstance(draft, str) or draft.rstrip("#") not in DRAFTS:
        raise _invalid(f"$schema {str(draft)[:100]!r} is not a draft of JSON Schema that is known here")
    try:
        jsonschema_rs.meta.validate(schema)
        return jsonschema_rs.validator_for(schema, retriever=_refuse, validate_formats=True)
    except (ValueError, jsonschema_rs.ReferencingError) as error:  # ValidationError is a ValueError
        first_line = str(error).strip().splitlines()[0]
        raise _invalid(first_line) from error


def _invalid(why: str) -> InvalidCase:
    return InvalidCase(details=[{"path": "resultSchema", "message": f"Not a valid JSON Schema: {why[:300]}"}])


def _refuse(uri: str) -> NoReturn:
    raise ValueError(f"references to other documents are not followed ({uri})")


def errors(schema: dict[str, Any] | None, result: Any) -> list[dict[str, str]]:
    """What is wrong with it: `{"path": JSON Pointer, "message": …}`; empty if it is valid or no schema is given."""
    if schema is None:
        return []
    found = []
    for error in validator(schema).iter_errors(result):
        pointer = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in error.instance_path)
        found.append({"path": pointer, "message": error.message})
        if len(found) == MAX_ERRORS:
            break
    return found


def check(schema: dict[str, Any] | None, result: Any) -> None:
    """Raise InvalidResult with details if the result does not satisfy the schema."""
    if found := errors(schema, result):
        raise InvalidResult(details=found)
