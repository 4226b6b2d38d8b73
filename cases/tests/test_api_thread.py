"""GET /cases/{id}/messages and /timeline: what clients see of the past, and what they don't."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cases import correspondence, services, work
from cases.correspondence import ReceivedMail
from cases.events import record
from cases.factories import AttachmentFactory, CaseFactory, InputRequestFactory, MessageFactory
from cases.models import Case, MessageStatus, Purpose, Status
from cases.tests.conftest import Api, error_of
from cases.transcript import transcript

NOON = datetime(2026, 3, 1, 12, 0, 0, 123000, tzinfo=UTC)
NOON_MS = 1772366400123
HOUR = timedelta(hours=1)


@pytest.fixture
def case(api: Api) -> Case:
    running: Case = CaseFactory(client=api.key.client, status=Status.RUNNING, created_at=NOON)
    return running


def messages(api: Api, case: Case, **query: Any) -> Any:
    return api.get(f"/cases/{case.pk}/messages", **query).json()["data"]


def timeline(api: Api, case: Case, **query: Any) -> Any:
    return api.get(f"/cases/{case.pk}/timeline", **query).json()["data"]


def receive(case: Case, purpose: Purpose = Purpose.HUMAN, text: str = "Here it is.") -> None:
    mail = ReceivedMail(purpose, f"<{text}@supplier.example>", "ann@supplier.example", "Ann", "", "Re:", text, text)
    correspondence.record_received(case.pk, mail)


# --- Messages ---


def test_the_thread_is_shown_oldest_first(api: Api, case: Case) -> None:
    sent = MessageFactory(case=case, created_at=NOON, sent_at=NOON + HOUR)
    received = MessageFactory(
        case=case, direction="IN", created_at=NOON + 2 * HOUR, full_text="Here it is.\n> quoted", cc=["c@d.example"]
    )
    file = AttachmentFactory(message=received)
    common = {"cc": [], "attachments": []}
    assert messages(api, case) == {
        "messages": [
            {
                **common,
                "id": str(sent.pk),
                "messageId": sent.message_id,
                "direction": "OUTBOUND",
                "purpose": "OUTREACH",
                "from": case.our_address,
                "fromName": "Bob Buyer",
                "to": "ann@supplier.example",
                "subject": "Invoice of March",
                "text": "Please send us the invoice of March.",
                "sentAt": NOON_MS + 3_600_000,
            },
            {
                "id": str(received.pk),
                "messageId": received.message_id,
                "direction": "INBOUND",
                "purpose": "HUMAN",
                "from": "ann@supplier.example",
                "fromName": "Ann Supplier",
                "to": case.our_address,
                "cc": ["c@d.example"],
                "subject": "Re: Invoice of March",
                "text": "Here it is.",
                "attachments": api.get(f"/cases/{case.pk}").json()["data"]["attachments"],
                "receivedAt": NOON_MS + 7_200_000,
            },
        ],
        "nextCursor": None,
    }
    assert messages(api, case)["messages"][1]["attachments"][0]["attachmentId"] == str(file.pk)


def test_a_mail_of_which_nothing_but_quotes_is_left_is_shown_whole(api: Api, case: Case) -> None:
    MessageFactory(case=case, direction="IN", text="", full_text="> quoted")
    assert messages(api, case)["messages"][0]["text"] == "> quoted"


@pytest.mark.parametrize("status", [MessageStatus.QUEUED, MessageStatus.DROPPED, MessageStatus.REFUSED])
def test_what_has_not_gone_out_is_not_shown(api: Api, case: Case, status: MessageStatus) -> None:
    MessageFactory(case=case, status=status)
    assert messages(api, case) == {"messages": [], "nextCursor": None}


def test_what_the_transcript_does_not_show_is_not_here(api: Api, case: Case) -> None:
    MessageFactory(case=case, created_at=NOON)
    receive(case, Purpose.DELAY, "Still trying.")
    receive(case, Purpose.MACHINE, "Away.")
    services.cancel_case(case.pk, actor="staff ann")
    before = messages(api, case)
    receive(case, text="Too late.")
    case.refresh_from_db()
    MessageFactory(case=case, created_at=NOON, sent_at=case.updated_at + HOUR)  # turned out to be sent after the end
    assert messages(api, case) == before
    assert [message["text"] for message in before["messages"]] == ["Please send us the invoice of March.", "Away."]
    assert "Too late" not in (transcript(case) or "")


def test_a_thread_comes_in_pages(api: Api, case: Case) -> None:
    expected = [str(MessageFactory(case=case, created_at=NOON + number * HOUR).pk) for number in range(3)]
    first = messages(api, case, limit=2)
    MessageFactory(case=case, created_at=NOON + 9 * HOUR)
    second = messages(api, case, limit=1, cursor=first["nextCursor"])
    assert [message["id"] for message in [*first["messages"], *second["messages"]]] == expected


# --- Timeline ---


def test_each_kind_of_event_shows_its_own_facts(api: Api) -> None:
    question = InputRequestFactory(case__client=api.key.client)
    case = question.case
    answer = {"inputRequestId": str(question.pk), "providedContext": "Yes."}
    assert api.post(f"/cases/{case.pk}/input", answer).status_code == 202
    queued = MessageFactory(case=case, status=MessageStatus.QUEUED)
    correspondence.record_sent(queued.pk)
    receive(case)
    services.wait_until(case.pk, NOON, actor="staff ann")
    services.fail_case(case.pk, reason="Their lawyer called.", actor="staff ann")
    received = case.messages.get(direction="IN")
    found = timeline(api, case)
    assert found["nextCursor"] is None
    assert [(event["type"], event["actor"], event["data"]) for event in found["events"]] == [
        ("input.provided", "client", {"inputRequestId": str(question.pk)}),
        ("message.sent", "system", {"id": str(queued.pk), "purpose": "OUTREACH"}),
        ("message.received", "counterparty", {"id": str(received.pk), "purpose": "HUMAN"}),
        ("case.waiting", "staff", {"until": NOON_MS}),
        ("case.failed", "staff", {"resultStatus": "failed_by_staff"}),
    ]
    at = [event["at"] for event in found["events"]]
    assert at == sorted(at)
    assert "lawyer" not in str(found)
    assert "ann" not in str(found)


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("model.called", {"model": "m", "cost": "0.1"}),
        ("verdict", {"reason": "They are rude."}),
        ("draft.judged", {"faults": ["No."]}),
        ("mail.suspicious", {"why": ["x"]}),
        ("budget.exhausted", {"what": "cost"}),
        ("message.queued", {"messageId": "1"}),
        ("something.new", {}),
    ],
)
def test_what_is_for_staff_is_not_shown(api: Api, case: Case, type_: str, data: Any) -> None:
    with work.transaction():
        record(Case.objects.locked(case.pk), type_, **data)
    assert timeline(api, case) == {"events": [], "nextCursor": None}


def test_delay_notices_and_what_comes_after_the_end_are_not_shown(api: Api, case: Case) -> None:
    receive(case, Purpose.DELAY, "Still trying.")
    services.cancel_case(case.pk, actor="staff ann")
    Case.objects.filter(pk=case.pk).update(updated_at=work.now())
    before = timeline(api, case)
    assert [event["type"] for event in before["events"]] == ["case.failed"]
    receive(case, text="Too late.")
    case.events.filter(type="message.received").update(at=work.now() + HOUR)
    assert timeline(api, case) == before


def test_a_timeline_comes_in_pages(api: Api, case: Case) -> None:
    for number in range(3):
        case.events.create(type="time.skipped", actor="system", at=NOON, data={"seconds": number})
    first = timeline(api, case, limit=2)
    second = timeline(api, case, limit=2, cursor=first["nextCursor"])
    assert [event["data"]["seconds"] for event in [*first["events"], *second["events"]]] == [0, 1, 2]
    assert second["nextCursor"] is None


@pytest.mark.parametrize("what", ["messages", "timeline"])
def test_only_ones_own(api: Api, case: Case, what: str) -> None:
    assert error_of(api.get(f"/cases/{CaseFactory().pk}/{what}")) == (403, "FORBIDDEN")
    assert error_of(api.get(f"/cases/nonsense/{what}")) == (404, "CASE_NOT_FOUND")
    assert error_of(api.get(f"/cases/{case.pk}/{what}", limit=0)) == (400, "INVALID_REQUEST")
    cursor = "bm90aGluZw:x"
    assert error_of(api.get(f"/cases/{case.pk}/{what}", cursor=cursor)) == (400, "INVALID_REQUEST")
