"""What a question takes along for whoever answers it: a reply, and values as far as they are borne out."""

from datetime import UTC, datetime
from typing import Any

import pytest

from cases import services
from cases.factories import InputRequestFactory
from cases.models import MessageStatus
from cases.testing import run_due
from outreach import deliberation, evidence, preview, proposals
from outreach.agents import wire
from outreach.agents.base import CaseView, Decision, Draft, Mail, Source, Verdict
from outreach.agents.form import FormAgent
from outreach.budget import Meter
from outreach.factories import FORM, Played

AT = datetime(2026, 11, 2, tzinfo=UTC)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["number", "total"],
    "properties": {
        "number": {"type": "string"},
        "total": {"type": "number"},
        "bank": {"type": "object", "properties": {"iban": {"type": "string"}, "bic": {"type": "string"}}},
        "lines": {"type": "array", "items": {"type": "string"}},
    },
}
VIEW = CaseView(
    id="c",
    goal={"objective": "Get the invoice."},
    counterparty={"name": "Ann"},
    persona={"name": "Bob"},
    result_schema=SCHEMA,
    thread=(Mail("m", False, True, True, AT, "", "It is INV-7, 12.50 EUR, for bolts and nuts. Which bank?"),),
)


def source(path: str, quote: str) -> Source:
    return Source(path, "m", quote)


@pytest.mark.parametrize(
    ("result", "sources", "kept"),
    [
        (None, (), None),
        ({"number": "INV-7"}, (source("/number", "INV-7"),), {"number": "INV-7"}),
        (
            {"number": "INV-7", "total": 13},
            (source("/number", "INV-7"), source("/total", "12.50")),
            {"number": "INV-7"},
        ),
        ({"number": "INV-7", "total": 12.5}, (source("/total", "12.50 EUR"),), {"total": 12.5}),
        ({"bank": {"iban": "DE1", "bic": ""}}, (source("/bank/iban", "DE1"),), None),
        (
            {"lines": ["bolts", "nuts"]},
            (source("/lines/0", "bolts"), source("/lines/1", "nuts")),
            {"lines": ["bolts", "nuts"]},
        ),
        ({"lines": ["bolts", "pins"]}, (source("/lines/0", "bolts"), source("/lines/1", "pins")), None),
        ({"invented": "INV-7"}, (source("/invented", "INV-7"),), None),
        (12.5, (source("", "12.50"),), 12.5),
    ],
)
def test_of_values_that_are_known_those_with_evidence_are_kept(result: Any, sources: Any, kept: Any) -> None:
    values, named = evidence.borne_out(VIEW, result, sources)
    assert values == kept
    assert {one.path for one in named} == {path for path, _ in evidence.leaves(kept)} - (
        {""} if kept is None else set()
    )


class Says(FormAgent):
    """Gives one verdict."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict

    def evaluate(self, case: CaseView, faults: tuple[str, ...] = ()) -> Verdict:
        return self.verdict


def judged(verdict: Verdict) -> Verdict:
    return deliberation.judge(Says(verdict), VIEW, Meter())


def test_a_question_keeps_what_is_known_and_drops_what_is_not_borne_out() -> None:
    asked = Verdict(
        Decision.INPUT_NEEDED,
        question="Which bank?",
        result={"number": "INV-7", "total": 99},
        sources=(source("/number", "INV-7"), source("/total", "99")),
        reply_body="Ours is in Bonn.",
    )
    verdict = judged(asked)
    assert (verdict.question, verdict.result, verdict.reply_body) == (
        "Which bank?",
        {"number": "INV-7"},
        "Ours is in Bonn.",
    )
    assert verdict.sources == (source("/number", "INV-7"),)


def test_a_result_that_is_not_borne_out_leaves_what_is_to_the_person_who_is_asked() -> None:
    achieved = Verdict(
        Decision.GOAL_ACHIEVED, result={"number": "INV-7", "total": 99}, sources=(source("/number", "INV-7"),)
    )
    verdict = judged(achieved)
    assert (verdict.decision, verdict.result) == (Decision.INPUT_NEEDED, {"number": "INV-7"})


def test_a_model_may_say_what_it_knows_along_with_its_question() -> None:
    answer = {
        "decision": "INPUT_NEEDED",
        "question": "Which bank?",
        "reason": "They ask.",
        "result": {"number": "INV-7"},
        "sources": [{"path": "/number", "source_id": "m", "quote": "INV-7"}],
        "reply_body": " Ours is in Bonn. ",
    }
    verdict = wire.verdict_of(answer, VIEW, is_last=True)
    assert (verdict.result, verdict.reply_body) == ({"number": "INV-7"}, "Ours is in Bonn.")
    waits = wire.verdict_of({**answer, "decision": "WAIT"}, VIEW, is_last=True)
    assert (waits.result, waits.reply_body) == (None, "")


@pytest.mark.django_db
def test_a_question_of_the_form_agent_brings_the_lines_that_are_filled_in() -> None:
    played = Played.begin(result_schema=FORM)
    played.reply("Invoice number: INV-7\n\nMay we add 20 EUR for the express delivery?")
    proposal = played.question.proposal
    assert proposal is not None
    assert proposal["values"] == {"invoiceNumber": "INV-7"}
    [only] = proposal["sources"]
    assert (only["path"], only["source_id"]) == ("/invoiceNumber", str(played.received[0].pk))


@pytest.mark.django_db
def test_a_question_about_nothing_that_is_known_brings_nothing() -> None:
    played = Played.begin(result_schema=FORM)
    played.reply("Who are you?")
    assert played.question.proposal is None


def test_a_draft_that_was_held_back_is_proposed_with_what_is_wrong_with_it() -> None:
    written = deliberation.Written(Draft("Hello."), is_judged=True, refused=("Rude.",), faults=("Still rude.",))
    assert proposals.of_draft(written) == {"reply": "Hello.", "faults": ["Still rude."]}


# --- The mail before it leaves --------------------------------------------------------------------


@pytest.mark.django_db
def test_the_preview_is_the_mail_that_leaves() -> None:
    played = Played.begin(result_schema=FORM)
    played.reply("Who are you?")
    text = "We are Acme.\n\nBob"
    before = played.case.messages.count()
    shown = preview.of_reply(played.reload(), text)
    assert played.case.messages.count() == before  # it stores nothing
    services.reply_to_counterparty(played.case.pk, text=text, actor="staff ann")
    run_due()
    mail = played.mails[-1]
    assert (mail["subject"], mail["text"].strip()) == (shown["subject"], shown["text"].strip())
    assert played.case.messages.get(status=MessageStatus.SENT, written_by="staff ann").to_address in shown["to"]
    assert shown["from"] == f"Bob Buyer <{played.case.our_address}>"
    assert shown["files"] == []


@pytest.mark.django_db
def test_an_answer_that_goes_out_word_for_word_is_seen_in_its_mail() -> None:
    played = Played.begin(result_schema=FORM)
    played.reply("Invoice number: INV-7\n\nMay we add 20 EUR for the express delivery?")
    question = played.question
    shown = preview.of_answer(question, "Yes, 20 EUR are fine.")
    assert shown is not None
    assert "Yes, 20 EUR are fine." in shown["text"]
    services.provide_input(
        case_id=question.case_id, input_request_id=question.pk, provided_context="Yes, 20 EUR are fine."
    )
    run_due()
    mail = played.mails[-1]
    assert (mail["subject"], mail["text"].strip()) == (shown["subject"], shown["text"].strip())


@pytest.mark.django_db
def test_an_answer_to_the_service_itself_is_in_no_mail() -> None:
    assert preview.of_answer(InputRequestFactory(is_operational=True), "Go on.") is None
