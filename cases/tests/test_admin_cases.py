"""The staff's pages of cases: what they show, who may act, and that nothing acts but a POST."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client as Browser
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from cases import work
from cases.admin.forms import ACTIONS, PauseForm, ReopenForm, ResumeForm
from cases.admin.words import EVENTS
from cases.admin.words import told as told_of
from cases.events import record
from cases.factories import AttachmentFactory, CaseFactory, InputRequestFactory, MessageFactory
from cases.models import Case, Event, Message, MessageStatus, RequestStatus, Status
from cases.tests.staff import HOSTILE, assert_harmless, staff, told

SCHEMA = {
    "type": "object",
    "properties": {"total": {"type": "number"}, "paid": {"type": "boolean"}},
    "required": ["total"],
}


@pytest.fixture
def clerk(db: None) -> Browser:
    return staff("view_case", "change_case")


def page_of(case: Case) -> str:
    return reverse("admin:cases_case_change", args=[case.pk])


def act(browser: Browser, case: Case, name: str, **data: Any) -> Any:
    """Post one of the forms of the case's page, as the page shows it, and confirm it."""
    url = reverse(f"admin:cases_case_{name}", args=[case.pk])
    return browser.post(url, {"version": case.version, "sure": "yes", **data})


def running(**fields: Any) -> Case:
    case = CaseFactory(status=Status.RUNNING, **fields)
    MessageFactory(case=case)
    case.refresh_from_db()
    return case


def forms_on(response: Any) -> list[str]:
    return [form.name for form in response.context["actions"]]


# --- What the page shows --------------------------------------------------------------------------


def test_the_page_shows_the_whole_case(clerk: Browser) -> None:
    case = running(
        client_reference_id="R-17",
        goal={"objective": "Get the total.", "knowledge": {"order": "O-5"}, "tone": "short"},
        constraints=["Never promise a date."],
        result_schema=SCHEMA,
        counterparty={
            "address": "ann@supplier.example",
            "name": "Ann",
            "timezone": "Europe/Zurich",
            "customData": {"floor": "3"},
        },
        sender_persona={"name": "Bob Buyer", "role": "Purchasing"},
        metadata={"internal": "M-1"},
        client_webhook_url="https://client.example/hook",
        last_error="TransportError: down",
    )
    reply = MessageFactory(case=case, direction="IN", text="It is 12.", full_text="It is 12.\n> What is it?")
    AttachmentFactory(message=reply, name="invoice.pdf", sha256="ab" * 32)
    html = clerk.get(page_of(case)).content.decode()
    for shown in (
        "R-17: Get the total.",
        "O-5",
        "Never promise a date.",
        "total",
        "Europe/Zurich",
        "floor",
        "Purchasing",
        "M-1",
        "https://client.example/hook",
        "TransportError: down",
        "Please send us the invoice of March.",
        "It is 12.",
        "&gt; What is it?",
        "invoice.pdf",
    ):
        assert shown in html, shown
    assert 'href="https://client.example/hook"' not in html


def test_mail_after_the_end_and_mail_that_was_never_sent_are_marked(clerk: Browser) -> None:
    case = CaseFactory(status=Status.COMPLETED, result={"total": 3})
    MessageFactory(case=case, direction="IN", is_after_end=True)
    MessageFactory(case=case, status=MessageStatus.UNKNOWN)
    html = clerk.get(page_of(case)).content.decode()
    assert html.count("came after the end") == 1
    assert html.count("may or may not have been sent") == 1


def test_a_result_is_shown_with_the_sources_of_each_value(clerk: Browser) -> None:
    case = CaseFactory(status=Status.COMPLETED, result={"total": 12, "lines": [{"a/b": "x"}], "paid": None})
    reply = MessageFactory(case=case, direction="IN", text="It is 12.")
    case.sources = [
        {"path": "/total", "source_id": str(reply.pk), "quote": "12"},
        {"path": "/lines/0/a~1b", "source_id": "goal", "quote": "x"},
    ]
    case.save()
    response = clerk.get(page_of(case))
    values = {value.entry.path: value for value in response.context["result_values"]}
    shown = {path: (value.entry.place, value.entry.value) for path, value in values.items()}
    assert shown == {"/total": ("total", 12), "/lines/0/a~1b": ("lines › no. 1 › a/b", "x"), "/paid": ("paid", None)}
    assert values["/total"].origins[0].anchor == f"message-{reply.pk}"
    assert values["/lines/0/a~1b"].origins[0].words == "the goal"
    assert values["/paid"].origins == []
    html = response.content.decode()
    assert f'<a href="#message-{reply.pk}">' in html
    assert "no source" not in html


@pytest.mark.parametrize("place", ["message", "file", "question"])
def test_a_source_leads_to_its_place_on_the_page(clerk: Browser, place: str) -> None:
    case = CaseFactory(status=Status.COMPLETED, result="12")
    reply = MessageFactory(case=case, direction="IN")
    file = AttachmentFactory(message=reply)
    question = InputRequestFactory(case=case, status=RequestStatus.RESOLVED)
    pk = {"message": reply.pk, "file": file.pk, "question": question.pk}[place]
    Case.objects.filter(pk=case.pk).update(sources=[{"path": "", "source_id": str(pk), "quote": "It is 12."}])
    html = clerk.get(page_of(case)).content.decode()
    assert f'href="#{place}-{pk}"' in html
    assert html.count(f'id="{place}-{pk}"') == 1
    assert "<q><bdi>It is 12.</bdi></q>" in html


def test_a_result_that_staff_entered_has_them_as_its_source(clerk: Browser) -> None:
    case = running()
    act(clerk, case, "complete", result='{"total": 12, "paid": true}')
    values = clerk.get(page_of(case)).context["result_values"]
    who = case.events.get(type="case.completed").actor
    assert {value.entry.path: [origin.words for origin in value.origins] for value in values} == {
        "/total": [who],
        "/paid": [who],
    }


def test_a_value_without_a_source_is_seen_to_have_none(clerk: Browser) -> None:
    case = CaseFactory(status=Status.COMPLETED, result={"total": 12})
    assert clerk.get(page_of(case)).content.decode().count("no source") == 1


def test_what_is_known_is_shown_as_a_table(clerk: Browser) -> None:
    case = running(goal={"objective": "x", "knowledge": {"lines": [{"paid": False}, {"paid": None}]}})
    html = clerk.get(page_of(case)).content.decode()
    assert "<dt><bdi>lines › no. 1 › paid</bdi></dt><dd><bdi>no</bdi></dd>" in html
    assert "<dt><bdi>lines › no. 2 › paid</bdi></dt><dd><bdi>–</bdi></dd>" in html


def test_what_models_have_cost_is_shown_where_they_were_asked(clerk: Browser, settings: Any) -> None:
    case = running(language="pt-BR")
    assert "<dt>Cost</dt>" not in clerk.get(page_of(case)).content.decode()
    Case.objects.filter(pk=case.pk).update(model_calls=2, model_tokens=1500, model_cost="0.012500")
    html = clerk.get(page_of(case)).content.decode()
    assert "<dt>Cost</dt><dd>0.0125 for 2 model calls, 1500 tokens</dd>" in html
    settings.OFFLOAD_MODEL_CURRENCY = "EUR"
    assert "<dd>0.0125 EUR for 2 model calls, 1500 tokens</dd>" in clerk.get(page_of(case)).content.decode()
    assert "<dt>Language</dt><dd>pt-BR</dd>" in html
    Case.objects.filter(pk=case.pk).update(model_calls=1, model_cost=0)
    assert "<dt>Cost</dt><dd>1 model call, 1500 tokens</dd>" in clerk.get(page_of(case)).content.decode()


def test_a_source_is_not_taken_for_that_of_a_value_whose_name_only_begins_alike(clerk: Browser) -> None:
    sources = [{"path": "/total", "source_id": "goal", "quote": "12"}]
    case = CaseFactory(status=Status.COMPLETED, result={"total": 12, "total_tax": 2}, sources=sources)
    values = clerk.get(page_of(case)).context["result_values"]
    assert {value.entry.path: len(value.origins) for value in values} == {"/total": 1, "/total_tax": 0}


def test_the_timeline_tells_every_event_with_actor_and_time(clerk: Browser) -> None:
    case = running()
    case.now = datetime(2026, 3, 1, 9, 30, 5, tzinfo=UTC)
    record(case, "case.waiting", actor="staff ann", until="2026-03-09T08:00:00+00:00", reason="Holiday.")
    record(case, "delivery.failed", url="https://client.example")
    response = clerk.get(page_of(case))
    lines = [(line.words, line.said) for line in response.context["timeline"].lines]
    assert lines == [
        ("Nothing will be done before Monday 9 March 2026, 08:00 UTC", "Holiday."),
        ("Delivery failed", ""),
    ]
    html = response.content.decode()
    assert "<h3>Sunday 1 March 2026</h3>" in html
    assert '<time datetime="2026-03-01T09:30:05+00:00">09:30:05 UTC</time>' in html
    assert "by <bdi>staff ann</bdi>" in html
    assert "<dt><bdi>url</bdi></dt><dd><bdi>https://client.example</bdi></dd>" in html


WRITTEN = "A mail was written by the agent “openai”"
JUDGED = {"agent": "openai", "judged": True, "allowed": True, "rewritten": True, "faults": []}
CALL = {
    "purpose": "evaluation",
    "model": "m-1",
    "promptVersion": "3",
    "promptTokens": 1200,
    "completionTokens": 85,
    "cost": "0.004200",
    "fault": "",
}
ASKED = "The model m-1 was asked to judge the conversation, prompt 3: 1200 tokens in, 85 out"


@pytest.mark.parametrize(
    ("type_", "data", "line", "detail"),
    [
        (
            "draft.written",
            {"agent": "form"},
            "A mail was written by the agent “form”, which nothing else has judged",
            "",
        ),
        (
            "draft.refused",
            {"agent": "openai", "faults": ["Promises a date."]},
            "A mail that the agent “openai” had drafted was refused",
            "- Promises a date.",
        ),
        ("draft.judged", {**JUDGED, "rewritten": False}, f"{WRITTEN} and judged: it may be sent", ""),
        ("draft.judged", JUDGED, f"{WRITTEN}, written anew and judged: it may be sent", ""),
        (
            "draft.judged",
            {**JUDGED, "allowed": False, "faults": ["Promises a date.", "Too long."]},
            f"{WRITTEN}, written anew and judged: it may not be sent",
            "- Promises a date.\n- Too long.",
        ),
        (
            "mail.suspicious",
            {"messageId": "1", "why": ["Asks for another recipient."]},
            "Look closely: a mail seems to be meant to steer the agent, or to deceive",
            "- Asks for another recipient.",
        ),
        ("model.called", CALL, f"{ASKED}, cost 0.0042", ""),
        ("time.skipped", {"seconds": 9000.0}, "Time was let pass in the sandbox: 2.5 hours", ""),
        ("model.called", {**CALL, "cost": "20.000000"}, f"{ASKED}, cost 20", ""),
        ("model.called", {**CALL, "durationMs": 1840}, f"{ASKED}, 1.8 s, cost 0.0042", ""),
        ("model.called", {**CALL, "cost": "0.000000", "fault": "Cut off."}, ASKED, "Cut off."),
        (
            "budget.exhausted",
            {"what": "This case has made 60 model calls."},
            "No model is asked any more: a limit is reached",
            "This case has made 60 model calls.",
        ),
        ("case.changed", {"fields": ["deadline_at", "new_thing"]}, "Changed: the deadline, new thing", ""),
        ("case.paused", {}, "The case was paused: nothing is sent, and nothing judged", ""),
        (
            "verdict",
            {"agent": "openai", "decision": "WAIT", "reason": "On Friday."},
            "The agent “openai” finds that there is nothing to do yet",
            "On Friday.",
        ),
    ],
)
def test_the_timeline_tells_of_the_agent_in_words(type_: str, data: Any, line: str, detail: str) -> None:
    assert told_of(Event(type=type_, data=data)) == (line, detail)


def test_the_timeline_leads_to_a_suspicious_mail(clerk: Browser) -> None:
    reply = MessageFactory(direction="IN")
    reply.case.now = work.now()
    record(reply.case, "mail.suspicious", messageId=str(reply.pk), why=["Gives orders."])
    assert f'<a href="#message-{reply.pk}">the mail</a>' in clerk.get(page_of(reply.case)).content.decode()


def hostile_case() -> Case:
    """A case in which every field from outside holds markup."""
    case = CaseFactory(
        status=Status.INPUT_NEEDED,
        client__name=HOSTILE,
        client_reference_id=HOSTILE,
        goal={"objective": HOSTILE, "knowledge": {HOSTILE: HOSTILE}, HOSTILE: HOSTILE},
        counterparty={
            "address": "ann@supplier.example",
            "name": HOSTILE,
            "customData": {HOSTILE: HOSTILE},
            HOSTILE: HOSTILE,
        },
        sender_persona={"name": HOSTILE, HOSTILE: HOSTILE},
        constraints=[HOSTILE],
        metadata={HOSTILE: HOSTILE},
        result_schema={"type": "object", "properties": {HOSTILE: {"type": "string"}}},
        client_webhook_url=f"https://client.example/{HOSTILE}",
        last_error=HOSTILE,
        failures=1,
    )
    question = InputRequestFactory(case=case, question=HOSTILE, reason=f"Why: {HOSTILE}", provided_context=HOSTILE)
    reply = MessageFactory(
        case=case,
        direction="IN",
        subject=HOSTILE,
        text=HOSTILE,
        full_text=f"all {HOSTILE}",
        html=HOSTILE,
        from_name=HOSTILE,
        from_address=HOSTILE,
        to_address=HOSTILE,
        is_after_end=True,
    )
    AttachmentFactory(message=reply, name=HOSTILE, type=HOSTILE, declared_type=f"text/{HOSTILE}")
    Event.objects.create(case=case, type=HOSTILE[:60], actor=HOSTILE, at=work.now(), data={HOSTILE: HOSTILE})
    record_all(case, question.pk)
    return case


def record_all(case: Case, question_pk: Any) -> None:
    case.now = work.now()
    names = ("until", "reason", "question", "answer", "agent", "decision", "resultStatus", "purpose", "model", "fault")
    said = {**dict.fromkeys((*names, "messageId", "what", "cost"), HOSTILE), "why": [HOSTILE], "faults": [HOSTILE]}
    for type_ in EVENTS:
        record(case, type_, actor=HOSTILE, **said, inputRequestId=str(question_pk))


def test_markup_from_outside_stays_text(clerk: Browser) -> None:
    case = hostile_case()
    assert_harmless(clerk.get(page_of(case)).content.decode())
    assert_harmless(clerk.get(reverse("admin:cases_case_changelist")).content.decode())
    Case.objects.filter(pk=case.pk).update(
        status=Status.FAILED,
        result_status="cancelled",
        failure_reason=HOSTILE,
        result={HOSTILE: HOSTILE},
        sources=[{"path": f"/{HOSTILE}", "source_id": HOSTILE, "quote": HOSTILE}],
        due_at=None,
    )
    assert_harmless(clerk.get(page_of(case)).content.decode())


@pytest.mark.parametrize("field", ["counterparty", "sender_persona", "goal"])
def test_names_that_templates_would_trip_over_are_only_names(clerk: Browser, field: str) -> None:
    case = running()
    setattr(
        case, field, {**getattr(case, field), "items": "trap", "knowledge": {"items": 1}, "customData": {"items": "x"}}
    )
    case.save()
    response = clerk.get(page_of(case))
    assert response.status_code == 200
    assert "trap" in response.content.decode()


def test_the_page_takes_as_many_queries_for_a_long_thread(
    clerk: Browser, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    case = running()
    for _ in range(8):
        AttachmentFactory(message__case=case)
        InputRequestFactory(case=case, status=RequestStatus.SUPERSEDED)
        MessageFactory(case=case)
        CaseFactory(counterparty=case.counterparty)
    clerk.get(page_of(case))
    with django_assert_max_num_queries(15):
        clerk.get(page_of(case))


def test_an_unknown_case_is_not_found(clerk: Browser) -> None:
    assert clerk.get("/admin/cases/case/nonsense/change/").status_code == 404
    assert clerk.get("/admin/cases/case/00000000-0000-0000-0000-000000000000/change/").status_code == 404


# --- The list -------------------------------------------------------------------------------------


def listed(browser: Browser, **query: Any) -> list[Case]:
    response = browser.get(reverse("admin:cases_case_changelist"), query)
    return list(response.context["cl"].result_list)


@pytest.mark.parametrize("term", ["R-17", "ann@supplier", "Ann Sup", "{pk}", "{hex}"])
def test_cases_are_found_by_reference_address_name_and_id(clerk: Browser, term: str) -> None:
    case = CaseFactory(client_reference_id="R-17")
    CaseFactory(counterparty={"address": "zoe@other.example", "name": "Zoe"})
    assert listed(clerk, q=term.format(pk=case.pk, hex=case.pk.hex)) == [case]


def test_cases_are_filtered(clerk: Browser) -> None:
    live, test = CaseFactory(is_test=False), CaseFactory(status=Status.RUNNING, failures=2)
    assert listed(clerk, is_test__exact=0) == [live]
    assert listed(clerk, status__exact="RUNNING") == [test]
    assert listed(clerk, client__id__exact=str(live.client_id)) == [live]
    assert listed(clerk, trouble="yes") == [test]


def test_the_list_says_what_comes_next(clerk: Browser) -> None:
    now = work.now()
    in_two_days, long_ago = now + timedelta(days=2, hours=1), now - timedelta(hours=1)
    cases = {
        "The first mail is about to be written": CaseFactory(),
        "Follow-up in 2 days": CaseFactory(status=Status.RUNNING, next_action_at=in_two_days),
        "Gives up in 2 days": CaseFactory(status=Status.RUNNING, next_action_at=in_two_days, follow_up_count=3),
        "Follow-up now": CaseFactory(status=Status.RUNNING, next_action_at=long_ago),
        "A reply is about to be judged": MessageFactory(direction="IN").case,
        "A mail is about to be sent": MessageFactory(status=MessageStatus.QUEUED).case,
        "Has waited 3 hours for an answer": InputRequestFactory(requested_at=now - timedelta(hours=3)).case,
        "The answer is about to be used": InputRequestFactory(status=RequestStatus.RESOLVED).case,
        "Ended: goal achieved": CaseFactory(status=Status.COMPLETED),
        "Ended: the counterparty refused": CaseFactory(status=Status.FAILED),
        "Follow-up in 2 days; failed 3 times, next try in 31 minutes": CaseFactory(
            status=Status.RUNNING,
            next_action_at=in_two_days,
            failures=3,
            retry_at=now + timedelta(minutes=30, seconds=50),
        ),
    }
    html = clerk.get(reverse("admin:cases_case_changelist")).content.decode()
    rows = {str(case.pk)[:8]: words for words, case in cases.items()}
    for short, words in rows.items():
        row = next(part for part in html.split("<tr ") if short in part)
        assert re.search(rf'data-label="What next">\s*{re.escape(words)}\s*<', row), words


def test_the_list_takes_as_many_queries_for_many_cases(
    clerk: Browser, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(8):
        InputRequestFactory()
    with django_assert_max_num_queries(12):
        assert len(listed(clerk)) == 8


# --- Who may do what ------------------------------------------------------------------------------

INPUT: dict[str, dict[str, str]] = {
    "reply": {"text": "Hello."},
    "complete": {"result": '{"total": 1}'},
    "wait": {"moment": "2099-01-01T00:00", "zone": "UTC"},
    "fail": {"why": "failed_by_staff", "reason": "No."},
    "cancel": {},
    "pause": {},
    "resume": {},
    "reopen": {"objective": "Get it at last."},
}


def snapshot(case: Case) -> tuple[Any, ...]:
    case.refresh_from_db()
    return (case.version, case.status, case.updated_at, Message.objects.count(), Event.objects.count())


@pytest.mark.parametrize("name", ACTIONS)
def test_a_get_never_acts(clerk: Browser, name: str) -> None:
    case = running()
    before = snapshot(case)
    url = reverse(f"admin:cases_case_{name}", args=[case.pk])
    assert clerk.get(url, {"version": str(case.version), **INPUT[name]}).status_code == 405
    assert clerk.get(page_of(case), INPUT[name]).status_code == 200
    assert snapshot(case) == before


@pytest.mark.parametrize("name", ACTIONS)
def test_who_may_only_look_can_not_act(db: None, name: str) -> None:
    case = running()
    viewer, before = staff("view_case"), snapshot(case)
    response = viewer.get(page_of(case))
    assert (response.status_code, forms_on(response)) == (200, [])
    assert act(viewer, case, name, **INPUT[name]).status_code == 403
    assert snapshot(case) == before
    assert LogEntry.objects.count() == 0


def test_who_may_not_look_sees_nothing(db: None) -> None:
    case = running()
    stranger = staff("view_client")
    assert stranger.get(page_of(case)).status_code == 403
    assert stranger.get(reverse("admin:cases_case_changelist")).status_code == 403
    assert Browser().get(page_of(case)).status_code == 302


@pytest.mark.parametrize("name", ACTIONS)
def test_a_post_without_its_token_does_nothing(clerk: Browser, name: str) -> None:
    case = running()
    before = snapshot(case)
    clerk.handler.enforce_csrf_checks = True
    assert act(clerk, case, name, **INPUT[name]).status_code == 403
    assert snapshot(case) == before


def test_posting_to_the_page_itself_changes_nothing(clerk: Browser) -> None:
    case = running()
    before = snapshot(case)
    clerk.post(page_of(case), {"status": "COMPLETED", "counterparty_address": "eve@evil.example"})
    assert snapshot(case) == before
    assert clerk.post(reverse("admin:cases_case_delete", args=[case.pk]), {"post": "yes"}).status_code == 403
    assert clerk.get(reverse("admin:cases_case_add")).status_code == 403


# --- Actions --------------------------------------------------------------------------------------


def last_event(case: Case) -> Event:
    event = case.events.last()
    assert event is not None
    return event


def test_a_reply_is_queued_word_for_word(clerk: Browser) -> None:
    case = running()
    response = act(clerk, case, "reply", text="Dear Ann,\r\n\r\nplease <hurry>.")
    assert response.status_code == 302
    message = case.messages.get(status=MessageStatus.QUEUED)
    assert message.text == "Dear Ann,\n\nplease <hurry>."
    assert message.written_by == "staff ann0"
    assert (last_event(case).type, last_event(case).actor) == ("message.queued", "staff ann0")
    entry = LogEntry.objects.get()
    assert (entry.user.get_username(), entry.object_id) == ("ann0", str(case.pk))


def test_a_form_sent_twice_acts_once(clerk: Browser) -> None:
    case = running()
    act(clerk, case, "reply", text="Hello.")
    case.messages.filter(status=MessageStatus.QUEUED).update(status=MessageStatus.SENT, sent_at=work.now())
    again = act(clerk, case, "reply", text="Hello.")  # the page's version, of before the first
    assert told(again) == [
        "The case has changed since you opened the page. Nothing was done: look at it again, and decide anew."
    ]
    assert case.messages.filter(text="Hello.").count() == 1
    shown = next(form for form in again.context["actions"] if form.name == "reply")
    assert shown["text"].value() == "Hello."  # what was typed is not lost
    case.refresh_from_db()
    assert shown["version"].value() == case.version


def test_a_case_completes_with_a_valid_result(clerk: Browser) -> None:
    case = running(result_schema=SCHEMA)
    assert act(clerk, case, "complete", result='{"total": 12.5}').status_code == 302
    case.refresh_from_db()
    assert (case.status, case.result, case.result_status) == (Status.COMPLETED, {"total": 12.5}, "goal_achieved")
    assert case.sources == [{"path": "", "source_id": "staff ann0", "quote": ""}]
    assert last_event(case).actor == "staff ann0"


@pytest.mark.parametrize(
    ("result", "error"),
    [
        ('{"total": "12", "paid": 1}', "/total: &quot;12&quot; is not of type &quot;number&quot;"),
        ('{"total": "12", "paid": 1}', "/paid: 1 is not of type &quot;boolean&quot;"),
        ("{}", "The whole result: &quot;total&quot; is a required property"),
        ("{", "Not JSON"),
        ('{"total": NaN}', "NaN is no number"),
        ('{"total": 1e999}', "that can&#x27;t be stored"),
        ('{"total": 1, "x": "\\u0000"}', "that can&#x27;t be stored"),
        ('{"total": 1, "x": "\\ud800"}', "that can&#x27;t be stored"),
        (f"{'[' * 40}{']' * 40}", "Nested too deeply"),
        (f"{'[' * 9000}{']' * 9000}", "Nested too deeply"),
        (f'{{"total": {"9" * 5000}}}', "that can&#x27;t be stored"),
        ("null", "The whole result: null is not of type"),
        ("", "This field is required"),
    ],
)
def test_a_wrong_result_is_not_stored_and_its_errors_are_shown(clerk: Browser, result: str, error: str) -> None:
    case = running(result_schema=SCHEMA)
    before = snapshot(case)
    response = act(clerk, case, "complete", result=result)
    assert response.status_code == 200
    assert error in response.content.decode()
    shown = next(form for form in response.context["actions"] if form.name == "complete")
    assert shown["result"].value() == result
    assert snapshot(case) == before
    assert LogEntry.objects.count() == 0


def test_the_result_begins_as_an_empty_one_of_the_schema(clerk: Browser) -> None:
    case = running(
        result_schema={
            "type": "object",
            "properties": {
                "total": {"type": "number", "default": 7, "enum": [7]},
                "lines": {"type": "array", "items": {"type": "object"}},
                "bank": {"type": ["object", "null"], "properties": {"iban": {"type": "string"}}},
                "odd": True,
            },
        }
    )
    form = next(form for form in clerk.get(page_of(case)).context["actions"] if form.name == "complete")
    assert json.loads(form["result"].value()) == {"total": None, "lines": [], "bank": {"iban": None}, "odd": None}


def test_null_is_a_result_only_where_the_schema_allows_it(clerk: Browser) -> None:
    case = running(result_schema={"type": ["object", "null"]})
    assert act(clerk, case, "complete", result="null").status_code == 302
    case.refresh_from_db()
    assert (case.status, case.result, case.has_result) == (Status.COMPLETED, None, True)
    free = running()
    before = snapshot(free)
    assert "null is none" in act(clerk, free, "complete", result="null").content.decode()
    assert snapshot(free) == before


@pytest.mark.parametrize("why", ["failed_by_staff", "failed_rejected"])
def test_a_case_ends_with_the_reason_given(clerk: Browser, why: str) -> None:
    case = running()
    assert act(clerk, case, "fail", why=why, reason="They closed down.").status_code == 302
    case.refresh_from_db()
    assert (case.status, case.result_status, case.failure_reason) == ("FAILED", why, "They closed down.")
    assert last_event(case).actor == "staff ann0"


@pytest.mark.parametrize("data", [{}, {"why": "goal_achieved"}, {"why": "max_retries"}])
def test_a_case_does_not_end_in_a_way_that_is_not_for_staff_to_say(clerk: Browser, data: dict[str, str]) -> None:
    case = running()
    before = snapshot(case)
    assert act(clerk, case, "fail", reason="No.", **data).status_code == 200
    assert snapshot(case) == before


@pytest.mark.parametrize("name", ["cancel", "fail", "complete"])
def test_an_end_is_asked_about_once_more(clerk: Browser, name: str) -> None:
    case = running()
    before, posted = snapshot(case), {"version": str(case.version), **INPUT[name], "lines": ["1", "<2>"]}
    url = reverse(f"admin:cases_case_{name}", args=[case.pk])
    response = clerk.post(url, posted)
    assert snapshot(case) == before
    assert LogEntry.objects.count() == 0
    confirmation = response.context["confirmation"]
    assert confirmation.name == name
    again = {key: [value for other, value in confirmation.posted if other == key] for key, _ in confirmation.posted}
    assert again == {key: value if isinstance(value, list) else [value] for key, value in posted.items()}
    assert '<input type="hidden" name="lines" value="&lt;2&gt;">' in response.content.decode()
    assert clerk.post(url, {**again, "sure": "yes"}).status_code == 302
    case.refresh_from_db()
    assert case.is_terminal


def test_what_is_wrong_is_said_before_it_is_asked_about(clerk: Browser) -> None:
    case = running(result_schema=SCHEMA)
    for name, posted in (("complete", {"result": "{}"}), ("fail", {"why": "failed_by_staff", "reason": ""})):
        url = reverse(f"admin:cases_case_{name}", args=[case.pk])
        response = clerk.post(url, {"version": case.version, **posted})
        assert "confirmation" not in response.context
        assert "required" in response.content.decode()


def test_what_was_confirmed_after_the_case_had_changed_is_not_done(clerk: Browser) -> None:
    case = running()
    posted = {"version": case.version}
    url = reverse("admin:cases_case_cancel", args=[case.pk])
    assert clerk.post(url, posted).context["confirmation"].name == "cancel"
    act(clerk, case, "pause")
    assert len(told(clerk.post(url, {**posted, "sure": "yes"}))) == 1
    case.refresh_from_db()
    assert case.status == Status.RUNNING


def next_winter() -> datetime:
    """Noon of the coming 1st of February, as on a wall."""
    now = datetime.now(UTC)
    return datetime(now.year + (now.month > 1), 2, 1, 12)


def test_a_case_waits_until_a_time_in_the_counterparty_s_zone(clerk: Browser) -> None:
    case = running(counterparty={"address": "a@b.example", "name": "A", "timezone": "Europe/Zurich"})
    act(clerk, case, "wait", moment=f"{next_winter():%Y-%m-%dT%H:%M}", zone="Europe/Zurich")
    case.refresh_from_db()
    assert case.next_action_at == next_winter().replace(hour=11, tzinfo=UTC)
    assert (last_event(case).type, last_event(case).actor) == ("case.waiting", "staff ann0")


def test_a_case_waits_until_a_time_in_utc(clerk: Browser) -> None:
    case = running()
    act(clerk, case, "wait", moment=f"{next_winter():%Y-%m-%dT%H:%M}", zone="UTC")
    case.refresh_from_db()
    assert case.next_action_at == next_winter().replace(tzinfo=UTC)


def clock_change() -> str:
    """Half past two on the night on which Zurich's clocks skip it, within the coming year."""
    now = datetime.now(UTC)
    for year in (now.year, now.year + 1):
        last_sunday = max(day for day in range(25, 32) if datetime(year, 3, day).weekday() == 6)
        if datetime(year, 3, last_sunday, 3, tzinfo=UTC) > now:
            return f"{year}-03-{last_sunday}T02:30"
    raise AssertionError


@pytest.mark.parametrize(
    ("moment", "zone", "error"),
    [
        ("2020-01-01T00:00", "UTC", "This time has passed."),
        ("2999-01-01T00:00", "UTC", "Choose a time within a year."),
        ("0001-01-01T00:00", "Europe/Zurich", "Choose a time within a year."),
        ("tomorrow", "UTC", "Enter a valid date/time."),
        ("2099-01-01T00:00+02:00", "UTC", "Choose the zone in its own field."),
        ("2099-01-01T00:00", "America/Lima", "is not one of the available choices"),
        (clock_change(), "Europe/Zurich", "The clocks skip this time there"),
        ("", "UTC", "This field is required."),
    ],
)
def test_a_time_that_can_not_be_waited_for_is_refused(clerk: Browser, moment: str, zone: str, error: str) -> None:
    case = running(counterparty={"address": "a@b.example", "name": "A", "timezone": "Europe/Zurich"})
    before = snapshot(case)
    response = act(clerk, case, "wait", moment=moment, zone=zone)
    assert error in response.content.decode()
    assert snapshot(case) == before


def test_what_is_offered_follows_the_state(clerk: Browser) -> None:
    created, completed = CaseFactory(), CaseFactory(status=Status.COMPLETED)
    assert forms_on(clerk.get(page_of(created))) == ["reply", "pause", "fail", "cancel"]
    assert forms_on(clerk.get(page_of(running()))) == ["reply", "complete", "wait", "pause", "fail", "cancel"]
    assert forms_on(clerk.get(page_of(completed))) == ["reopen"]


def test_a_case_is_paused_and_resumed(clerk: Browser) -> None:
    case = running()
    assert told(act(clerk, case, "pause"), "success") == [PauseForm.done]
    case.refresh_from_db()
    assert (case.paused_at is None, case.due_at) == (False, None)
    page = clerk.get(page_of(case))
    assert "Paused for less than a minute" in page.content.decode()
    assert "pause" not in forms_on(page)
    assert told(act(clerk, case, "resume"), "success") == [ResumeForm.done]
    case.refresh_from_db()
    assert case.paused_at is None


def test_a_case_that_has_ended_is_reopened_once(clerk: Browser) -> None:
    case = CaseFactory(status=Status.FAILED)
    assert told(act(clerk, case, "reopen", objective="Get it at last."), "success") == [ReopenForm.done]
    new = Case.objects.get(reopened_from=case)
    assert new.goal["objective"] == "Get it at last."
    page = clerk.get(page_of(case))
    assert (forms_on(page), str(new.pk) in page.content.decode()) == ([], True)
    assert str(case.pk) in clerk.get(page_of(new)).content.decode()


@pytest.mark.parametrize("name", [name for name in ACTIONS if name != "reopen"])
def test_nothing_is_done_for_a_case_that_has_ended(clerk: Browser, name: str) -> None:
    case = CaseFactory(status=Status.FAILED)
    before = snapshot(case)
    data = {**INPUT[name], **({"moment": f"{next_winter():%Y-%m-%dT%H:%M}"} if name == "wait" else {})}
    assert told(act(clerk, case, name, **data)) == ["The case has already finished."]
    assert snapshot(case) == before
    assert LogEntry.objects.count() == 0


def test_a_mail_that_is_being_sent_is_said_so_and_the_text_is_kept(clerk: Browser) -> None:
    case = running()
    MessageFactory(case=case, status=MessageStatus.QUEUED, send_started_at=work.now())
    case.refresh_from_db()
    response = act(clerk, case, "reply", text="My words.")
    assert told(response) == ["A mail of this case is being sent right now. Try again shortly."]
    assert "My words." in response.content.decode()
    assert not case.messages.filter(text="My words.").exists()
