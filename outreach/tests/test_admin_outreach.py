"""Incoming mail that nobody could place, the sandbox's mailboxes and the notices, on the staff's pages."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin import site
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client as Browser
from django.test import RequestFactory
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from cases import moments, work
from cases.events import record
from cases.factories import CaseFactory, InputRequestFactory, MessageFactory
from cases.models import Admission, Case, Correspondent, Event
from cases.tests.staff import HOSTILE, assert_harmless, staff, told
from outreach.models import InboundPayload, NoticeState, PayloadState, SandboxMail, StaffNotice

PAYLOADS, MAILS = "/admin/outreach/inboundpayload/", "/admin/outreach/sandboxmail/"
NOTICES = "/admin/outreach/staffnotice/"
QUARANTINE, UNMATCHED = f"{PAYLOADS}quarantine/", f"{PAYLOADS}unmatched/"
RAW = b"From: eve@evil.example\r\nSubject: x\r\nContent-Type: text/html\r\n\r\n<script>alert(1)</script>"


@pytest.fixture
def viewer(db: None) -> Browser:
    return staff("view_case", "view_inboundpayload", "view_staffnotice")


def payload(state: PayloadState = PayloadState.UNMATCHED, **fields: Any) -> InboundPayload:
    fields = {"source": "mail", "dedupe_key": str(InboundPayload.objects.count()), "body": RAW, **fields}
    fields = {"received_at": work.now(), "state": state, **fields}
    row: InboundPayload = InboundPayload.objects.create(**fields)
    return row


def sandbox_mail(case: Case, text: str = "Good day.", subject: str = "Invoice") -> SandboxMail:
    raw = f"To: ann@supplier.example\r\nSubject: {subject}\r\nMessage-ID: <1@us>\r\n\r\n{text}\r\n".encode()
    key = str(SandboxMail.objects.count())
    return SandboxMail.objects.create(
        case=case, idempotency_key=key, message_id="<1@us>", raw=raw, delivered_at=work.now()
    )


def notice(state: NoticeState, **fields: Any) -> StaffNotice:
    fields = {"address": "desk@us.example", "created_at": work.now(), **fields}
    row: StaffNotice = StaffNotice.objects.create(question=InputRequestFactory(), state=state, **fields)
    return row


def rows(browser: Browser, url: str, **query: Any) -> list[Any]:
    return list(browser.get(url, query).context["cl"].result_list)


def test_what_nobody_could_place_comes_first(viewer: Browser) -> None:
    done, waiting = payload(PayloadState.DONE), payload(PayloadState.WAITING)
    unmatched = payload(received_at=work.now() - timedelta(days=3))
    failed = payload(PayloadState.FAILED, received_at=work.now() - timedelta(days=5))
    assert rows(viewer, PAYLOADS) == [failed, unmatched, waiting, done]
    assert rows(viewer, PAYLOADS, state__exact="UNMATCHED") == [unmatched]
    assert moments.shortly(done.received_at) in viewer.get(PAYLOADS).content.decode()


def test_what_came_in_is_a_file_and_is_never_shown(viewer: Browser) -> None:
    row = payload(note="No case has this Message-ID.", message=MessageFactory())
    page = viewer.get(reverse("admin:outreach_inboundpayload_change", args=[row.pk])).content.decode()
    assert "No case has this Message-ID." in page
    assert "eve@evil.example" not in page
    response = viewer.get(reverse("admin:outreach_inboundpayload_download", args=[row.pk]))
    assert b"".join(response.streaming_content) == RAW  # type: ignore[attr-defined]
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["content-disposition"] == f'attachment; filename="{row.pk}.eml"'
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-security-policy"] == "sandbox; default-src 'none'"


def test_only_who_may_see_payloads_gets_them(db: None) -> None:
    row, stranger = payload(), staff("view_case", "change_case")
    assert stranger.get(PAYLOADS).status_code == 403
    assert stranger.get(reverse("admin:outreach_inboundpayload_download", args=[row.pk])).status_code == 403


def test_nothing_here_can_be_changed(admin_client: Browser) -> None:
    things = [payload(), sandbox_mail(CaseFactory()), notice(NoticeState.FAILED)]
    for thing in things:
        name = thing._meta.model_name
        change, delete = (reverse(f"admin:outreach_{name}_{what}", args=[thing.pk]) for what in ("change", "delete"))
        assert admin_client.get(change).status_code == 200
        assert admin_client.post(change, {"state": "DONE", "note": "x"}).status_code == 403
        assert admin_client.post(delete, {"post": "yes"}).status_code == 403
        assert admin_client.get(reverse(f"admin:outreach_{name}_add")).status_code == 403
        thing.refresh_from_db()
    assert [getattr(thing, "state", None) for thing in things] == ["UNMATCHED", None, "FAILED"]


def test_a_sandbox_mail_is_shown_in_words(viewer: Browser) -> None:
    mail = sandbox_mail(CaseFactory(), text="Good day,\nwhere is it?")
    listed = viewer.get(MAILS).content.decode()
    assert "Invoice" in listed
    assert "ann@supplier.example" in listed
    page = viewer.get(reverse("admin:outreach_sandboxmail_change", args=[mail.pk])).content.decode()
    assert "where is it?" in page


def test_notices_that_could_not_be_sent_come_first(viewer: Browser) -> None:
    sent = notice(NoticeState.SENT)
    failed = notice(NoticeState.FAILED, created_at=work.now() - timedelta(days=2), last_error="SMTPException: no")
    assert rows(viewer, NOTICES) == [failed, sent]
    html = viewer.get(NOTICES).content.decode()
    assert "SMTPException: no" in html
    assert f"/admin/cases/inputrequest/{failed.question_id}/change/" in html


def test_markup_from_outside_stays_text(viewer: Browser) -> None:
    case = CaseFactory(goal={"objective": HOSTILE})
    row = payload(
        note=HOSTILE, last_error=HOSTILE, dedupe_key=HOSTILE, message=MessageFactory(case=case, direction="IN")
    )
    mail = sandbox_mail(case, text=HOSTILE, subject=HOSTILE)
    failed = notice(NoticeState.FAILED, address=HOSTILE, note=HOSTILE, last_error=HOSTILE)
    for url in (
        PAYLOADS,
        MAILS,
        NOTICES,
        reverse("admin:outreach_inboundpayload_change", args=[row.pk]),
        reverse("admin:outreach_sandboxmail_change", args=[mail.pk]),
        reverse("admin:outreach_staffnotice_change", args=[failed.pk]),
    ):
        assert_harmless(viewer.get(url).content.decode())


def test_lists_take_as_many_queries_for_many_rows(
    viewer: Browser, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(8):
        payload(message=MessageFactory(direction="IN"))
        sandbox_mail(CaseFactory())
        notice(NoticeState.SENT)
    for url in (PAYLOADS, MAILS, NOTICES):
        viewer.get(url)
        with django_assert_max_num_queries(9):
            assert len(rows(viewer, url)) == 8


def test_the_first_page_says_what_mail_waits(viewer: Browser) -> None:
    payload(PayloadState.FAILED)
    payload(PayloadState.UNMATCHED)
    payload(PayloadState.UNMATCHED)
    payload(PayloadState.DONE)
    html = viewer.get("/admin/").content.decode()
    assert f'href="{PAYLOADS}unmatched/"><strong>2</strong> incoming mail that belongs to no case</a>' in html
    assert "<strong>1</strong> incoming mail that could not be taken in</a>" in html
    assert "notices to staff" not in html
    assert "incoming mail" not in staff("view_case").get("/admin/").content.decode()


# --- Mail that waits for a person -----------------------------------------------------------------

SUMMARY = {
    "from": "eve@evil.example",
    "name": "Eve",
    "to": ["us@ours.example"],
    "subject": "Re: Invoice",
    "text": "It is 12,\nas ever.",
    "files": [{"name": "a.pdf", "type": "application/pdf", "size": 2048}],
}


@pytest.fixture
def clerk(db: None) -> Browser:
    return staff("view_case", "change_case", "view_inboundpayload", "change_inboundpayload")


def page_of(row: InboundPayload) -> str:
    return reverse("admin:outreach_inboundpayload_change", args=[row.pk])


def waiting(state: PayloadState = PayloadState.QUARANTINED, **fields: Any) -> InboundPayload:
    if state == PayloadState.QUARANTINED:
        fields = {"case": CaseFactory(status="RUNNING"), "note": "Its sender is not known on this case.", **fields}
    return payload(state, summary=SUMMARY, **fields)


def decide(browser: Browser, row: InboundPayload, name: str, **data: Any) -> Any:
    return browser.post(reverse(f"admin:outreach_inboundpayload_{name}", args=[row.pk]), data)


def offered_on(response: Any) -> list[str]:
    return [form.name for form in response.context["forms"]]


def test_the_list_shows_who_writes_what_and_why_it_waits(viewer: Browser) -> None:
    row = waiting()
    html = viewer.get(PAYLOADS, {"state__exact": "QUARANTINED"}).content.decode()
    for shown in ("eve@evil.example", "Re: Invoice", "It is 12, as ever.", "not known on this case", str(row.case)):
        assert shown in html
    assert rows(viewer, PAYLOADS, q="eve@evil") == [row]
    assert rows(viewer, PAYLOADS, q="nobody") == []


@pytest.mark.parametrize("state", PayloadState.values)
def test_mail_that_no_case_has_got_is_found_by_what_stands_in_its_row(viewer: Browser, state: str) -> None:
    row = payload(PayloadState(state), note="Neither is known.", due_at=work.now() if state == "WAITING" else None)
    assert rows(viewer, PAYLOADS, q="neither known") == ([] if state == "DONE" else [row])


def test_a_search_on_sqlite_reads_no_mail_that_a_case_has_got(rf: RequestFactory, db: None) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("what PostgreSQL plans depends on how many rows there are")
    listed = site.get_model_admin(InboundPayload)
    found, _ = listed.get_search_results(rf.get(PAYLOADS), InboundPayload.objects.order_by(), "neither known")
    plan = found.explain()
    assert "USING INDEX payload_kept_apart" in plan
    assert "SCAN" not in plan


def test_the_page_shows_the_mail_as_text_and_its_files_by_name(viewer: Browser) -> None:
    row = waiting()
    response = viewer.get(page_of(row))
    html = response.content.decode()
    for shown in ("It is 12,\nas ever.", "a.pdf", "application/pdf, 2.0\xa0KB", "not known on this case"):
        assert shown in html
    assert f"/admin/cases/case/{row.case_id}/change/" in html
    assert offered_on(response) == []  # to see is not to act


@pytest.mark.parametrize(
    ("state", "forms"),
    [
        (PayloadState.QUARANTINED, ["release", "assign", "discard", "block"]),
        (PayloadState.UNMATCHED, ["assign", "discard", "block"]),
        (PayloadState.FAILED, ["discard"]),
        (PayloadState.WAITING, []),
        (PayloadState.DONE, []),
        (PayloadState.DISCARDED, []),
    ],
)
def test_what_is_offered_depends_on_what_it_waits_for(clerk: Browser, state: PayloadState, forms: list[str]) -> None:
    assert offered_on(clerk.get(page_of(waiting(state)))) == forms


def test_a_mail_is_released_and_its_sender_admitted(clerk: Browser) -> None:
    row = waiting()
    response = decide(clerk, row, "release", confirmed="on", admit="on")
    assert (response.status_code, response.url) == (302, QUARANTINE)  # nothing else waits there
    row.refresh_from_db()
    assert (row.state, row.decided_case, row.decided_by, row.admits_sender) == ("WAITING", row.case, "staff ann0", True)
    assert LogEntry.objects.get().get_change_message() == "Let it act on its case"
    assert Event.objects.get(type="mail.released").actor == "staff ann0"


def test_a_mail_is_assigned_to_a_case_that_was_found(clerk: Browser) -> None:
    case = CaseFactory(client_reference_id="R-17", status="RUNNING")
    row = waiting(PayloadState.UNMATCHED)
    response = clerk.get(page_of(row), {"q": "R-17"})
    assert f'value="{case.pk}"' in response.content.decode()
    decide(clerk, row, "assign", confirmed="on", case_id=str(case.pk))
    row.refresh_from_db()
    assert (row.state, row.decided_case, row.admits_sender) == ("WAITING", case, False)
    assert LogEntry.objects.get().get_change_message() == "Assign it to a case"


def test_a_mail_is_put_aside(clerk: Browser) -> None:
    row = waiting()
    decide(clerk, row, "discard", confirmed="on", note="A forgery.")
    row.refresh_from_db()
    assert (row.state, row.due_at) == ("DISCARDED", None)
    assert row.note.endswith("\nA forgery.")
    assert LogEntry.objects.get().get_change_message() == "Put it aside"


@pytest.mark.parametrize("name", ["release", "assign", "discard", "block"])
def test_nothing_is_decided_without_confirmation_permission_and_a_post(clerk: Browser, name: str) -> None:
    row = waiting()
    url = reverse(f"admin:outreach_inboundpayload_{name}", args=[row.pk])
    data = {"case_id": str(row.case_id), "note": "x"}
    unconfirmed = decide(clerk, row, name, **data)
    assert unconfirmed.status_code == 200
    assert "This field is required." in unconfirmed.content.decode()
    assert clerk.get(url, {**data, "confirmed": "on"}).status_code == 405
    for permissions in (("change_case", "view_inboundpayload"), ("view_case", "change_inboundpayload"), ("view_case",)):
        assert decide(staff(*permissions), row, name, **data, confirmed="on").status_code == 403
    assert Browser().post(url, {**data, "confirmed": "on"}).status_code == 302  # to the login
    checked = Browser(enforce_csrf_checks=True)
    checked.cookies = clerk.cookies
    assert decide(checked, row, name, **data, confirmed="on").status_code == 403
    row.refresh_from_db()
    assert (row.state, row.decided_by, LogEntry.objects.count()) == ("QUARANTINED", "", 0)
    assert not Event.objects.exists()


def test_who_comes_second_is_told(clerk: Browser) -> None:
    row = waiting()
    decide(clerk, row, "discard", confirmed="on")
    response = decide(clerk, row, "release", confirmed="on")
    assert told(response) == ["Somebody was faster: this mail does not wait any more."]
    row.refresh_from_db()
    assert (row.state, LogEntry.objects.count()) == ("DISCARDED", 1)


def test_a_case_to_assign_to_must_exist(clerk: Browser) -> None:
    row = waiting(PayloadState.UNMATCHED)
    assert told(decide(clerk, row, "assign", confirmed="on", case_id=str(Case().pk))) == ["There is no such case."]
    assert decide(clerk, row, "assign", confirmed="on", case_id="nonsense").status_code == 200
    row.refresh_from_db()
    assert row.state == "UNMATCHED"


def test_cases_are_found_by_id_reference_address_and_name_open_ones_first(clerk: Browser) -> None:
    ended = CaseFactory(status="FAILED", client_reference_id="R-1")
    case = CaseFactory(status="RUNNING", client_reference_id="R-1", created_at=work.now() - timedelta(days=3))
    other = CaseFactory(counterparty={"address": "zoe@elsewhere.example", "name": "Zoe"}, client_reference_id="S-2")
    row = waiting(PayloadState.UNMATCHED)

    def found(sought: str) -> list[Case]:
        [form] = [form for form in clerk.get(page_of(row), {"q": sought}).context["forms"] if form.name == "assign"]
        return [one.case for one in form.found]

    assert found("r-1") == [case, ended]
    assert found("Ann@Supplier.example") == [case, ended]
    assert found("zoe") == [other]
    assert found(str(other.pk)) == [other]
    assert found("nothing like it") == []
    MessageFactory(case=other, subject="Your offer of May")
    assert found("offer of may") == [other]


def test_a_mail_from_outside_stays_text_on_its_page(clerk: Browser) -> None:
    file = {"name": HOSTILE, "type": HOSTILE, "size": 1}
    hostile = dict.fromkeys(("from", "name", "subject", "text"), HOSTILE) | {"to": [HOSTILE], "files": [file]}
    CaseFactory(client_reference_id=HOSTILE)
    row = payload(PayloadState.UNMATCHED, summary=hostile, note=HOSTILE)
    for url in (PAYLOADS, page_of(row), f"{page_of(row)}?q={HOSTILE}"):
        assert_harmless(clerk.get(url).content.decode())


def test_the_page_of_a_payload_takes_few_queries(
    clerk: Browser, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(30):
        CaseFactory()
    row = waiting()
    for query in ({}, {"q": "ann"}):
        with django_assert_max_num_queries(15):
            clerk.get(page_of(row), query)


def test_the_first_page_tells_of_quarantined_mail(viewer: Browser) -> None:
    waiting()
    assert (
        f'href="{PAYLOADS}quarantine/"><strong>1</strong> incoming mail kept from its case</a>'
        in viewer.get("/admin/").content.decode()
    )


def test_the_page_of_a_case_tells_who_takes_part_and_what_was_kept_from_it(clerk: Browser) -> None:
    case = CaseFactory(status="RUNNING")
    Correspondent.objects.create(
        case=case, address="carl@other.example", name=HOSTILE, how=Admission.COPIED, since=work.now()
    )
    row = waiting(case=case)
    case.now = work.now()
    record(case, "mail.quarantined", payloadId=str(row.pk), sender="eve@evil.example", why="Not known.")
    record(case, "mail.sender_admitted", sender="carl@other.example", how="COPIED")
    html = clerk.get(f"/admin/cases/case/{case.pk}/change/").content.decode()
    for shown in (
        "carl@other.example",
        "the counterparty wrote to both of us",
        "A mail of eve@evil.example was kept from the case, and waits for a person",
        "Not known.",
        page_of(row),
    ):
        assert shown in html
    assert_harmless(html)
    assert page_of(row) not in staff("view_case").get(f"/admin/cases/case/{case.pk}/change/").content.decode()
