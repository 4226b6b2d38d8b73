"""What an agent sees, what it says, and nothing else: it never touches the database, chooses a recipient, or sends."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol


class Decision(StrEnum):
    GOAL_ACHIEVED = "GOAL_ACHIEVED"  # result, sources
    REJECTED = "REJECTED"  # reason
    REPLY = "REPLY"  # reply_body
    INPUT_NEEDED = "INPUT_NEEDED"  # question, reason
    WAIT = "WAIT"  # wait_until, reason


@dataclass(frozen=True)
class Source:
    """Where a value comes from: `path` is a JSON Pointer into the result, `quote` stands literally in the source.

    `source_id` is the id of a message, an attachment or an answered input request, or `goal`.
    """

    path: str
    source_id: str
    quote: str


@dataclass(frozen=True)
class Draft:
    """A mail to be. An empty subject keeps the thread's."""

    body: str
    subject: str = ""


@dataclass(frozen=True)
class Verdict:
    """What to do next, judged from the whole thread."""

    decision: Decision
    result: Any = None
    sources: tuple[Source, ...] = ()
    reply_body: str = ""
    question: str = ""
    reason: str = ""
    wait_until: datetime | None = None


@dataclass(frozen=True)
class File:
    id: str
    name: str
    type: str
    size: int  # bytes


@dataclass(frozen=True)
class Mail:
    """A mail of the thread. `text` of a received one holds its new words, without the quoted history."""

    id: str
    from_us: bool
    from_person: bool  # false for machines: out-of-office notes, receipts
    unread: bool
    at: datetime
    subject: str
    text: str
    files: tuple[File, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What a human answered to a question of the case. `used`: an earlier mail or verdict has made use of it."""

    id: str
    question: str
    text: str
    used: bool


@dataclass(frozen=True)
class CaseView:
    """All that an agent sees of a case; `metadata` and keys are not in it."""

    id: str
    goal: dict[str, Any]
    counterparty: dict[str, Any]
    persona: dict[str, Any]
    constraints: tuple[str, ...] = ()
    result_schema: dict[str, Any] | None = None
    thread: tuple[Mail, ...] = field(default=())
    answers: tuple[Answer, ...] = field(default=())
    open_question: str | None = None

    @property
    def from_counterparty(self) -> tuple[Mail, ...]:
        """What people on the other side wrote, oldest first."""
        return tuple(mail for mail in self.thread if mail.from_person and not mail.from_us)

    @property
    def new_answers(self) -> tuple[Answer, ...]:
        return tuple(answer for answer in self.answers if not answer.used)


class AgentError(Exception):
    """The agent could not say anything now; trying again later may help."""


class Agent(Protocol):
    name: str  # for the timeline
    judges_drafts: bool  # whether a second judgement looks at what it writes before it is sent

    def draft_outreach(self, case: CaseView) -> Draft:
        """The first mail. Raises AgentError."""

    def draft_follow_up(self, case: CaseView) -> Draft:
        """A reminder in the same thread. Raises AgentError."""

    def draft_reply(self, case: CaseView, verdict: Verdict) -> Draft:
        """The mail that a REPLY verdict wants. Raises AgentError."""

    def evaluate(self, case: CaseView) -> Verdict:
        """What to do, given the whole thread and the human's answers. Raises AgentError."""
