"""What an agent sees, what it says, and nothing else: it never touches the database, chooses a recipient, or sends."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from cases import work


class Decision(StrEnum):
    GOAL_ACHIEVED = "GOAL_ACHIEVED"  # result, sources; reply_body may be thanks
    REJECTED = "REJECTED"  # reason
    REPLY = "REPLY"  # reply_body
    INPUT_NEEDED = "INPUT_NEEDED"  # question, reason; result, sources: what is known so far; reply_body: a proposal
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
class ModelCall:
    """One request to a model, for the timeline and the budget, however it ended."""

    purpose: str  # outreach, follow_up, reply, closing, evaluation, check
    model: str
    prompt_version: str
    prompt_tokens: int
    completion_tokens: int
    duration_ms: int
    fault: str = ""  # empty: the answer was usable


@dataclass(frozen=True)
class Draft:
    """A mail to be. An empty subject keeps the thread's."""

    body: str
    subject: str = ""
    calls: tuple[ModelCall, ...] = ()


@dataclass(frozen=True)
class Judgement:
    """The second look at a draft: whether it keeps to every constraint, and if not, what is wrong with it."""

    is_allowed: bool
    faults: tuple[str, ...] = ()
    calls: tuple[ModelCall, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What to do next, judged from the whole thread."""

    decision: Decision
    result: Any = None
    sources: tuple[Source, ...] = ()
    reply_body: str = ""
    question: str = ""
    options: tuple[str, ...] = ()  # what the question may be answered with; empty: anything
    answer_schema: dict[str, Any] | None = None  # JSON Schema of its answer; of either kind any text is taken
    reason: str = ""
    wait_until: datetime | None = None
    opts_out: bool = False  # the counterparty wants no more mail from us, about this or anything else
    calls: tuple[ModelCall, ...] = ()


SIGNATURES = frozenset(
    {
        "application/pkcs7-signature",
        "application/x-pkcs7-signature",
        "application/pgp-signature",
        "application/pgp-keys",
    }
)  # of the mail, and nothing to read


@dataclass(frozen=True)
class File:
    id: str
    name: str
    type: str
    size: int  # bytes
    text: str = ""  # what could be read of it; empty for pictures and scans
    note: str = ""  # why there is no text, or that it was cut; for agent and staff
    image: bytes = b""  # a picture (PNG, JPEG, GIF, WEBP) or a scanned page, for agents that take them

    @property
    def is_picture(self) -> bool:
        """Whether what it says can only be seen, not read: a picture, or a PDF with scanned pages."""
        is_scan = self.type == "application/pdf" and (not self.text or "scanned" in self.note)
        return self.type.startswith("image/") or is_scan

    @property
    def is_unread(self) -> bool:
        """Whether something that it says has reached neither text nor picture: locked, damaged, too large, cut …"""
        if self.type in SIGNATURES:
            return False
        if self.is_picture:
            return not self.image or "first of" in self.note  # of several scanned pages one is shown
        return not self.text or bool(self.note)


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
    sender: str = ""  # the name that the mail gives


@dataclass(frozen=True)
class Answer:
    """What a human answered to a question of the case. `used`: an earlier mail or verdict has made use of it."""

    id: str
    question: str
    text: str
    used: bool


@dataclass(frozen=True)
class Rejection:
    """A draft that a person would not have sent, and why: an instruction as good as an answer."""

    subject: str
    body: str
    reason: str


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
    rejections: tuple[Rejection, ...] = field(default=())  # oldest first
    open_question: str | None = None
    language: str | None = None  # BCP 47, of the first mail
    deadline: datetime | None = None  # the answer is of no use afterwards
    now: datetime | None = None  # the database's time as the case was read
    enclosed: tuple[File, ...] = ()  # what goes out with the first mail

    @property
    def from_counterparty(self) -> tuple[Mail, ...]:
        """What people on the other side wrote, oldest first."""
        return tuple(mail for mail in self.thread if mail.from_person and not mail.from_us)

    @property
    def new_answers(self) -> tuple[Answer, ...]:
        return tuple(answer for answer in self.answers if not answer.used)


class AgentError(Exception):
    """The agent could not say anything now; trying again later may help. `calls` were made all the same."""

    def __init__(self, reason: str, calls: tuple[ModelCall, ...] = ()) -> None:
        super().__init__(reason)
        self.calls = calls


class AgentWaits(AgentError, work.StepWaits):
    """The agent has to leave its model alone for now, as everybody has. `calls` were made before."""

    def __init__(self, reason: str, calls: tuple[ModelCall, ...], *, retry_after_seconds: float) -> None:
        work.StepWaits.__init__(self, reason, retry_after_seconds=retry_after_seconds)
        self.calls = calls


class AgentAsks(AgentError):
    """The agent can't write this mail before a person has said more; its text is the question."""


class AgentGaveUp(AgentError):
    """The agent's answers stay unusable however often it is asked: a human has to decide."""


class Agent(Protocol):
    """Writes and judges. `faults` name what was wrong with the last answer to the same request: one more try."""

    name: str  # for the timeline
    judges_drafts: bool  # whether a second judgement looks at what it writes before it is sent
    takes_images: bool

    def draft_outreach(self, case: CaseView, faults: tuple[str, ...] = ()) -> Draft:
        """The first mail. Raises AgentError."""

    def draft_follow_up(self, case: CaseView, faults: tuple[str, ...] = ()) -> Draft:
        """A reminder in the same thread. Raises AgentError."""

    def draft_reply(self, case: CaseView, verdict: Verdict, faults: tuple[str, ...] = ()) -> Draft:
        """The mail that a REPLY verdict wants. Raises AgentError."""

    def evaluate(self, case: CaseView, faults: tuple[str, ...] = ()) -> Verdict:
        """What to do, given the whole thread and the human's answers. Raises AgentError."""

    def draft_closing(self, case: CaseView, verdict: Verdict, faults: tuple[str, ...] = ()) -> Draft:
        """Thanks at the end, where the verdict is GOAL_ACHIEVED. Raises AgentError."""

    def judge(self, case: CaseView, draft: Draft) -> Judgement:
        """Look at a draft as somebody else would, constraint by constraint. Raises AgentError."""
