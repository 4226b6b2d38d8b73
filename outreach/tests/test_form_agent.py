"""The agent without a model: what it makes of a thread, and the mails it writes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from outreach import evidence
from outreach.agents.base import Answer, CaseView, Decision, File, Mail
from outreach.agents.form import FormAgent, read
from outreach.factories import Played
from outreach.inbound.mail import parse

pytestmark = pytest.mark.django_db
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["deliveryDate", "pieces"],
    "properties": {
        "deliveryDate": {"type": "string", "format": "date"},
        "pieces": {"type": "integer", "minimum": 1},
        "color": {"enum": ["red", "green"]},
        "remarks": {"type": ["string", "null"]},
    },
    "additionalProperties": False,
}
COMPLETE = "Delivery date: 14 December 2026\nPieces: 12"
AT = datetime(2026, 11, 2, 9, tzinfo=UTC)


def mail(text: str, number: int = 0, **more: Any) -> Mail:
    fields = {
        "from_us": False,
        "from_person": True,
        "unread": True,
        "at": AT + timedelta(days=number),
        "subject": "Re: x",
    }
    return Mail(id=f"m{number}", text=text, **{**fields, **more})


def view(*texts: str | Mail, schema: Any = SCHEMA, answers: tuple[Answer, ...] = (), **more: Any) -> CaseView:
    """A thread that begins with our first mail; texts are unread replies."""
    ours = mail("Hello Ann,\n\nDelivery date: \nPieces: \n", 100, from_us=True, from_person=False, unread=False, at=AT)
    theirs = [mail(text, number) if isinstance(text, str) else text for number, text in enumerate(texts)]
    fields: dict[str, Any] = {
        "goal": {"objective": "Please confirm order 4711.\n"},
        "counterparty": {"name": "Ann Miller"},
        "persona": {"name": "Robin Ward", "role": "Purchasing", "company": "Acme"},
    }
    return CaseView(now=AT, id="c", result_schema=schema, thread=(ours, *theirs), answers=answers, **{**fields, **more})


def judged(*texts: str | Mail, **more: Any) -> Any:
    return FormAgent().evaluate(view(*texts, **more))


# --- Verdicts ---


def test_complete() -> None:
    verdict = judged(f"Hello,\n\n{COMPLETE}\nColor: Green\nRemarks: -\n\nRegards\nAnn")
    assert verdict.decision == Decision.GOAL_ACHIEVED
    assert verdict.result == {"deliveryDate": "2026-12-14", "pieces": 12, "color": "green", "remarks": None}
    assert {(source.path, source.source_id, source.quote) for source in verdict.sources} == {
        ("/deliveryDate", "m0", "Delivery date: 14 December 2026"),
        ("/pieces", "m0", "Pieces: 12"),
        ("/color", "m0", "Color: Green"),
        ("/remarks", "m0", "Remarks: -"),
    }


def test_what_it_takes_for_complete_holds_before_the_evidence() -> None:
    schema = {
        "type": "object",
        "properties": {
            "day": {"type": "string", "format": "date"},
            "sum": {"type": "number"},
            "parts": {"type": "array", "items": {"type": "number"}},
            "ok": {"type": "boolean"},
            "color": {"enum": ["red"]},
            "address": {"type": "object", "properties": {"zip": {"type": "integer"}}},
            "raw": {"type": "object"},
            "text": {"type": "string"},
        },
    }
    case = view(
        "Day: Monday, 14. Dezember 2026\nSum: 1'250.50\nParts: 1,5; 2\nOk: ja\nColor: RED\nAddress zip: 8000\n"
        'Raw: {"a": "b", "c": [1]}\nText: ' + "long  words " * 8 + "\nthat go on",
        schema=schema,
    )
    verdict = FormAgent().evaluate(case)
    assert verdict.decision == Decision.GOAL_ACHIEVED
    assert verdict.result["parts"] == [1.5, 2]
    assert verdict.result["address"] == {"zip": 8000}
    assert verdict.result["text"].endswith("words  that go on") or verdict.result["text"].endswith("words that go on")
    assert evidence.errors(case, verdict.result, verdict.sources) == []


def test_partial() -> None:
    verdict = judged("Pieces: 12")
    assert (verdict.decision, verdict.reason) == (Decision.REPLY, "missing: Delivery date")
    assert verdict.reply_body == (
        "Hello Ann Miller,\n\n"
        "Thank you for your reply.\n\n"
        "Still missing: Delivery date.\n\n"
        "Please reply with these lines filled in:\n\n"
        "Delivery date: \n\n"
        "Please write Delivery date as a date like 2027-01-31.\n\n"
        "Kind regards\nRobin Ward\nPurchasing, Acme\n"
    )


def test_wrong_values_are_named_with_what_is_needed() -> None:
    verdict = judged("Delivery date: 03/04/2027\nPieces: 0\nColor: blue")
    assert verdict.reason == "not usable: Delivery date, Pieces, Color"
    assert verdict.reply_body == (
        "Hello Ann Miller,\n\n"
        "Thank you for your reply.\n\n"
        "I could not use this as it is:\n"
        "- Delivery date needs to be a date like 2027-01-31; you wrote “03/04/2027”\n"
        "- Pieces needs to be a whole number (at least 1); you wrote “0”\n"
        "- Color needs to be red or green; you wrote “blue”\n\n"
        "Please reply with these lines filled in:\n\n"
        "Delivery date: \nPieces: \nColor: \n\n"
        "Color may be left out.\n\n"
        "Kind regards\nRobin Ward\nPurchasing, Acme\n"
    )


def test_long_nonsense_is_not_repeated_in_full() -> None:
    [fault] = [line for line in judged(f"Pieces: {'x' * 500}").reply_body.splitlines() if "you wrote" in line]
    assert fault.endswith(f"you wrote “{'x' * 79}…”")


@pytest.mark.parametrize("text", ["Which order?", "", "Delivery date:\nPieces: ", "12 pieces on 14 December 2026"])
def test_anything_else_is_for_a_human(text: str) -> None:
    verdict = judged(text)
    assert verdict.decision == Decision.INPUT_NEEDED
    quoted = "\n".join(f"> {line}".rstrip() for line in text.strip().splitlines()) or "> (no text)"
    assert verdict.question == f"The counterparty wrote:\n\n{quoted}\n\nWhat should the answer be?"


def test_a_human_is_told_of_all_new_mail_and_its_files() -> None:
    read_before = mail("Old.", 0, unread=False)
    with_file = mail("See attached.", 1, files=(File("f", "a.pdf", "application/pdf", 5), File("g", "b.pdf", "x/y", 5)))
    verdict = judged(read_before, with_file, mail("Got it?", 2))
    assert verdict.question == (
        "The counterparty wrote:\n\n> See attached.\n(attached: a.pdf, b.pdf)\n\n> Got it?\n\n"
        "What should the answer be?"
    )


def test_without_schema_everything_is_for_a_human() -> None:
    assert judged(COMPLETE, schema=None).decision == Decision.INPUT_NEEDED


def test_the_last_word_counts() -> None:
    assert judged(COMPLETE, "Pieces: 13").result["pieces"] == 13
    assert judged("Pieces: 1\nPieces: 2\nDelivery date: 2026-12-14").result["pieces"] == 2
    verdict = judged(mail(COMPLETE, 0, unread=False), "Pieces: many")
    assert (verdict.decision, verdict.reason) == (Decision.REPLY, "not usable: Pieces")


def test_lines_may_come_one_mail_after_the_other() -> None:
    verdict = judged(mail("Pieces: 12", 0, unread=False), "Delivery date: 2026-12-14")
    assert verdict.result == {"deliveryDate": "2026-12-14", "pieces": 12}
    assert {source.source_id for source in verdict.sources} == {"m0", "m1"}


def test_what_may_be_left_out_is_asked_for_again_only_once() -> None:
    assert judged(mail(f"{COMPLETE}\nColor: blue", 0)).decision == Decision.REPLY
    verdict = judged(mail(f"{COMPLETE}\nColor: blue", 0, unread=False), "Pieces: 12")
    assert (verdict.decision, verdict.result) == (
        Decision.GOAL_ACHIEVED,
        {"deliveryDate": "2026-12-14", "pieces": 12},
    )


@pytest.mark.parametrize("nothing", ["-", "?", "...", "___"])
def test_a_line_that_says_nothing_is_not_filled_in(nothing: str) -> None:
    assert judged(f"{COMPLETE}\nColor: {nothing}").result == {"deliveryDate": "2026-12-14", "pieces": 12}
    assert judged(f"Delivery date: {nothing}\nPieces: 12").reason == "not usable: Delivery date"


def test_mail_from_machines_and_from_us_fills_in_nothing() -> None:
    machine = mail(COMPLETE, 0, from_person=False)
    ours = mail(COMPLETE, 1, from_us=True, from_person=False)
    assert judged(machine, ours, "Hello?").decision == Decision.INPUT_NEEDED


def test_what_is_valid_line_by_line_but_not_as_a_whole_is_for_a_human() -> None:
    schema = {**SCHEMA, "not": {"properties": {"pieces": {"const": 13}}, "required": ["pieces"]}}
    assert judged(COMPLETE, schema=schema).decision == Decision.GOAL_ACHIEVED
    verdict = judged("Delivery date: 14 December 2026\nPieces: 13", schema=schema)
    assert (verdict.decision, verdict.reason) == (Decision.INPUT_NEEDED, "The result does not validate.")
    assert "together they do not satisfy the result schema" in verdict.question


def test_references_and_nullable_fields() -> None:
    schema = {
        "type": "object",
        "required": ["count", "note"],
        "properties": {
            "count": {"$ref": "#/$defs/count"},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "list": {"type": "array", "items": {"$ref": "#/$defs/count"}},
        },
        "$defs": {"count": {"type": "integer", "minimum": 1}},
    }
    assert judged("Count: 5\nNote: none\nList: 1, 2", schema=schema).result == {
        "count": 5,
        "note": None,
        "list": [1, 2],
    }
    assert judged("Count: 0\nNote: x", schema=schema).reason == "not usable: Count"
    assert judged("Count: 5\nNote: x\nList: 1, 0", schema=schema).reason == "not usable: List"


# --- A human's answer ---


def answered(text: str, *, used: bool = False) -> tuple[Answer, ...]:
    return (Answer("a", "?", text, used=used),)


def test_the_humans_words_are_passed_on() -> None:
    verdict = judged(mail("Pieces: 12", 0, unread=False), answers=answered("  In one piece.\n"))
    assert verdict.decision == Decision.REPLY
    assert verdict.reply_body == (
        "Hello Ann Miller,\n\n"
        "In one piece.\n\n"
        "These lines are still open. Please reply with them filled in:\n\n"
        "Delivery date: \n\n"
        "Please write Delivery date as a date like 2027-01-31.\n\n"
        "Kind regards\nRobin Ward\nPurchasing, Acme\n"
    )


def test_words_that_were_passed_on_are_not_repeated() -> None:
    verdict = judged("Pieces: 12", answers=answered("In one piece.", used=True))
    assert "In one piece." not in verdict.reply_body


def test_an_answer_alone_completes_nothing() -> None:
    schema = {**SCHEMA, "required": []}
    verdict = judged(mail(COMPLETE, 0, unread=False), schema=schema, answers=answered("Fine."))
    assert (verdict.decision, "Fine." in verdict.reply_body) == (Decision.REPLY, True)


def test_an_answer_and_a_reply_that_is_still_not_complete() -> None:
    verdict = judged("Pieces: 0", answers=answered("In one piece."))
    assert "In one piece." in verdict.reply_body
    assert "- Pieces needs to be a whole number (at least 1); you wrote “0”" in verdict.reply_body


# --- Quotes: as mail programs send them ---

FORM_SCHEMA = {"type": "object", "required": ["name"], "properties": {"name": {}, "total": {"type": "number"}}}


def after_reply(text: str = "", **case: Any) -> Played:
    """A case whose counterparty has sent the text with our mail quoted below."""
    played = Played.begin(**{"result_schema": FORM_SCHEMA, **case})
    played.reply(text)
    return played


def test_a_reply_above_the_quoted_form() -> None:
    assert after_reply("Name: Bob").reload().result == {"name": "Bob"}
    assert after_reply("Who are you?").reload().status == "INPUT_NEEDED"


def test_values_in_our_own_words_are_not_the_counterpartys() -> None:
    played = Played.begin(
        result_schema=FORM_SCHEMA, goal={"objective": "Please check these.\n\nName: Our Guess\nTotal: 100\nThank you"}
    )
    quoted = "\n".join(f"> {line}".rstrip() for line in played.mails[0]["text"].splitlines())
    played.reply(f"{quoted}\n> more\n\nI will look at it tomorrow.\n\n{quoted}")
    assert played.reload().status == "INPUT_NEEDED"
    assert "I will look at it tomorrow." in played.question.question


def test_answers_in_the_quoted_form_are_read() -> None:
    played = Played.begin(result_schema=FORM_SCHEMA, goal={"objective": "Please check.\n\nTotal: 100"})
    quoted = "\n".join(f"> {line}".rstrip() for line in played.mails[0]["text"].splitlines())
    filled_in = quoted.replace("> Name:", "> Name: Bob")
    raw = (
        f"From: ann@supplier.example\r\nTo: {played.case.our_address}\r\nMessage-ID: <1@supplier.example>\r\n"
        f"In-Reply-To: {played.mails[0]['messageId']}\r\n\r\n{filled_in}\r\n"
    )
    assert "> Name: Bob" in parse(raw.encode()).reply_text
    played.take(raw.encode())
    assert played.reload().result == {"name": "Bob"}


def test_html_alone() -> None:
    played = Played.begin(result_schema=FORM_SCHEMA)
    played.reply(html="<div><b>Name:</b> Bob &amp; Ann</div><div>Total:&nbsp;12</div><br><p>Regards</p>")
    assert played.reload().result == {"name": "Bob & Ann", "total": 12}


# --- The mails ---


def test_the_first_mail_without_company_role_or_schema() -> None:
    case = view(schema=None, persona={"name": "Robin"})
    assert FormAgent().draft_outreach(case).body == (
        "Hello Ann Miller,\n\n"
        "I am writing to you about the following.\n\n"
        "Please confirm order 4711.\n\n"
        "Kind regards\nRobin\n"
    )


def test_the_first_mail_carries_what_a_human_has_answered_before_it() -> None:
    body = FormAgent().draft_outreach(view(answers=answered("Say that it is urgent."))).body
    assert "Please confirm order 4711.\n\nSay that it is urgent.\n\nCould you reply" in body


def test_every_property_is_a_line_of_the_first_mail() -> None:
    lines = FormAgent().draft_outreach(view()).body.split("\n")
    assert [line for line in lines if line.endswith(": ")] == ["Delivery date: ", "Pieces: ", "Color: ", "Remarks: "]


def test_the_form_that_comes_back_as_it_was_fills_in_nothing() -> None:
    body = FormAgent().draft_outreach(view()).body
    assert judged(body).decision == Decision.INPUT_NEEDED


def test_a_follow_up_asks_for_what_is_still_missing() -> None:
    case = view(mail("Pieces: 12", 0, unread=False))
    body = FormAgent().draft_follow_up(case).body
    assert "I wrote to you on 2 November 2026 and have not had your answer yet." in body
    assert "Please confirm order 4711." in body
    assert "\n\nDelivery date: \n\n" in body
    assert "Pieces: " not in body


def test_a_follow_up_where_nothing_is_required_asks_for_all() -> None:
    body = FormAgent().draft_follow_up(view(schema={**SCHEMA, "required": []})).body
    assert "Delivery date: \nPieces: \nColor: \nRemarks: \n" in body
    assert "may be left out" not in body


def test_the_same_thread_gives_the_same() -> None:
    case = view("Pieces: 12")
    assert FormAgent().evaluate(case) == FormAgent().evaluate(case)
    assert read(case) == read(case)


def test_knowledge_and_metadata_are_not_told() -> None:
    played = Played.begin(goal={"objective": "Ask.", "knowledge": "limit 99"}, metadata={"x": "canary-1"})
    assert "99" not in played.mails[0]["text"]
    assert "canary" not in played.mails[0]["text"]
