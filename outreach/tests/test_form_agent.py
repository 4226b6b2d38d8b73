"""The agent without a model: what it makes of a thread, and the mails it writes."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from cases.services import provide_input
from cases.testing import run_due
from outreach import evidence
from outreach.agents import spelling
from outreach.agents.base import AgentAsks, Answer, CaseView, Decision, File, Mail
from outreach.agents.form import FormAgent
from outreach.agents.phrases import languages, phrases_in
from outreach.agents.replies import read
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
        "Delivery date – a date such as 2026-12-31\n\n"
        "Kind regards\nRobin Ward\nPurchasing, Acme\n"
    )


def test_wrong_values_are_named_with_what_is_needed() -> None:
    verdict = judged("Delivery date: 03/04/2027\nPieces: 0\nColor: blue")
    assert verdict.reason == "not usable: Delivery date, Pieces, Color"
    assert verdict.reply_body == (
        "Hello Ann Miller,\n\n"
        "Thank you for your reply.\n\n"
        "I could not use this as it is:\n"
        "- Delivery date – you wrote “03/04/2027”, please write a date such as 2026-12-31\n"
        "- Pieces – you wrote “0”, please write a whole number (at least 1)\n"
        "- Color – you wrote “blue”, please write one of these: red, green\n\n"
        "Please reply with these lines filled in:\n\n"
        "Delivery date: \nPieces: \nColor: \n\n"
        "Color – may be left out\n\n"
        "Kind regards\nRobin Ward\nPurchasing, Acme\n"
    )


def test_long_nonsense_is_not_repeated_in_full() -> None:
    [fault] = [line for line in judged(f"Pieces: {'x' * 500}").reply_body.splitlines() if "you wrote" in line]
    assert fault == f"- Pieces – you wrote “{'x' * 79}…”, please write a whole number (at least 1)"


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
        "Delivery date – a date such as 2026-12-31\n\n"
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
    assert "- Pieces – you wrote “0”, please write a whole number (at least 1)" in verdict.reply_body


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


# --- More than lines ---


@pytest.mark.parametrize(
    "remark",
    [
        "Only valid if you pay by Friday.",
        "Can you confirm?",
        "Please note that the price has changed.",
        "Not before you have paid.",
        "Never mind.",
        "> Only valid if you pay by Friday.",  # in the quote, and new
        "Kind regards\nAnn\n\nPS: only if you pay by Friday",
        "Kind regards\nAnn\nonly if you pay by Friday",
        "--\nAnn Miller\nThis offer ends on Friday",
        "Gilt nur bei Zahlung bis Freitag.",
        "Sous réserve de paiement.",
        "Thank you, but we need an order number first.",
        "I am sorry, something has come up.",
    ],
)
def test_a_remark_beside_the_lines_is_for_a_human(remark: str) -> None:
    reply = f"{COMPLETE}\n\n{remark}"
    verdict = judged(reply)
    assert (verdict.decision, verdict.reason) == (
        Decision.INPUT_NEEDED,
        "The reply says more than the lines that were asked for.",
    )
    quoted = "\n".join(f"> {line}".rstrip() for line in reply.splitlines())
    assert verdict.question == (
        f"The counterparty wrote:\n\n{quoted}\n\n"
        "Every required line is filled in:\n- Delivery date: 2026-12-14\n- Pieces: 12\n\nWhat should the answer be?"
    )


def test_a_remark_beside_some_of_the_lines_is_for_a_human() -> None:
    verdict = judged("Pieces: 12\n\nThe date depends on your payment.")
    assert verdict.decision == Decision.INPUT_NEEDED
    assert "Filled in so far:\n- Pieces: 12\n\n" in verdict.question


@pytest.mark.parametrize(
    "around",
    [
        "Hello Robin,\n\nthank you for your mail. Please find the details below.\n\n{}\n\nKind regards\nAnn Miller",
        "Dear Mr Ward,\n{}\nThanks!\n\nBest\n\nAnn\n--\nAnn Miller\nHead of Sales, Supplier AG\nTel. +41 44 123 45 67\n"
        "www.supplier.example",
        "Guten Tag Herr Ward,\n\nvielen Dank für Ihre Nachricht. Anbei die gewünschten Angaben.\n\n{}\n\n"
        "Mit freundlichen Grüßen\nAnn Miller\nVertrieb",
        "Bonjour,\n\nMerci pour votre message. Veuillez trouver ci-dessous les informations demandées.\n\n{}\n\n"
        "Cordialement,\nAnn Miller",
        "Buenos días, Robin:\n\n{}\n\nMuchas gracias. Un saludo,\nAnn",
        "Buongiorno,\n\nDi seguito i dati richiesti.\n{}\n\nCordiali saluti\nAnn",
        "Beste Robin,\n\n{}\n\nMet vriendelijke groet,\n\nAnn Miller",
        "Olá, Robin,\n\nObrigada pela mensagem.\n\n{}\n\nAtenciosamente\nAnn",
        "Dzień dobry,\n\nDziękuję za wiadomość.\n\n{}\n\nZ poważaniem\nAnn Miller",
        "Thank you for your message. Please find the details\nbelow.\n\n{}\n\nSent from my iPhone",
        "{}\n\nAnn",
        "{}\n\nRegards\nAnn\n\nThis e-mail is confidential. If you are not the intended\nrecipient please delete it.",
        "On Mon, 2 Nov 2026 at 09:00, Robin Ward wrote:\n> Hello Ann,\n>\n{}",
        "Hello Ann,\n\n{}",
    ],
)
def test_courtesies_trouble_nobody(around: str) -> None:
    assert judged(around.format(COMPLETE)).result == {"deliveryDate": "2026-12-14", "pieces": 12}


def test_our_own_words_trouble_nobody_where_they_come_back() -> None:
    ours = FormAgent().draft_outreach(view()).body
    filled_in = ours.replace("Delivery date: ", "Delivery date: 2026-12-14").replace("Pieces: ", "Pieces: 12")
    sent = mail(ours, 100, from_us=True, from_person=False, unread=False, at=AT)
    case = view()
    for text in (filled_in, "\n".join(f"> {line}" for line in filled_in.splitlines())):
        verdict = FormAgent().evaluate(replace(case, thread=(sent, mail(text, 1))))
        assert verdict.result == {"deliveryDate": "2026-12-14", "pieces": 12}


def test_a_colleague_signs_with_the_name_that_the_mail_gives() -> None:
    text = f"{COMPLETE}\n\nCarl Jones"
    assert judged(text).decision == Decision.INPUT_NEEDED
    assert judged(mail(text, sender="Carl Jones")).decision == Decision.GOAL_ACHIEVED


def test_mere_thanks_trouble_nobody() -> None:
    verdict = judged("Thank you very much!\n\nKind regards\nAnn")
    assert (verdict.decision, verdict.wait_until) == (Decision.WAIT, None)
    file = File("f", "a.pdf", "application/pdf", 5)
    assert judged(mail("Thank you!", files=(file,))).decision == Decision.INPUT_NEEDED
    assert judged("Thank you! When will you pay?").decision == Decision.INPUT_NEEDED
    assert (
        judged(mail(COMPLETE, 0, unread=False), "Thank you!").decision == Decision.INPUT_NEEDED
    )  # all is there: end it


def test_a_remark_is_not_forgotten_while_a_human_is_asked_about_it() -> None:
    conditional = mail(f"{COMPLETE}\nOnly valid if you pay by Friday.", 0, unread=False)
    assert judged(conditional, "Color: red", open_question="?").decision == Decision.INPUT_NEEDED
    assert judged(conditional, "Color: red").decision == Decision.GOAL_ACHIEVED  # a human has dealt with it
    assert judged(conditional, COMPLETE, open_question="?").decision == Decision.GOAL_ACHIEVED  # given anew, without it


def test_an_answer_that_a_remark_has_overtaken_is_not_sent() -> None:
    verdict = judged("Can we also send it on paper?", answers=answered("By mail, please."))
    assert verdict.decision == Decision.INPUT_NEEDED
    assert "Your last answer has not been sent, since this mail came first:\n\n> By mail, please." in verdict.question


# --- Asking again ---


@pytest.mark.parametrize(
    "evasion", ["see attachment", "I don't know", "n/a", "tbd", "?", "-", "siehe Anhang", "je ne sais pas"]
)
def test_an_evasion_is_no_value(evasion: str) -> None:
    schema = {"type": "object", "required": ["invoiceNumber"], "properties": {"invoiceNumber": {"type": "string"}}}
    verdict = judged(f"Invoice number: {evasion}", schema=schema)
    assert (verdict.decision, verdict.reason) == (Decision.REPLY, "not usable: Invoice number")
    assert f"- Invoice number – you wrote “{evasion}”, please write the value itself\n" in verdict.reply_body
    listed = {**schema, "properties": {"invoiceNumber": {"enum": [evasion, "other"]}}}
    assert judged(f"Invoice number: {evasion}", schema=listed).result == {"invoiceNumber": evasion}


def asked_back(*texts: str) -> Any:
    """The verdict on the last text; to all before it we have replied."""
    thread = []
    for number, text in enumerate(texts[:-1]):
        thread += [
            mail(text, 2 * number, unread=False),
            mail("Please fill them in.", 2 * number + 1, from_us=True, from_person=False, unread=False),
        ]
    return judged(*thread, mail(texts[-1], 2 * len(texts)))


def test_the_same_is_asked_once_more_and_then_a_human() -> None:
    assert asked_back("Pieces: 12").decision == Decision.REPLY
    verdict = asked_back("Pieces: 12", "Pieces: 12\nDelivery date: 03/04/2027")
    assert (verdict.decision, verdict.reason) == (
        Decision.INPUT_NEEDED,
        "Asking again has not helped. Still open: Delivery date.",
    )
    assert "> Delivery date: 03/04/2027" in verdict.question
    assert "Filled in so far:\n- Pieces: 12\n\nAsking again has not helped" in verdict.question


def test_two_rounds_without_progress_are_for_a_human() -> None:
    assert asked_back("Pieces: 12", "Pieces: x\nDelivery date: 2026-12-14").decision == Decision.REPLY
    texts = ("Pieces: 12", "Pieces: x\nDelivery date: 2026-12-14", "Pieces: 12\nDelivery date: x")
    assert asked_back(*texts).decision == Decision.INPUT_NEEDED


def test_every_round_with_progress_is_answered() -> None:
    schema = {**SCHEMA, "required": ["deliveryDate", "pieces", "color"]}
    thread = [mail("Pieces: 12", 0, unread=False), mail("More?", 1, from_us=True, from_person=False, unread=False)]
    assert judged(*thread, "Color: red", schema=schema).decision == Decision.REPLY


def test_a_question_is_no_round() -> None:
    thread = [mail("Which order?", 0, unread=False), mail("4711.", 1, from_us=True, from_person=False, unread=False)]
    assert judged(*thread, "Delivery date: soon\nPieces: many").decision == Decision.REPLY


def test_a_reply_that_comes_while_a_mail_is_sent_is_no_round() -> None:
    thread = [mail("Pieces: 12", 0), mail("Reminder.", 1, from_us=True, from_person=False, unread=False)]
    assert judged(*thread).decision == Decision.REPLY


# --- Spellings ---


def test_an_iban_in_groups_is_taken_without_them() -> None:
    schema = {
        "type": "object",
        "required": ["iban"],
        "properties": {"iban": {"type": "string", "pattern": "^[A-Z]{2}[0-9A-Z]{13,32}$"}},
    }
    case = view("Iban: DE89 3704 0044 0532 0130 00", schema=schema)
    verdict = FormAgent().evaluate(case)
    assert verdict.result == {"iban": "DE89370400440532013000"}
    assert evidence.errors(case, verdict.result, verdict.sources) == []


def test_an_amount_with_its_currency() -> None:
    schema = {"type": "object", "required": ["total"], "properties": {"total": {"type": "number"}}}
    case = view("Total: 1.250,50 €", schema=schema)
    verdict = FormAgent().evaluate(case)
    assert verdict.result == {"total": 1250.5}
    assert evidence.errors(case, verdict.result, verdict.sources) == []
    assert judged("Total: 1.250 €", schema=schema).reason == "not usable: Total"


def test_lists_line_by_line() -> None:
    schema = {
        "type": "object",
        "required": ["parts", "ordered"],
        "properties": {
            "parts": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name", "quantity"],
                    "properties": {"name": {"type": "string"}, "quantity": {"type": "integer"}, "note": {}},
                },
            },
            "ordered": {"type": "array", "items": {"type": "string"}},
        },
    }
    body = FormAgent().draft_outreach(view(schema=schema)).body
    assert "Parts – one per line, each as: Name; Quantity; Note\nOrdered – one per line\n" in body
    case = view("Parts:\n- Bolt M8; 12; -\n- Nut; 7; galvanised\nOrdered: Ann\n\nRegards\nAnn", schema=schema)
    verdict = FormAgent().evaluate(case)
    assert verdict.result == {
        "parts": [{"name": "Bolt M8", "quantity": 12}, {"name": "Nut", "quantity": 7, "note": "galvanised"}],
        "ordered": ["Ann"],
    }
    assert evidence.errors(case, verdict.result, verdict.sources) == []
    plain = judged("Parts: Bolt; 1; -\nOrdered:\nAnn\nBob\nKind regards\nAnn", schema=schema)
    assert plain.result["ordered"] == ["Ann", "Bob"]
    assert judged("Parts: Bolt; 1; -\nOrdered:\nAnn\nonly if you pay", schema=schema).decision == Decision.INPUT_NEEDED
    assert judged("Parts: Bolt; 1\nOrdered: Ann", schema=schema).reason == "not usable: Parts"


# --- What can't be asked for in lines ---

DEEP = {
    "type": "object",
    "required": ["name", "matrix"],
    "properties": {
        "name": {"type": "string"},
        "matrix": {"type": "array", "items": {"type": "array"}},
        "raw": {"type": "object"},
    },
}


def test_what_can_not_be_asked_for_is_a_humans_before_the_first_mail() -> None:
    with pytest.raises(AgentAsks, match="can't be asked for line by line: Matrix"):
        FormAgent().draft_outreach(view(schema=DEEP))
    body = FormAgent().draft_outreach(view(schema=DEEP, answers=answered("The matrix as a PDF, please."))).body
    assert (
        "The matrix as a PDF, please.\n\nCould you reply to this mail with these lines filled in?\n\nName: \n" in body
    )
    assert ("Matrix:" in body, "Raw:" in body, "JSON" in body) == (False, False, False)
    assert judged("Name: Ann", schema=DEEP).decision == Decision.INPUT_NEEDED


def test_the_case_asks_at_once_and_its_first_mail_says_what_was_answered() -> None:
    played = Played.begin(result_schema=DEEP)
    assert (played.reload().status, played.mails) == ("INPUT_NEEDED", [])
    provide_input(
        case_id=played.case.pk,
        input_request_id=played.question.pk,
        provided_context="The matrix as a PDF, please.",
        actor="client",
    )
    run_due()
    [first] = played.mails
    assert "The matrix as a PDF, please." in first["text"]


# --- Languages ---


@pytest.mark.parametrize("language", sorted(languages()))
def test_mail_in_every_language(language: str) -> None:
    case = view(mail("Pieces: 0", 0), language=language)
    agent = FormAgent()
    texts = [
        agent.draft_outreach(view(language=language)).body,
        agent.draft_follow_up(view(language=language)).body,
        agent.evaluate(case).reply_body,
        agent.evaluate(replace(case, answers=answered("4711"))).reply_body,
        judged(COMPLETE, language=language).reply_body,
    ]
    for text in texts:
        assert "{" not in text
        assert text.endswith("\nRobin Ward\nPurchasing, Acme\n")
        assert ("Kind regards" in text) == (language == "en")
    # What comes back as it was, quoted or not, has filled in nothing.
    for text in texts[:4]:
        ours = mail(text, 100, from_us=True, from_person=False, unread=False, at=AT)
        assert FormAgent().evaluate(replace(case, thread=(ours, mail(text, 1)))).decision == Decision.INPUT_NEEDED


def test_all_languages_say_the_same_things() -> None:
    english = phrases_in("en").texts
    assert languages() == {"en", "de", "fr", "es", "it", "nl", "pt", "pl"}
    for language in languages():
        texts = phrases_in(language).texts
        assert texts.keys() == english.keys()
        for key, text in texts.items():
            found = set(re.findall(r"{\w+}", str(text)))
            assert found <= set(re.findall(r"{\w+}", str(english[key]))), (language, key)
            assert found or not re.findall(r"{\w+}", str(english[key])) or key == "greeting", (language, key)


@pytest.mark.parametrize(("tag", "language"), [("de-CH", "de"), ("PT-br", "pt"), ("ja", "en"), (None, "en")])
def test_the_language_of_a_tag(tag: str | None, language: str) -> None:
    assert phrases_in(tag).language == language


@pytest.mark.parametrize("language", sorted(languages()))
def test_the_examples_of_every_language_are_read(language: str) -> None:
    words = phrases_in(language)
    date = words.say("date_hint").removeprefix("una data, ad esempio ")
    number = words.say("number")
    assert spelling.dates(date) == {datetime(2026, 12, 31, tzinfo=UTC).date()}
    assert spelling.numbers(number) == {Decimal("1250.5")}
    for key, truth in (("yes", True), ("no", False)):
        assert spelling.yes_no(words.say(key)) is truth
