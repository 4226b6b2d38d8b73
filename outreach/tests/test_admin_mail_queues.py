"""The queues of mail that waits for a person: reading, choosing a case, deciding for one mail and for many."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client as Browser
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from cases import work
from cases.factories import CaseFactory, MessageFactory
from cases.models import Admission, Case, Correspondent, Event
from cases.tests.staff import HOSTILE, assert_harmless, staff, told
from outreach.admin import inbound
from outreach.factories import InboundPayloadFactory, Played
from outreach.inbound import candidates
from outreach.models import InboundPayload, PayloadState, Suppression

BASE = "/admin/outreach/inboundpayload/"
MAIL = (
    b"From: Eve <eve@evil.example>\r\nTo: us@ours.example\r\nSubject: Invoice 4711\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="x"\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nHere.\r\n'
    b'--x\r\nContent-Type: text/html\r\nContent-Disposition: attachment; filename="../evil.html"\r\n\r\n'
    b"<script>alert(1)</script>\r\n--x--\r\n"
)


@pytest.fixture
def clerk(db: None) -> Browser:
    return staff("view_case", "change_case", "view_inboundpayload", "change_inboundpayload")


@pytest.fixture
def viewer(db: None) -> Browser:
    return staff("view_case", "view_inboundpayload")


def waiting(state: PayloadState = PayloadState.QUARANTINED, *, minutes_ago: int = 0, **fields: Any) -> InboundPayload:
    summary = {"from": "eve@evil.example", "name": "Eve", "to": ["us@ours.example"], "subject": "Invoice 4711"}
    summary |= {"text": "It is 12.", "files": [], **fields.pop("summary", {})}
    at = work.now() - timedelta(minutes=minutes_ago)
    made: dict[str, Any] = {"source": "smtp", "state": state, "summary": summary, "received_at": at, "due_at": None}
    row: InboundPayload = InboundPayloadFactory(**{**made, "note": "Its sender is not known on this case.", **fields})
    return row


def page_of(row: InboundPayload) -> str:
    return reverse("admin:outreach_inboundpayload_change", args=[row.pk])


def decide(browser: Browser, row: InboundPayload, name: str, **data: Any) -> Any:
    return browser.post(f"{BASE}{row.pk}/{name}/", {"confirmed": "on", **data})


def states(*rows: InboundPayload) -> list[str]:
    return [InboundPayload.objects.get(pk=row.pk).state for row in rows]


# --- The lists ---


def test_each_queue_has_its_mail_and_no_other_the_newest_first(viewer: Browser) -> None:
    old, new = waiting(minutes_ago=9), waiting(case=CaseFactory(client_reference_id="R-17"))
    unmatched = waiting(PayloadState.UNMATCHED)
    failed = InboundPayloadFactory(source="smtp", state=PayloadState.FAILED, due_at=None)  # never read: no summary
    waiting(PayloadState.DONE), waiting(PayloadState.DISCARDED)

    def listed(queue: str) -> list[InboundPayload]:
        return list(viewer.get(f"{BASE}{queue}/").context["rows"])

    assert listed("quarantine") == [new, old]
    assert (listed("unmatched"), listed("failed")) == ([unmatched], [failed])
    html = viewer.get(f"{BASE}quarantine/").content.decode()
    for shown in ("Eve", "eve@evil.example", "Invoice 4711", "It is 12.", "not known on this case", "R-17"):
        assert shown in html
    assert "Quarantine (2)" in html
    assert 'type="checkbox"' not in html  # to see is not to act


def test_a_queue_is_searched_and_turned_over(viewer: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbound, "MAX_ON_A_PAGE", 2)
    rows = [waiting(minutes_ago=number, summary={"subject": f"Number {number}"}) for number in range(3)]

    def listed(**query: Any) -> list[InboundPayload]:
        return list(viewer.get(f"{BASE}quarantine/", query).context["rows"])

    assert (listed(), listed(page=2), listed(page="-1"), listed(page="²")) == (rows[:2], rows[2:], rows[:2], rows[:2])
    assert listed(q="number 1") == [rows[1]]
    assert listed(q="nobody") == []
    assert viewer.get(f"{BASE}quarantine/", {"page": 2}).context["later"] is None


def test_counts_stop_at_a_bound(viewer: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbound, "MAX_COUNTED", 2)
    for _ in range(3):
        waiting()
    assert "Quarantine (more than 2)" in viewer.get(f"{BASE}quarantine/").content.decode()


def test_a_queue_takes_as_many_queries_for_many_mails(
    viewer: Browser, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(8):
        waiting(case=CaseFactory())
    with django_assert_max_num_queries(12):
        assert len(viewer.get(f"{BASE}quarantine/").context["rows"]) == 8


def test_queues_are_for_those_who_may_see_payloads(db: None) -> None:
    stranger = staff("view_case", "change_case")
    for queue in ("quarantine", "unmatched", "failed"):
        assert stranger.get(f"{BASE}{queue}/").status_code == 403
        assert stranger.post(f"{BASE}{queue}/").status_code == 405


# --- One mail ---


def test_files_are_downloaded_and_html_stays_a_file(viewer: Browser) -> None:
    file = {"name": "evil.html", "type": "text/html", "size": 25}
    row = waiting(body=MAIL, summary={"files": [file]})
    assert f"{BASE}{row.pk}/files/0/" in viewer.get(page_of(row)).content.decode()
    response: Any = viewer.get(f"{BASE}{row.pk}/files/0/")
    assert b"".join(response.streaming_content) == b"<script>alert(1)</script>"
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["content-disposition"] == 'attachment; filename="evil.html"'
    assert response.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert viewer.get(f"{BASE}{row.pk}/files/1/").status_code == 404
    assert staff("view_case", "change_case").get(f"{BASE}{row.pk}/files/0/").status_code == 403


def test_a_file_that_its_door_can_not_give_is_an_answer(viewer: Browser) -> None:
    row = waiting(source="a door that is gone")
    response = viewer.get(f"{BASE}{row.pk}/files/0/")
    assert (response.status_code, response.url) == (302, page_of(row))  # type: ignore[attr-defined]
    assert told(response, "error") == ["The file can't be had now: there is no door named 'a door that is gone' here"]


def test_the_source_is_text_without_what_deceives(viewer: Browser) -> None:
    row = waiting(body=f"Subject: {HOSTILE}\r\n\r\nab\u202ec\x07d\r\n".encode())
    html = viewer.get(f"{BASE}{row.pk}/source/").content.decode()
    assert_harmless(html)
    assert "ab\N{REPLACEMENT CHARACTER}c\N{REPLACEMENT CHARACTER}d" in html
    assert HOSTILE not in viewer.get(page_of(row)).content.decode()  # on demand only
    assert staff("view_case").get(f"{BASE}{row.pk}/source/").status_code == 403


def test_after_a_decision_the_next_one_opens(clerk: Browser) -> None:
    newest, middle, oldest = waiting(), waiting(minutes_ago=5), waiting(minutes_ago=9)
    waiting(PayloadState.UNMATCHED, minutes_ago=6)  # another queue
    assert decide(clerk, middle, "discard").url == page_of(oldest)
    response = decide(clerk, oldest, "discard")
    assert response.url == page_of(newest)
    said = told(response, "success")[-1]
    assert said.startswith("The mail is kept")
    assert f'href="{page_of(oldest)}"' in said
    assert decide(clerk, newest, "discard").url == f"{BASE}quarantine/"
    assert states(newest, middle, oldest) == ["DISCARDED"] * 3


def test_who_decided_is_shown(clerk: Browser) -> None:
    row = waiting()
    decide(clerk, row, "discard", note="A forgery.")
    html = clerk.get(page_of(row)).content.decode()
    assert "<dt>Decided by</dt><dd>staff ann0</dd>" in html
    assert "A forgery." in html


def test_a_sender_is_blocked_and_the_mail_put_aside(clerk: Browser) -> None:
    row = waiting(case=CaseFactory(status="RUNNING"), summary={"from": "Eve+x@evil.example"})
    assert decide(clerk, row, "block").status_code == 200  # why is asked for
    assert not Suppression.objects.exists()
    assert decide(clerk, row, "block", note="Phishing.").status_code == 302
    found = Suppression.objects.get()
    assert (found.address, found.client, found.note, found.added_by) == (
        "eve@evil.example",
        None,
        "Phishing.",
        "staff ann0",
    )
    assert states(row) == ["DISCARDED"]
    assert [entry.get_change_message() for entry in LogEntry.objects.all()] == [
        "Put it aside and write no more to its sender"
    ]


def test_who_comes_second_blocks_nobody(clerk: Browser) -> None:
    row = waiting()
    decide(clerk, row, "discard")
    assert told(decide(clerk, row, "block", note="x")) == ["Somebody was faster: this mail does not wait any more."]
    assert not Suppression.objects.exists()


def test_a_sender_without_an_address_can_not_be_blocked(clerk: Browser) -> None:
    row = waiting(summary={"from": "nobody"})
    assert "block" not in [form.name for form in clerk.get(page_of(row)).context["forms"]]


# --- Many mails ---


def choose(browser: Browser, *rows: InboundPayload, queue: str = "quarantine", **data: Any) -> Any:
    return browser.post(f"{BASE}{queue}/discard/", {"pk": [str(row.pk) for row in rows], **data})


def test_several_are_put_aside_once_it_is_confirmed(clerk: Browser) -> None:
    case = CaseFactory(status="RUNNING")
    first, second, other = waiting(case=case, minutes_ago=1), waiting(), waiting()
    asked = choose(clerk, first, second)
    assert (asked.status_code, asked.context["rows"]) == (200, [second, first])
    unconfirmed = choose(clerk, first, second, confirming="yes")
    assert "This field is required." in unconfirmed.content.decode()
    assert states(first, second, other) == ["QUARANTINED"] * 3
    done = choose(clerk, first, second, confirming="yes", confirmed="on", note="Spam.")
    assert (done.status_code, done.url) == (302, f"{BASE}quarantine/")
    assert told(done, "success") == ["Put aside: 2. They are kept, and wait for nobody any more."]
    assert states(first, second, other) == ["DISCARDED", "DISCARDED", "QUARANTINED"]
    assert InboundPayload.objects.get(pk=first.pk).decided_by == "staff ann0"
    event = Event.objects.get(type="mail.discarded")
    assert (event.case, event.actor, event.data["reason"]) == (case, "staff ann0", "Spam.")
    assert LogEntry.objects.count() == 2


def test_only_what_waits_in_the_queue_is_put_aside(clerk: Browser) -> None:
    done, unmatched = waiting(PayloadState.DONE), waiting(PayloadState.UNMATCHED)
    answer = choose(clerk, done, unmatched, confirming="yes", confirmed="on")
    assert told(answer) == ["No mail was chosen, or none of them waits any more."]
    assert states(done, unmatched) == ["DONE", "UNMATCHED"]
    assert choose(clerk, queue="unmatched").status_code == 302
    assert clerk.post(f"{BASE}quarantine/discard/", {"pk": "nonsense"}).status_code == 404


def test_putting_aside_takes_a_post_and_the_permission(clerk: Browser, viewer: Browser) -> None:
    row = waiting()
    assert choose(viewer, row, confirming="yes", confirmed="on").status_code == 403
    assert clerk.get(f"{BASE}quarantine/discard/", {"pk": str(row.pk), "confirmed": "on"}).status_code == 405
    assert states(row) == ["QUARANTINED"]


# --- Which case ---


def near(row: InboundPayload) -> list[tuple[Case, list[str]]]:
    return [(one.case, one.reasons) for one in candidates.nearest(row)]


def unmatched(**summary: Any) -> InboundPayload:
    return waiting(PayloadState.UNMATCHED, summary=summary)


def running(address: str = "ann@supplier.example", name: str = "Ann Supplier", **fields: Any) -> Case:
    case: Case = CaseFactory(status="RUNNING", counterparty={"address": address, "name": name}, **fields)
    return case


def test_the_senders_own_cases_are_near_open_ones_first(db: None) -> None:
    open_one, ended = running(), CaseFactory(status="FAILED")
    running("zoe@elsewhere.example")
    row = unmatched(**{"from": "Ann+tag@supplier.example"})
    assert near(row) == [(open_one, [candidates.IS_COUNTERPARTY]), (ended, [candidates.IS_COUNTERPARTY])]


def test_colleagues_names_references_and_subjects_bring_a_case_near(db: None) -> None:
    colleague = running("carl@mail.supplier.example")
    named = running("eve@private.example", "Eve Adams")
    referenced = running("x@y.example", client_reference_id="PO-4711")
    written = MessageFactory(case=running("z@y.example"), subject="Chairs for the hall").case
    taking_part = running("q@y.example")
    Correspondent.objects.create(
        case=taking_part, address="eve@supplier.example", how=Admission.COPIED, since=work.now()
    )
    CaseFactory(status="FAILED", client_reference_id="PO-4711")  # ended: only an exact address would count
    running("x@gmail.com")
    found = dict(near(unmatched(**{"from": "eve@supplier.example", "name": "eve adams", "subject": "AW: PO-4711"})))
    assert found == {
        taking_part: [candidates.TAKES_PART],
        referenced: ["its subject has the reference PO-4711"],
        named: [candidates.SAME_NAME],
        colleague: ["it comes from the counterparty's organisation, supplier.example"],
    }
    assert near(unmatched(**{"from": "", "subject": "Re: chairs for the hall"})) == [
        (written, [candidates.SAME_SUBJECT])
    ]


def test_who_writes_from_a_provider_is_nobodys_colleague(db: None) -> None:
    running("ann@gmail.com")
    assert near(unmatched(**{"from": "eve@gmail.com", "subject": "Hi"})) == []
    assert near(waiting(PayloadState.FAILED, summary={"from": "", "subject": "", "name": ""})) == []


def test_what_was_found_when_it_came_in_comes_first(db: None) -> None:
    """Two cases in one mail: which ones is kept, with what speaks for each."""
    first, second = Played.begin(), Played.begin()
    ids = " ".join(str(played.mails[0]["messageId"]) for played in (first, second))
    raw = (
        f"From: eve@evil.example\r\nTo: x@y.example\r\nSubject: both\r\nMessage-ID: <{uuid.uuid4()}@evil.example>\r\n"
        f"References: {ids}\r\n\r\nAbout both.\r\n"
    )
    row = first.take(raw.encode())
    assert (row.state, row.note) == (PayloadState.UNMATCHED, "It belongs to 2 cases.")
    assert {case.pk: reasons for case, reasons in near(row)} == {
        first.case.pk: ["it names a mail of the case"],
        second.case.pk: ["it names a mail of the case"],
    }


def test_the_nearest_case_is_offered_and_marked(clerk: Browser) -> None:
    case = running(client_reference_id="R-17")
    row = unmatched(**{"from": "ann@supplier.example"})
    html = clerk.get(page_of(row)).content.decode()
    assert f'value="{case.pk}" checked' in html
    assert "Because <bdi>its sender is the counterparty</bdi>." in html
    assert f"/admin/cases/case/{case.pk}/change/" in html
    decide(clerk, row, "assign", case_id=str(case.pk))
    row.refresh_from_db()
    assert (row.state, row.decided_case) == ("WAITING", case)


def test_with_several_near_cases_none_is_marked(clerk: Browser) -> None:
    running(), running()
    assert " checked" not in clerk.get(page_of(unmatched(**{"from": "ann@supplier.example"}))).content.decode()


def test_the_case_of_a_quarantined_mail_is_the_nearest(db: None) -> None:
    case = running()
    assert near(waiting(case=case))[0] == (case, [candidates.IS_ITS_CASE])


def test_there_is_an_end_to_what_is_offered(db: None) -> None:
    for _ in range(candidates.MAX_CANDIDATES + 3):
        running()
    assert len(near(unmatched(**{"from": "ann@supplier.example"}))) == candidates.MAX_CANDIDATES
