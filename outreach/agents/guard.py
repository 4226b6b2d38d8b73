"""What must not stand in a mail that we send, and what must not be taken on trust from one that we get.

Looks for it; the caller decides what follows. Patterns find what is plain; they do not replace the second judgement of
a draft, nor the rule that mail is data.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings

from cases.models import Case
from outreach.agents.base import CaseView, Draft, Mail

SHORTEST_SECRET = 6  # shorter metadata values ("EUR", "42") occur by chance
_KEYS = re.compile(r"offload_(?:live|test)_[\w-]{20,}|whsec_[\w+/=-]{16,}|\b(?:sk|am)[-_][\w-]{20,}")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


def leaks(case: Case, text: str) -> list[str]:
    """What the text gives away, named without repeating it; empty if nothing.

    Looks for values of the case's metadata (unless the goal, the counterparty or a person said them too), for anything
    shaped like a key, and for the ids of other cases.
    """
    return [*_keys(text), *_metadata(case, text), *_other_cases(case, text)]


def _keys(text: str) -> Iterator[str]:
    if _KEYS.search(text):
        yield "something that looks like a secret key"


def _metadata(case: Case, text: str) -> Iterator[str]:
    said_by_client = [case.goal, case.counterparty, case.sender_persona, case.constraints or []]
    said_by_them = case.messages.filter(direction="IN").values_list("text", flat=True)
    allowed = "\n".join(map(_fold, (*_strings(said_by_client), *said_by_them)))  # a folded text holds no line break
    folded = _fold(text)
    for path, value in _named_strings(case.metadata or {}, "metadata"):
        if len(value) >= SHORTEST_SECRET and _fold(value) in folded and _fold(value) not in allowed:
            yield f"the value of {path}"


def _other_cases(case: Case, text: str) -> Iterator[str]:
    ids = {found.lower() for found in _UUID.findall(text)} - {str(case.pk)}
    if ids and Case.objects.filter(pk__in=ids).exists():
        yield "the id of another case"


# --- Drafts that a model wrote ----------------------------------------------------------------------

PROMPTS = Path(__file__).parent / "prompts"
LONGEST_OVERLAP = 60  # characters of a prompt that may stand in a mail by chance
_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+|https?://[^\s<>()\"']+")


def faults_of_draft(case: CaseView, draft: Draft) -> list[str]:
    """What is plainly wrong with a draft, without asking anybody: text of our prompts, addresses from nowhere."""
    text = _fold(f"{draft.subject}\n{draft.body}")
    faults = [] if draft.body.strip() else ["It is empty."]
    if any(sentence in text for sentence in _prompt_sentences()):
        faults.append("It repeats the instructions that the agent was given.")
    by_client = _strings([case.goal, case.counterparty, case.persona, list(case.constraints)])
    in_thread = (part for mail in case.thread for part in (mail.subject, mail.text))
    by_humans = (answer.text for answer in case.answers)
    ours = settings.OFFLOAD_MACHINE_DISCLOSURE
    said = "\n".join(map(_fold, (*by_client, *in_thread, *by_humans, ours)))
    for found in sorted(set(_ADDRESS.findall(text))):
        if found.rstrip(".,;:!?") not in said:
            faults.append(f"It names {found}, which nobody has mentioned.")
    return faults


@cache
def _prompt_sentences() -> frozenset[str]:
    """The sentences of our prompts that are long enough to be recognised."""
    texts = (path.read_text() for path in sorted(PROMPTS.glob("*.md")))
    sentences = (_fold(sentence) for text in texts for sentence in re.split(r"(?<=[.!?:])\s+|\n\s*\n", text))
    return frozenset(sentence for sentence in sentences if len(sentence) >= LONGEST_OVERLAP)


# --- Mail that we get -------------------------------------------------------------------------------

_CHANGED = (
    r"new|changed?|updated?|different|moved|switched|neue[nrs]?|geändert\w*|gewechselt|andere[nrs]?|nouve(?:au|lle)\w*"
    r"|chang[ée]\w*|modifi\w*|nuev[oa]s?|cambi\w+|actualiz\w+"
)
_IDENTITY = (
    r"bank(?:ing)? (?:details?|accounts?|data)|bank|iban|account (?:number|details?)|sort code|routing number|swift|bic"
    r"|payment details?|remittance (?:details?|address)|bankverbindung|bankdaten|konto(?:nummer|verbindung|daten)?"
    r"|compte bancaire|coordonn[ée]es bancaires|rib|cuenta(?: bancaria)?|datos bancarios"
    r"|vat (?:number|id)|tax id|legal name|company name|passport|identity card"
)
_CHANGED_IDENTITY = re.compile(
    rf"\b(?:{_CHANGED})\b[^.!?\n]{{0,60}}\b(?:{_IDENTITY})\b|\b(?:{_IDENTITY})\b[^.!?\n]{{0,60}}\b(?:{_CHANGED})\b",
    re.IGNORECASE,
)


def changes_identity(mail: Mail) -> bool:
    """Whether the mail, or a file that came with it, says that bank or identity details are not the known ones."""
    return any(_CHANGED_IDENTITY.search(text) for text in (mail.text, *(file.text for file in mail.files)))


_IGNORES = "asks to ignore instructions"
_TO_A_MODEL = "speaks to a model, not to a person"
_WORDS = r"(?:\s+[\w']+){0,5}\s+"  # a few words of one sentence between
_STEERING = (
    (rf"\b(?:ignore|disregard|forget|override){_WORDS}(?:instructions?|rules?|prompts?|guidelines?)\b", _IGNORES),
    (rf"\b(?:ignorier\w*|vergiss|vergessen){_WORDS}(?:anweisung\w*|regeln?|vorgaben)\b", _IGNORES),
    (rf"\b(?:ignor(?:e[rz]?|a|ez)|oublie[rz]?|olvida\w*){_WORDS}(?:instruc\w+|consignes|règles|reglas)\b", _IGNORES),
    (r"\b(?:system|developer) (?:prompt|message|instructions?)\b", _TO_A_MODEL),
    (r"</?(?:system|assistant|instructions?)>|\[/?INST\]|<\|im_", _TO_A_MODEL),
    (r"\byou are (?:now )?(?:an? )?(?:ai|assistant|language model|chatbot)\b|\bas an ai\b", _TO_A_MODEL),
    (
        r"\b(?:mark|set|report|close|treat)\b.{0,40}\b(?:case|task|goal|request|status)\b.{0,30}"
        r"\b(?:completed?|achieved|done|goal_achieved|resolved)\b",
        "asks to end the case",
    ),
    (r"\bgoal_achieved\b|\"decision\"\s*:", "imitates a verdict"),
    (
        r"\b(?:send|forward|reveal|print|repeat|include)\b.{0,40}"
        r"\b(?:api keys?|passwords?|secrets?|metadata|system prompt|other (?:cases?|customers?|clients?))\b",
        "asks for what it must not get",
    ),
)
_STEERING_PATTERNS = tuple((re.compile(pattern, re.IGNORECASE | re.DOTALL), why) for pattern, why in _STEERING)


def steering(text: str) -> list[str]:
    """In what ways a text tries to steer whoever reads it by machine; empty where it does not."""
    bounded = text[:200_000]
    return list(dict.fromkeys(why for pattern, why in _STEERING_PATTERNS if pattern.search(bounded)))


# --- Reading --------------------------------------------------------------------------------------------


def _strings(value: Any) -> Iterator[str]:
    return (text for _, text in _named_strings(value, ""))


def _named_strings(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _named_strings(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _named_strings(item, f"{path}[{index}]")
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield path, str(value)


def _fold(text: str) -> str:
    return " ".join(text.split()).casefold()
