"""The end of a mail that a model wrote: the persona's name, always spelled right, and what the operator discloses."""

import re
from typing import Any

LONGEST_CLOSING = 40  # characters of a closing phrase, such as "Mit freundlichen Grüßen"


def signed(body: str, persona: dict[str, Any], disclosure: str = "") -> str:
    """The body with the persona's name, role and company below it, once, and then the disclosure if there is one."""
    text = _without_signature(body, persona)
    last = text.rpartition("\n")[2]
    is_closing = len(last) <= LONGEST_CLOSING and not last.endswith((".", "!", "?", ":"))
    block = "\n".join(filter(None, (persona["name"], _position(persona))))
    parts = [f"{text}\n{block}" if is_closing else f"{text}\n\n{block}", disclosure.strip()]
    return "\n\n".join(filter(None, parts)) + "\n"


def _position(persona: dict[str, Any]) -> str:
    return ", ".join(persona[key] for key in ("role", "company") if persona.get(key))


def _without_signature(body: str, persona: dict[str, Any]) -> str:
    """The body up to the lines at its end that consist of nothing but the persona's name, role and company."""
    known = sorted((persona[key] for key in ("name", "role", "company") if persona.get(key)), key=len, reverse=True)
    only_known = re.compile("|".join(re.escape(_fold(word)) for word in known))
    lines = body.strip().splitlines()
    while len(lines) > 1 and not re.sub(r"[\W_]", "", only_known.sub("", _fold(lines[-1]))):
        lines.pop()
    return "\n".join(lines).strip()


def _fold(text: str) -> str:
    return " ".join(text.split()).casefold()
