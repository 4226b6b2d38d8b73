"""Incoming mail that nobody could place, the sandbox's mailboxes and the notices, on the staff's pages."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client as Browser
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from cases import work
from cases.factories import CaseFactory, InputRequestFactory, MessageFactory
from cases.models import Case
from cases.tests.staff import HOSTILE, assert_harmless, staff
from outreach.models import InboundPayload, NoticeState, PayloadState, SandboxMail, StaffNotice

PAYLOADS, MAILS = "/admin/outreach/inboundpayload/", "/admin/outreach/sandboxmail/"
NOTICES = "/admin/outreach/staffnotice/"
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
    assert f"{done.received_at:%Y-%m-%d %H:%M} UTC" in viewer.get(PAYLOADS).content.decode()


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
    told = notice(NoticeState.FAILED, address=HOSTILE, note=HOSTILE, last_error=HOSTILE)
    for url in (
        PAYLOADS,
        MAILS,
        NOTICES,
        reverse("admin:outreach_inboundpayload_change", args=[row.pk]),
        reverse("admin:outreach_sandboxmail_change", args=[mail.pk]),
        reverse("admin:outreach_staffnotice_change", args=[told.pk]),
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
    assert (
        f'<a href="{PAYLOADS}?state__exact=UNMATCHED"><strong>2</strong> incoming mail that belongs to no case</a>'
        in html
    )
    assert "<strong>1</strong> incoming mail that could not be taken in</a>" in html
    assert "notices to staff" not in html
    assert "incoming mail" not in staff("view_case").get("/admin/").content.decode()
