"""How well mail is understood, counted on public samples; `make score` prints the tables.

The bounds are what was reached, so that a change for the worse fails. Samples and judgements: docs/mail.md.
"""

import email
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import pytest
import quotequail
from email_reply_parser import EmailReplyParser
from flufl.bounce import all_failures
from mailparser_reply import EmailReplyParser as MailParserReply
from mailparser_reply.constants import MAIL_LANGUAGES

from conftest import require
from outreach.inbound.classify import InboundKind, classify
from outreach.inbound.mail import parse
from outreach.inbound.quotes import reply_text, said
from outreach.tests import public_samples
from outreach.tests.public_samples import Fate, ReplySample, ReportSample

pytestmark = pytest.mark.score

FATES = {
    InboundKind.BOUNCE: Fate.FAILED,
    InboundKind.SOFT_BOUNCE: Fate.FAILED_FOR_NOW,
    InboundKind.DELAY: Fate.DELAYED,
}


@pytest.fixture(autouse=True)
def samples() -> None:
    require("mail samples")


# --- Bounces ---


def our_fate(raw: bytes) -> Fate:
    return FATES.get(classify(raw), Fate.NONE)


def fate_by_flufl(raw: bytes) -> Fate:
    delayed, failed = all_failures(email.message_from_bytes(raw))
    if failed:
        return Fate.FAILED
    return Fate.DELAYED if delayed else Fate.NONE


@dataclass(frozen=True)
class ReportScore:
    right: int
    missed: int  # a bounce or delay taken for none
    invented: int  # a mail that is none taken for one
    confused: int  # failed, failed for now and delayed


def report_score(read: Callable[[bytes], Fate], samples: list[ReportSample]) -> ReportScore:
    found = [(read(sample.raw), sample.fates) for sample in samples]
    right = sum(fate in fates for fate, fates in found)
    missed = sum(fate not in fates and fate is Fate.NONE for fate, fates in found)
    invented = sum(fate not in fates and Fate.NONE in fates for fate, fates in found)
    return ReportScore(right, missed, invented, len(found) - right - missed - invented)


def test_bounces_are_told_from_other_mail() -> None:
    samples = public_samples.report_samples() + [
        ReportSample(name, raw, frozenset({Fate.NONE})) for name, raw in public_samples.human_mails()
    ]
    ours, flufl = report_score(our_fate, samples), report_score(fate_by_flufl, samples)
    print(f"\nbounces, {len(samples)} mails\n  ours          {ours}\n  flufl.bounce  {flufl}")
    assert ours.right > flufl.right
    assert len(samples) == 172
    assert ours == ReportScore(right=171, missed=0, invented=0, confused=1)


def test_no_person_is_taken_for_a_machine() -> None:
    kinds = {name: classify(raw) for name, raw in public_samples.human_mails()}
    machines = {name for name, kind in kinds.items() if kind is not InboundKind.REPLY}
    print(f"\npeople's mails taken for a machine's: {len(machines)} of {len(kinds)}")
    assert machines == set()


# --- Replies ---

Reader = Callable[[ReplySample], str]


def our_reply(sample: ReplySample) -> str:
    return reply_text(sample.text, sample.html)


def by_quotequail(sample: ReplySample) -> str:
    parts = quotequail.quote(said(sample.text, sample.html), limit=10_000, quote_intro_line=True)
    return "\n".join(text for is_new, text in parts if is_new)


def by_mail_parser_reply(sample: ReplySample) -> str:
    return MailParserReply(languages=list(MAIL_LANGUAGES)).parse_reply(said(sample.text, sample.html)) or ""


def by_email_reply_parser(sample: ReplySample) -> str:
    return str(EmailReplyParser.parse_reply(said(sample.text, sample.html)))


READERS: dict[str, Reader] = {
    "ours": our_reply,
    "quotequail": by_quotequail,
    "mail-parser-reply": by_mail_parser_reply,
    "email-reply-parser": by_email_reply_parser,
}


@dataclass(frozen=True)
class ReplyScore:
    exact: int  # but for white space
    losing: int  # at least one new word is missing
    too_long: int  # all new words, and words of the history


@cache
def reply_scores() -> dict[str, ReplyScore]:
    samples = public_samples.reply_samples()
    return {name: _reply_score(reader, samples) for name, reader in READERS.items()}


def _reply_score(reader: Reader, samples: list[ReplySample]) -> ReplyScore:
    found = [(reader(sample), sample.reply) for sample in samples]
    inexact = [(got, wanted) for got, wanted in found if "".join(got.split()) != "".join(wanted.split())]
    losing = sum(bool(Counter(wanted.split()) - Counter(got.split())) for got, wanted in inexact)
    return ReplyScore(len(found) - len(inexact), losing, len(inexact) - losing)


def test_replies_are_told_from_history() -> None:
    scores = reply_scores()
    lines = [f"  {name:<20}{score}" for name, score in scores.items()]
    print(f"\nreplies, {len(public_samples.reply_samples())} mails", *lines, sep="\n")
    ours = scores["ours"]
    others = [score for name, score in scores.items() if name != "ours"]
    assert ours.exact > max(score.exact for score in others)
    assert ours.losing < min(score.losing for score in others)
    assert len(public_samples.reply_samples()) == 115
    assert ours == ReplyScore(exact=88, losing=0, too_long=27)


# --- Damage ---


def damaged(raw: bytes, chance: random.Random) -> bytes:
    """`raw` with some bytes changed, a stretch doubled, a stretch lost, and its end cut off."""
    mail = bytearray(raw)
    for _ in range(chance.randint(1, 40)):
        mail[chance.randrange(len(mail))] = chance.randrange(256)
    first, second = sorted(chance.sample(range(len(mail)), 2))
    mail[first:first] = mail[first:second]
    del mail[second : second + chance.randint(0, 200)]
    return bytes(mail[: chance.randint(len(mail) // 2, len(mail))])


def test_damaged_mails_are_read() -> None:
    chance = random.Random(4711)
    mails = [sample.raw for sample in public_samples.report_samples()]
    mails += [raw for _, raw in public_samples.human_mails()]
    for raw in mails:
        mail = parse(damaged(raw, chance))
        assert mail.kind in InboundKind
        assert len(mail.reply_text) <= len(mail.text) + len(mail.html)
    print(f"\ndamaged mails read: {len(mails)}")
