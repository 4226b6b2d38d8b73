"""What to write into a line, in words that a person understands: no regular expressions, no JSON."""

from collections.abc import Iterable
from typing import Any

from outreach.agents.fields import Field
from outreach.agents.phrases import Phrases
from outreach.agents.schemas import Schema, alternatives, columns, is_askable, types
from outreach.agents.values import as_word

LONGEST_DESCRIPTION = 300  # characters


def hint(field: Field, words: Phrases) -> str:
    """What is meant by the field and what a value of it looks like; empty where the title says it all."""
    said = (description(field.schema), describe(field.schema, words))
    return "; ".join(filter(None, said))


def demands(schema: Schema, words: Phrases, *, is_evasive: bool = False) -> str:
    """What a value looks like, for somebody who has written what can't be used; never empty."""
    return describe(schema, words) or words.say("the_value" if is_evasive else "another_form")


def description(schema: Schema) -> str:
    """What the schema says that the value means, on one line and not too long; may be empty."""
    given = schema.get("description")
    text = " ".join(given.split()).rstrip(".;: ") if isinstance(given, str) else ""
    return text if len(text) <= LONGEST_DESCRIPTION else f"{text[: LONGEST_DESCRIPTION - 1].rstrip()}…"


def describe(schema: Schema, words: Phrases) -> str:
    """What a value looks like, in a few words; empty where any text will do."""
    if "const" in schema:
        return words.say("exactly", option=_word(schema["const"], words))
    if "enum" in schema:
        return _one_of(schema["enum"], words)
    options = alternatives(schema)
    if options is not None:
        described = [describe(option, words) for option in options if is_askable(option)]
        return words.listed(list(dict.fromkeys(filter(None, described))), "or")
    kind = next((name for name in types(schema) if name not in ("null", "object")), "null")
    if kind == "string":
        return _describe_string(schema, words)
    if kind in ("integer", "number"):
        return _describe_number(schema, kind, words)
    if kind == "array":
        return _describe_list(schema, words)
    return words.say("yes_or_no") if kind == "boolean" else ""


_FORMATS = {
    "date": "date_hint",
    "date-time": "date_time_hint",
    "time": "time_hint",
    "email": "email_hint",
    "idn-email": "email_hint",
    "uri": "uri_hint",
}


def _describe_string(schema: Schema, words: Phrases) -> str:
    if known := _FORMATS.get(schema.get("format", "")):
        return words.say(known)
    if isinstance(schema.get("examples"), list) and schema["examples"]:
        return words.say("such_as", example=_word(schema["examples"][0], words))
    if "pattern" in schema:
        return ""  # its description has to say what is meant; nobody reads a regular expression
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if most is not None:
        return words.say("characters" if least else "most_characters", least=least, most=most)
    return words.say("least_characters", least=least) if least > 1 else ""


_BOUNDS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf")


def _describe_number(schema: Schema, kind: str, words: Phrases) -> str:
    is_whole = kind == "integer"
    bounds = ", ".join(
        words.say(key, bound=_word(schema[key], words)) for key in _BOUNDS if _is_number(schema.get(key))
    )
    if bounds:
        return f"{words.say('whole_number' if is_whole else 'a_number')} ({bounds})"
    return words.say("whole_number" if is_whole else "number")


def _is_number(bound: Any) -> bool:
    return isinstance(bound, int | float) and not isinstance(bound, bool)


def _describe_list(schema: Schema, words: Phrases) -> str:
    items = schema.get("items", {})
    items = items if isinstance(items, dict) else {}
    if row := columns(items):
        return words.say("rows", columns="; ".join(column.title for column in row))
    each = describe(items, words)
    return "; ".join(filter(None, (words.say("one_per_line"), each and words.say("each", hint=each))))


def _one_of(options: Iterable[Any], words: Phrases) -> str:
    spoken = [_word(option, words) for option in options]
    return words.say("one_of", options=", ".join(spoken)) if len(spoken) > 1 else words.say("exactly", option=spoken[0])


def _word(option: Any, words: Phrases) -> str:
    if isinstance(option, bool):
        return words.say("yes" if option else "no")
    return words.say("a_dash") if option is None else as_word(option)
