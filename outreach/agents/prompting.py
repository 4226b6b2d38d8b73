"""What is said to a model: a system prompt from `prompts/`, and all that is known of the case as data of the user.

No word of the case is part of the system prompt. The user message begins with one JSON document, in which a mail can't
look like anything but a string, however it is written.
"""

import base64
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from outreach.agents.base import CaseView, Draft, File, Mail
from outreach.agents.wire import Form

PROMPTS = Path(__file__).parent / "prompts"
_WRITING = ("ground_rules", "writing")
_PARTS = {
    "outreach": (*_WRITING, "outreach"),
    "follow_up": (*_WRITING, "follow_up"),
    "reply": (*_WRITING, "reply"),
    "closing": (*_WRITING, "closing"),
    "evaluation": (*_WRITING, "evaluation"),
    "check": ("ground_rules", "check"),
}

# Tokenizers differ from model to model and are large; European languages take about 4 characters a token, JSON fewer.
CHARACTERS_PER_TOKEN = 3.5
_FIRST_BYTES = {b"\x89PNG": "png", b"GIF8": "gif", b"RIFF": "webp"}
LONGEST_ENCLOSED = 6_000  # characters of a file that goes out with the first mail
LONGEST_ECHO = 4_000  # characters of an unusable answer that are shown to the model again


@dataclass(frozen=True)
class Prompt:
    """The system prompt of a purpose; `version` changes with its text."""

    text: str
    version: str


@cache
def prompt_for(purpose: str) -> Prompt:
    """Read once a process: what runs is what was there at its start."""
    text = "\n".join((PROMPTS / f"{part}.md").read_text(encoding="utf-8") for part in _PARTS[purpose])
    return Prompt(text, hashlib.sha256(text.encode()).hexdigest()[:8])


def system(purpose: str, form: Form, *, shows_schema: bool) -> str:
    """The system prompt; with the answer's schema, for servers that are not sent it as response format."""
    text = prompt_for(purpose).text
    if not shows_schema:
        return text + "\nAnswer with one JSON object.\n"
    schema = json.dumps(form.schema, ensure_ascii=False)
    return f"{text}\nAnswer with one JSON object and nothing else, valid against this schema ({form.name}):\n{schema}\n"


def user(data: dict[str, Any], images: Iterable[File], faults: tuple[str, ...]) -> str | list[dict[str, Any]]:
    """The user message: the data, and what was wrong with an earlier answer to the same request; then the pictures."""
    text = json.dumps(data, ensure_ascii=False, indent=1)
    if faults:
        text += "\n\nAn earlier answer to this was not usable:\n" + _listed(faults)
    pictures = [part for file in images for part in _picture(file)]
    return [{"type": "text", "text": text}, *pictures] if pictures else text


def repair(answer: str, faults: tuple[str, ...]) -> list[dict[str, Any]]:
    """The two messages of a repair round: what the model said, and what is wrong with it."""
    wrong = f"That can't be used:\n{_listed(faults)}\nAnswer again, with the whole JSON object and nothing else."
    return [
        {"role": "assistant", "content": answer[:LONGEST_ECHO] or "(no text)"},
        {"role": "user", "content": wrong},
    ]


def _listed(faults: tuple[str, ...]) -> str:
    return "\n".join(f"- {fault}" for fault in faults)


def _picture(file: File) -> list[dict[str, Any]]:
    """The picture, and before it which file it is of; by id only, since the name is not ours."""
    return [
        {"type": "text", "text": f"Picture of the file {file.id}:"},
        {"type": "image_url", "image_url": {"url": _data_url(file)}},
    ]


def _data_url(file: File) -> str:
    # By its first bytes: the picture of a scanned page is not of the file's own type.
    kind = next((kind for first, kind in _FIRST_BYTES.items() if file.image.startswith(first)), "jpeg")
    return f"data:image/{kind};base64,{base64.b64encode(file.image).decode()}"


# --- Data -----------------------------------------------------------------------------------------


def data_of(task: str, case: CaseView, thread_tokens: int, **more: Any) -> dict[str, Any]:
    """All that a model may know of a case, with a thread of about `thread_tokens`."""
    client = {
        "goal": case.goal,
        "constraints": list(case.constraints),
        "persona": case.persona,
        "language": case.language,
        **({"deadline": case.deadline.isoformat()} if case.deadline else {}),
        "result_schema": case.result_schema,
    }
    return {
        "task": task,
        "now": case.now.isoformat() if case.now else None,
        "client": client,
        "answers": [{"id": a.id, "question": a.question, "text": a.text, "is_new": not a.used} for a in case.answers],
        "open_question": case.open_question,
        **_rejections(case),
        "counterparty": case.counterparty,
        **({"attached": [_file(file, LONGEST_ENCLOSED) for file in case.enclosed]} if case.enclosed else {}),
        "thread": thread_of(case.thread, int(thread_tokens * CHARACTERS_PER_TOKEN)),
        **more,
    }


def _rejections(case: CaseView) -> dict[str, Any]:
    """Nothing where nobody has rejected a draft: most cases are not reviewed."""
    drafts = [{"subject": each.subject, "body": each.body, "reason": each.reason} for each in case.rejections]
    return {"rejected_drafts": drafts} if drafts else {}


def draft_data(draft: Draft) -> dict[str, str]:
    return {"subject": draft.subject, "body": draft.body}


def images_of(case: CaseView) -> list[File]:
    """Pictures of the thread, those of the newest mails first."""
    return [file for mail in reversed(case.from_counterparty) for file in mail.files if file.image]


# --- The thread, within its bounds ----------------------------------------------------------------


def thread_of(thread: tuple[Mail, ...], characters: int) -> list[dict[str, Any]]:
    """The mails as data, about as many characters as given, saying what was left out.

    The first mail, the newest and all that nobody has judged yet stay, if need be cut in their middle; of the others
    the newest stay. What lies between goes, and a line with the number of mails and characters takes its place.
    """
    always = _always_kept(thread)
    bound = _bound([len(text) for index in always for text in _texts(thread[index])], characters)
    left = characters - sum(min(len(text), bound) for index in always for text in _texts(thread[index]))
    whole = _newest_that_fit(thread, always, left)
    shown: list[dict[str, Any]] = []
    for is_shown, run in groupby(range(len(thread)), key=(always | whole).__contains__):
        indexes = list(run)
        if is_shown:
            shown += [_mail(thread[index], bound if index in always else characters) for index in indexes]
        else:
            shown.append(_left_out([thread[index] for index in indexes]))
    return shown


def _newest_that_fit(thread: tuple[Mail, ...], others: set[int], characters: int) -> set[int]:
    fitting: set[int] = set()
    for index in reversed(range(len(thread))):
        if index not in others:
            characters -= sum(map(len, _texts(thread[index])))
            if characters < 0:
                break
            fitting.add(index)
    return fitting


def _always_kept(thread: tuple[Mail, ...]) -> set[int]:
    kept = {index for index, mail in enumerate(thread) if mail.unread and mail.from_person and not mail.from_us}
    return kept | ({0, len(thread) - 1} if thread else set())


def _texts(mail: Mail) -> list[str]:
    return [mail.subject, mail.text, *(file.text for file in mail.files)]


def _bound(lengths: list[int], characters: int) -> int:
    """The length to which the longest texts are cut, so that all together keep to the characters."""
    left = characters
    for count, length in zip(range(len(lengths), 0, -1), sorted(lengths), strict=True):
        if length * count > left:
            return max(0, left // count)
        left -= length
    return max(lengths, default=0)


def _left_out(mails: list[Mail]) -> dict[str, Any]:
    characters = sum(len(text) for mail in mails for text in _texts(mail))
    return {"left_out": f"{len(mails)} mails with {characters} characters stood here and are not shown"}


def cut(text: str, bound: int) -> str:
    """The text, without its middle where it is longer than the bound, saying how much is missing."""
    if len(text) <= bound:
        return text
    head = (bound + 1) // 2
    tail = bound - head
    return f"{text[:head]}\n[… {len(text) - bound} characters are not shown …]\n{text[len(text) - tail :]}"


def _mail(mail: Mail, bound: int) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": mail.id,
        "from": "us" if mail.from_us else "counterparty" if mail.from_person else "machine",
        "at": mail.at.isoformat(),
        "unread": mail.unread and not mail.from_us,
        "subject": cut(mail.subject, bound),
        "text": cut(mail.text, bound),
    }
    return {**shown, "files": [_file(file, bound) for file in mail.files]} if mail.files else shown


def _file(file: File, bound: int) -> dict[str, Any]:
    return {
        "id": file.id,
        "name": file.name,
        "type": file.type,
        "size": file.size,
        "text": cut(file.text, bound),
        "note": file.note,
        "is_read": not file.is_unread,
    }
