"""What everybody needs who reads a resultSchema for people: what a reference leads to, and names in words."""

import re
from collections.abc import Mapping
from typing import Any

from cases.values import steps_of

# What limits a value, for people.
LIMITS: Mapping[str, str] = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} of them",
    "maxItems": "at most {} of them",
    "pattern": "written like {}",
}


def target(root: Any, reference: Any) -> Any:
    """What a reference within the document (`#`, `#/$defs/…`, RFC 6901) leads to.

    None for any other reference, and for one that leads nowhere.
    """
    if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
        return None
    for name in steps_of(reference):
        if isinstance(root, list) and name.isdecimal() and int(name) < len(root):
            root = root[int(name)]
        else:
            root = root.get(name) if isinstance(root, dict) else None
    return root


def in_words(name: str) -> str:
    """A property's name as people would write it: `invoiceNumber` is "Invoice number"; empty where no word is in it."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[\s_\-.]+", " ", name).split()
    title = " ".join(word if word.isupper() else word.lower() for word in words)
    return title[:1].upper() + title[1:]
