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

from cases.models import Attachment, Case
from outreach.agents import disguises
from outreach.agents.base import CaseView, Draft

SHORTEST_SECRET = 6  # characters; shorter metadata values ("EUR", "42") occur by chance
CONFIGURED = (
    "SECRET_KEY",
    "SECRET_KEY_FALLBACKS",
    "OPENAI_API_KEY",
    "AGENTMAIL_API_KEY",
    "AGENTMAIL_WEBHOOK_SECRET",
    "EMAIL_URL",
    "EMAIL_HOST_PASSWORD",
    "ANYMAIL",
    "DATABASES",
    "STORAGES",
)
_MIXED = frozenset({"ANYMAIL", "DATABASES", "STORAGES"})  # hold secrets beside what is none
SHORTEST_CONFIGURED = 10  # characters of a secret of the configuration; a password like "offload" occurs by chance
_SECRET_NAMES = re.compile(r"key|secret|password|token", re.IGNORECASE)
_KEYS = re.compile(r"offload_(?:live|test)_[\w-]{20,}|whsec_[\w+/=-]{16,}|\b(?:sk|am)[-_][\w-]{20,}")
_HEXADECIMAL = re.compile(r"[0-9a-f]{32,}")
MOST_IDS = 500  # looked up for one mail


def leaks(case: Case, text: str) -> list[str]:
    """What the text gives away, named without repeating it; empty if nothing.

    Looks for the secrets of the configuration, for anything shaped like a key, for values of the case's metadata
    (unless the goal, the persona or the counterparty said them too) and for the ids of other cases; also where they
    are split, reversed, or written in base64 or hexadecimal.
    """
    return [*_keys(text), *_metadata(case, text), *_other_cases(case, text)]


def _keys(text: str) -> Iterator[str]:
    if _KEYS.search(text) or _KEYS.search(re.sub(r"\s", "", text)):
        yield "something that looks like a secret key"
    elif any(len(secret) >= SHORTEST_CONFIGURED and disguises.holds(text, secret) for secret in _configured()):
        yield "a secret of this service"


def _configured() -> Iterator[str]:
    for name in CONFIGURED:
        for path, value in _named_strings(getattr(settings, name, ""), name):
            if name not in _MIXED or _SECRET_NAMES.search(path.rpartition(".")[2]):
                yield value


def _metadata(case: Case, text: str) -> Iterator[str]:
    values = _named_strings(case.metadata or {}, "metadata")
    found = [(path, value) for path, value in values if len(value) >= SHORTEST_SECRET and disguises.holds(text, value)]
    allowed = "\n".join(map(_fold, _said_anyway(case))) if found else ""  # a folded text holds no line break
    yield from (f"the value of {path}" for path, value in found if _fold(value) not in allowed)


def _said_anyway(case: Case) -> Iterator[str]:
    """What may be said although the metadata has it too.

    Not what a constraint says, which may be to keep it back, nor a human's answer, which may not be meant for them.
    """
    yield from _strings([case.goal, case.counterparty, case.sender_persona])
    yield from case.messages.filter(direction="IN").values_list("text", flat=True)
    yield from Attachment.objects.filter(message__case=case).values_list("text", flat=True)


def _other_cases(case: Case, text: str) -> Iterator[str]:
    joined = re.sub(r"[\s-]", "", text).lower()
    runs = (match[0] for match in _HEXADECIMAL.finditer(joined))
    found = {run[start : start + 32] for run in runs for start in range(len(run) - 31)} - {case.pk.hex}
    if found and Case.objects.filter(pk__in=sorted(found)[:MOST_IDS]).exists():
        yield "the id of another case"


# --- Drafts that a model wrote ----------------------------------------------------------------------

PROMPTS = Path(__file__).parent / "prompts"
_CLAIMS_TO_BE_HUMAN = re.compile(
    r"\bi(?:['’]m| am) (?:indeed |really |of course )?(?:a )?(?:real |actual |living )*(?:human|person)\b"
    r"|\b(?:i(?:['’]m| am)|this is) not (?:an? |some )?(?:\w+ )?(?:machine|bot|robot|chatbot|computer|ai|automat\w+)\b"
    r"|\bich bin (?:ein mensch|eine echte person|kein(?:e)? (?:maschine|bot|roboter|computer|ki))\b"
    r"|\bje (?:suis (?:un (?:humain|être humain)|une (?:vraie )?personne)|ne suis pas une? (?:robot|machine|ia))\b"
    r"|\b(?:soy (?:humano|humana|una persona real)|no soy (?:un robot|una máquina))\b"
)
LONGEST_OVERLAP = 60  # characters of a prompt that may stand in a mail by chance
_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+|https?://[^\s<>()\"']+")


def faults_of_draft(case: CaseView, draft: Draft) -> list[str]:
    """What is plainly wrong with a draft, without asking anybody: text of our prompts, addresses from nowhere."""
    text = _fold(f"{draft.subject}\n{draft.body}")
    faults = [] if draft.body.strip() else ["It is empty."]
    bare = disguises.bare(text)
    if any(sentence in bare for sentence in _prompt_sentences()):
        faults.append("It repeats the instructions that the agent was given.")
    if _CLAIMS_TO_BE_HUMAN.search(text):
        faults.append("It claims to be written by a human.")
    by_client = _strings([case.goal, case.counterparty, case.persona, list(case.constraints)])
    in_thread = (part for mail in case.thread for part in (mail.subject, mail.text))
    by_humans = (answer.text for answer in case.answers)
    ours = settings.OFFLOAD_MACHINE_DISCLOSURE
    said = "\n".join(map(_fold, (*by_client, *in_thread, *by_humans, ours)))
    for found in sorted(set(_ADDRESS.findall(text))):
        if found.rstrip(".,;:!?") not in said:
            faults.append(f"It names {found}, which nobody has mentioned.")
    return faults


MOST_REPEATED = 0.6  # of a reminder's sentences, by length
SHORTEST_SENTENCE = 25  # characters; shorter ones, greetings and lines to fill in, may well stand in both


def faults_of_reminder(case: CaseView, draft: Draft) -> list[str]:
    """What is plainly wrong with a follow-up besides: it refers to the first mail and does not repeat it."""
    first = next((_fold(mail.text) for mail in case.thread if mail.from_us), "")
    sentences = [_fold(sentence) for sentence in re.split(r"(?<=[.!?:])\s+|\n\s*\n", draft.body)]
    long = [sentence for sentence in sentences if len(sentence) >= SHORTEST_SENTENCE]
    repeated = sum(len(sentence) for sentence in long if sentence in first)
    is_copy = repeated > 0 and repeated >= MOST_REPEATED * sum(map(len, long))
    return ["It repeats the first mail. Refer to it instead, in a sentence or two."] if is_copy else []


@cache
def _prompt_sentences() -> frozenset[str]:
    """The sentences of our prompts that are long enough to be recognised."""
    texts = (path.read_text() for path in sorted(PROMPTS.glob("*.md")))
    sentences = (_fold(sentence) for text in texts for sentence in re.split(r"(?<=[.!?:])\s+|\n\s*\n", text))
    return frozenset(disguises.bare(sentence) for sentence in sentences if len(sentence) >= LONGEST_OVERLAP)


# --- Mail that we get -------------------------------------------------------------------------------

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
