"""The staff's pages in a real browser: somebody answers a question by clicking, and no page runs anything foreign.

Screenshots of every page are left in var/screenshots.
"""

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, User
from playwright.sync_api import Page, expect

from cases import chores, correspondence, work
from cases.admin import words
from cases.events import record
from cases.factories import (
    ApiKeyFactory,
    AttachmentFactory,
    CaseFactory,
    InputRequestFactory,
    MessageFactory,
)
from cases.models import (
    Case,
    Chore,
    Correspondent,
    Event,
    InputRequest,
    Message,
    Purpose,
    RequestStatus,
    SavedFilter,
    Status,
)
from offload_project.tests import desk
from offload_project.tests.browser import log_in, picture
from outreach.models import InboundPayload, ModelCall, NoticeState, SandboxMail, StaffNotice, Suppression
from webhooks import sender, tasks
from webhooks.models import Delivery, Endpoint

HOSTILE = "<script>window.pwned=1</script><img src=x onerror='window.pwned=1'>\"'><b style='color:red'>"
SAID = ("reason", "question", "answer", "faults", "why", "note", "address", "name", "decision", "agent", "result")
SCHEMA = {
    "type": "object",
    "required": ["invoiceNumber", "total"],
    "properties": {
        "invoiceNumber": {"type": "string"},
        "total": {"type": "number"},
        "paid": {"type": "boolean"},
    },
}


def question_with_a_history() -> InputRequest:
    """A case that has been written to, answered with a file, and now asks."""
    case = CaseFactory(
        status=Status.INPUT_NEEDED,
        client__name="Acme Finance",
        client_reference_id="INV-2031",
        goal={
            "objective": "Get the invoice of March and its total.",
            "knowledge": {"purchaseOrder": "PO-7781", "deliveredOn": "2026-03-14"},
        },
        counterparty={
            "address": "ann@supplier.example",
            "name": "Ann Supplier",
            "company": "Supplier AG",
            "timezone": "Europe/Zurich",
            "customData": {"customerNumber": "K-33"},
        },
        sender_persona={"name": "Bob Buyer", "role": "Purchasing", "company": "Acme"},
        constraints=["Never promise a date of payment.", "Stay polite."],
        result_schema=SCHEMA,
        metadata={"ledger": 4711},
    )
    case.now = work.now()
    record(case, "case.created", actor="client offload_test_Ab12")
    sent = MessageFactory(case=case, text="Dear Ann,\n\nplease send us the invoice of March.\n\nBob Buyer")
    record(case, "draft.written", agent="form", judged=False)
    record(case, "message.sent", messageId=str(sent.pk), purpose="OUTREACH")
    reply = MessageFactory(
        case=case,
        direction="IN",
        text="Hello Bob,\n\nhere it is. May we add 20 EUR for the express delivery?\n\nAnn",
        full_text="Hello Bob,\n\nhere it is. May we add 20 EUR for the express delivery?\n\nAnn\n\n> Dear Ann, …",
    )
    AttachmentFactory(message=reply, name="Rechnung März.pdf")
    record(case, "message.received", actor="counterparty", messageId=str(reply.pk), purpose="HUMAN")
    question = InputRequestFactory(
        case=case,
        question="Ann Supplier asks: “May we add 20 EUR for the express delivery?” What should be answered?",
        reason="The reply is a question that the goal does not answer.",
    )
    asked = {"inputRequestId": str(question.pk), "question": question.question, "reason": question.reason}
    record(case, "case.input_needed", **asked)
    return question


def test_somebody_answers_a_question_by_clicking(page: Page) -> None:
    question = question_with_a_history()
    InputRequestFactory(question="Is Zoe still the right person?")
    log_in(page, "/admin/")
    expect(page.get_by_role("link", name="2 open questions")).to_be_visible()
    picture(page, "index")
    page.get_by_role("link", name="2 open questions").click()
    picture(page, "questions")
    page.get_by_role("link", name="Ann Supplier asks").click()
    expect(page.get_by_text("Never promise a date of payment.")).to_be_visible()
    picture(page, "question")
    with page.expect_download() as download:
        page.get_by_role("link", name="Rechnung März.pdf").click()
    assert Path(download.value.path()).read_bytes() == b"%PDF-1.4 an invoice"
    page.get_by_label("Answer").fill("Yes, 20 EUR are fine.")
    page.get_by_role("button", name="Answer").click()
    expect(page.get_by_text("The answer is stored.")).to_be_visible()
    expect(page.get_by_text("Is Zoe still the right person?").first).to_be_visible()
    question.refresh_from_db()
    assert (question.status, question.provided_context) == (RequestStatus.RESOLVED, "Yes, 20 EUR are fine.")
    assert question.answered_by == "staff ann"


def test_somebody_completes_a_case_by_clicking(page: Page) -> None:
    case = question_with_a_history().case
    log_in(page, f"/admin/cases/case/{case.pk}/change/")
    page.evaluate("document.querySelectorAll('.actions details').forEach(details => { details.open = true })")
    picture(page, "case")
    page.reload()
    page.get_by_text("Complete with a result", exact=True).click()
    page.get_by_text("Write it as JSON", exact=True).click()
    page.get_by_label("Result (JSON)").fill('{"invoiceNumber": "7", "total": "120"}')
    page.get_by_role("button", name="Complete with this JSON").click()
    expect(page.get_by_text('/total: "120" is not of type "number"')).to_be_visible()
    picture(page, "case-wrong-result")
    page.get_by_label("Result (JSON)").fill('{"invoiceNumber": "7", "total": 120}')
    page.get_by_role("button", name="Complete with this JSON").click()
    page.get_by_role("button", name="Yes: complete with this result").click()
    expect(page.get_by_text("The case is completed.", exact=True)).to_be_visible()
    picture(page, "case-completed")
    case.refresh_from_db()
    assert (case.status, case.result) == (Status.COMPLETED, {"invoiceNumber": "7", "total": 120})


def test_a_case_is_posted_from_the_page_of_the_api(page: Page) -> None:
    key: Any = ApiKeyFactory(is_test=True)
    page.goto("/docs")
    page.get_by_role("button", name="Authorize").click()
    page.get_by_label("Value:").fill(key.key)
    page.locator(".modal-ux").get_by_role("button", name="Apply credentials").click()
    page.locator(".modal-ux").get_by_role("button", name="Close").first.click()
    post = page.locator("#operations-cases-createCase")
    post.locator(".opblock-summary").click()
    post.get_by_role("button", name="Try it out").click()
    post.get_by_role("button", name="Execute").click()
    expect(post.locator(".live-responses-table .response-col_status").nth(1)).to_contain_text("201")
    assert Case.objects.get().client == key.client
    picture(page, "api")


def test_a_new_key_is_seen_once(page: Page) -> None:
    client = ApiKeyFactory(name="Old server").client
    log_in(page, f"/admin/cases/client/{client.pk}/change/")
    page.get_by_label("Live: its cases send real mail").check()
    page.get_by_label("Name").fill("Ledger")
    page.get_by_role("button", name="Issue a key").click()
    expect(page.locator("#new-key")).to_contain_text("offload_live_")
    picture(page, "client-new-key")
    page.reload()  # sends the form again
    expect(page.locator("#new-key")).to_have_count(0)
    expect(page.get_by_text("This form has issued its key already.")).to_be_visible()
    assert client.keys.count() == 2


def hostile_rows() -> list[Any]:
    """Rows of every kind, with markup in every field that somebody outside can write."""
    case: Case = CaseFactory(
        status=Status.INPUT_NEEDED,
        client=ApiKeyFactory(client__name=HOSTILE, name=HOSTILE[:100]).client,
        client_reference_id=HOSTILE,
        goal={"objective": HOSTILE, "knowledge": {HOSTILE: HOSTILE}, HOSTILE: HOSTILE},
        counterparty={"address": "a@b.example", "name": HOSTILE, "customData": {HOSTILE: HOSTILE}},
        sender_persona={"name": HOSTILE},
        constraints=[HOSTILE],
        metadata={HOSTILE: HOSTILE},
        result_schema={"type": "object", "properties": {HOSTILE: {"type": "string"}}},
        client_webhook_url=f"javascript:window.pwned=1//{HOSTILE}",
        failure_reason=HOSTILE,
        last_error=HOSTILE,
    )
    case.now = work.now()
    record(case, HOSTILE[:60], actor=HOSTILE, **{HOSTILE: HOSTILE})
    for type_ in words.EVENTS:  # past their listeners, which are given ids
        said = dict.fromkeys(SAID, HOSTILE)
        Event.objects.create(case=case, type=type_, actor=f"staff {HOSTILE}", at=case.now, data=said)
    record(case, "case.failed", actor=HOSTILE, reason=HOSTILE)
    question = InputRequestFactory(
        case=case,
        question=HOSTILE,
        reason=f"Why: {HOSTILE}",
        options=[HOSTILE],
        answer_schema={"type": "string", "title": HOSTILE},
        assigned_to=User.objects.get(username="ann"),
        assignment_note=HOSTILE,
    )
    reply = MessageFactory(
        case=case,
        direction="IN",
        subject=HOSTILE,
        text=HOSTILE,
        full_text=f"> {HOSTILE}",
        html=HOSTILE,
        from_name=HOSTILE,
        from_address=HOSTILE,
        is_after_end=True,
    )
    question.proposal = {
        "reply": HOSTILE,
        "faults": [HOSTILE],
        "values": {HOSTILE: HOSTILE},
        "sources": [{"path": f"/{HOSTILE}", "source_id": str(reply.pk), "quote": HOSTILE}],
    }
    question.save()
    file = AttachmentFactory(
        message=reply, name=HOSTILE, type=HOSTILE[:100], content=HOSTILE.encode(), text=HOSTILE, note=HOSTILE
    )
    mail = SandboxMail.objects.create(
        case=case,
        idempotency_key="1",
        message_id=HOSTILE,
        delivered_at=work.now(),
        raw=f"Subject: {HOSTILE}\r\nTo: {HOSTILE}\r\n\r\n{HOSTILE}".encode(),
    )
    payload = InboundPayload.objects.create(
        source="mail",
        dedupe_key=HOSTILE,
        body=HOSTILE.encode(),
        received_at=work.now(),
        state="QUARANTINED",
        note=HOSTILE,
        last_error=HOSTILE,
        message=reply,
        case=case,
        summary={
            **dict.fromkeys(("from", "name", "subject", "text"), HOSTILE),
            "to": [HOSTILE],
            "files": [{"name": HOSTILE, "type": HOSTILE, "size": 1}],
        },
    )
    StaffNotice.objects.create(
        question=question, address=HOSTILE, created_at=work.now(), state=NoticeState.FAILED, last_error=HOSTILE
    )
    _hostile_draft(case)
    _hostile_service(case)
    return [case, case.client, question, reply, file, mail, payload]


def _hostile_draft(case: Case) -> None:
    """A mail of another of the client's cases, written and rejected in words of somebody else's."""
    other = CaseFactory(status=Status.RUNNING, client=case.client, goal=case.goal, counterparty=case.counterparty)
    with work.transaction():
        locked = Case.objects.locked(other.pk)
        record(locked, "draft.judged", agent=HOSTILE, judged=True, allowed=False, rewritten=True, faults=[HOSTILE])
        draft = correspondence.queue(locked, purpose=Purpose.OUTREACH, subject="Hi", text="Hi", is_draft=True)
    Message.objects.filter(pk=draft.pk).update(
        subject=HOSTILE,
        text=HOSTILE,
        from_name=HOSTILE,
        written_by=HOSTILE,
        edited_by=HOSTILE,
        rejection=HOSTILE,
        completion={"result": {HOSTILE: HOSTILE}, "sources": [], "reason": HOSTILE},
        assignment_note=HOSTILE,
        assigned_to=User.objects.get(username="ann"),
    )


def _hostile_service(case: Case) -> None:
    """What models, endpoints, other senders and people have written about it."""
    now = work.now()
    ann = User.objects.get(username="ann")
    SavedFilter.objects.create(user=ann, list="cases.case", name=HOSTILE[:60], query=f"q={HOSTILE}")
    Chore.objects.create(name=HOSTILE[:30], next_at=now, last_error=HOSTILE, failures=1)
    chores.plan()  # forgets those that are not configured
    Chore.objects.update(last_error=HOSTILE, failures=1)
    Correspondent.objects.create(case=case, address=HOSTILE, name=HOSTILE, how="NAMED", since=now)
    named = dict.fromkeys(("model", "prompt_version", "purpose"), HOSTILE[:20])
    ModelCall.objects.create(case=case, client=case.client, at=now, cost=0, fault=HOSTILE, **named)
    for reason in (HOSTILE, ""):
        Suppression.objects.create(
            address=f"{len(reason)}{HOSTILE}",
            client=case.client,
            reason="staff",
            note=HOSTILE,
            since=now,
            added_by=HOSTILE,
            case=case,
            lifted_at=now if reason else None,
            lifted_by=reason,
        )
    Endpoint.objects.update(origin=HOSTILE, parked_at=now, parked_reason=HOSTILE)
    for delivery in Delivery.objects.all():
        outcome = sender.Outcome(500, 1, headers={HOSTILE: HOSTILE}, body=HOSTILE.encode(), error=HOSTILE)
        tasks.record_attempt(delivery.pk, now, outcome)
    Delivery.objects.update(
        url=HOSTILE, body=HOSTILE.encode(), last_error=HOSTILE, note=HOSTILE, event_type=HOSTILE[:60]
    )
    tried = {"username": HOSTILE, "ip_address": "198.51.100.3", "user_agent": HOSTILE, "path_info": HOSTILE}
    AccessAttempt.objects.create(**tried, get_data=HOSTILE, post_data=HOSTILE, failures_since_start=3)
    AccessLog.objects.create(**tried)
    AccessFailureLog.objects.create(**tried)
    User.objects.create_user(HOSTILE[:150], first_name=HOSTILE[:150], last_name=HOSTILE[:150], email="a@b.example")
    Group.objects.create(name=HOSTILE[:150])
    LogEntry.objects.log_actions(ann.pk, [case, case.client], CHANGE, HOSTILE, single_object=True)


def pages_of(row: Any) -> dict[str, str]:
    """The addresses of a row's pages, by what they are."""
    base = desk.base_of(row)
    return {
        f"{base} search": f"{base}?q=%3Cscript%3E",
        f"{base} page": f"{base}{row.pk}/change/",
        f"{base} history": f"{base}{row.pk}/history/",
    }


@pytest.mark.long
def test_nothing_foreign_runs_on_any_page(page: Page) -> None:
    pages: dict[str, str] = {}
    for row in hostile_rows():
        pages |= pages_of(row)
    for model in admin.site._registry:
        for row in model._default_manager.all()[:3]:
            pages |= {f"{row._meta.label} {row.pk}": f"{desk.base_of(row)}{row.pk}/change/"}
    pages |= desk.pages() | {"hostile-search": f"/admin/cases/case/?{urlencode({'q': HOSTILE})}"}
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(request.url))
    log_in(page, "/admin/")
    origin = page.url.partition("/admin/")[0]
    for name, path in {path: name for name, path in pages.items()}.items():
        page.goto(name, wait_until="load")
        assert_tame(page, path)
    question = InputRequest.objects.get(status="PENDING")
    page.goto(f"{desk.base_of(question)}{question.pk}/change/")
    page.get_by_text("Write to the counterparty", exact=True).click()
    page.get_by_label("Text", exact=True).fill(HOSTILE)
    page.get_by_role("button", name="Preview the mail").click()
    expect(page.locator(".mail-preview")).to_contain_text(HOSTILE)
    assert_tame(page, "preview")
    assert {url for url in asked if not url.startswith((f"{origin}/", "data:", "blob:"))} == set()


def assert_tame(page: Page, name: str) -> None:
    """Nothing of HOSTILE has become an element. What the browser has refused to run, the page's fixture reports."""
    assert page.evaluate("window.pwned") is None, name
    assert page.locator("img[src=x], b[style]").count() == 0, name
    assert page.locator("a[href^='javascript:' i]").count() == 0, name
