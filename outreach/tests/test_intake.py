"""Taking in what a door has stored."""

import hashlib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from cases import correspondence, work
from cases.factories import CaseFactory, MessageFactory
from cases.models import Attachment, Case, MessageStatus, Purpose, Status
from cases.testing import run_due
from outreach import sandbox
from outreach.factories import InboundPayloadFactory, Played
from outreach.inbound import counterparty, intake
from outreach.inbound.content import InboundAttachment
from outreach.models import InboundPayload, PayloadState
from outreach.tests.memory import Outbox, begin
from outreach.tests.test_suppression import original

pytestmark = pytest.mark.django_db


@pytest.fixture
def played() -> Played:
    return Played.begin()


def raw_reply(played: Played, text: str = "Hello", **more: Any) -> bytes:
    return counterparty.reply(sandbox._newest_mail(played.case), text=text, **more)


def move(payload: InboundPayload, length: timedelta) -> None:
    """Let time pass for the payload."""
    payload.refresh_from_db()
    for name in ("received_at", "try_again_at", "due_at"):
        moment = getattr(payload, name)
        setattr(payload, name, moment and moment - length)
    payload.save()


# --- The door ---


def test_what_is_accepted_is_stored_and_due(played: Played) -> None:
    assert intake.accept("sandbox", b"raw", "key") is True
    payload = InboundPayload.objects.get()
    assert (bytes(payload.body), payload.source, payload.state) == (b"raw", "sandbox", PayloadState.WAITING)
    assert payload.due_at == payload.received_at


def test_what_is_there_already_is_not_accepted_again(played: Played) -> None:
    intake.accept("sandbox", b"raw", "key")
    run_due()
    assert intake.accept("sandbox", b"other", "key") is False
    assert intake.accept("elsewhere", b"raw", "key") is True
    payload = InboundPayload.objects.get(source="sandbox")
    assert (bytes(payload.body), payload.due_at) == (b"raw", None)


# --- What becomes of it ---


def test_a_reply_is_recorded_and_the_payload_done(played: Played) -> None:
    payload = played.take(raw_reply(played, "Which one?"))
    [message] = played.received
    assert (payload.state, payload.message, payload.due_at) == (PayloadState.DONE, message, None)
    assert payload.note == "A reply"
    assert (message.purpose, message.text) == (Purpose.HUMAN, "Which one?")


def test_files_are_stored_with_size_type_and_digest(played: Played, media_root: Path) -> None:
    content = b"%PDF-1.4\n\x00\xff"
    files = [InboundAttachment("../../evil.pdf", "text/html", content), InboundAttachment("b", "text/plain", b"")]
    played.take(raw_reply(played, attachments=files))
    first, second = Attachment.objects.order_by("-size")
    assert (first.name, first.type, first.declared_type, first.size) == (
        "evil.pdf",
        "application/pdf",
        "text/html",
        len(content),
    )
    assert (first.sha256, second.size) == (hashlib.sha256(content).hexdigest(), 0)
    with first.file.open() as stored:
        assert stored.read() == content
    assert sorted(path.name for path in (media_root / "attachments").iterdir()) == sorted(
        [str(first.pk), str(second.pk)]
    )


def test_a_step_that_is_repeated_stores_each_file_once(
    played: Played, media_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: Any, **__: Any) -> Any:
        raise ConnectionError

    raw = raw_reply(played, attachments=[InboundAttachment("a.txt", "text/plain", b"whole")])
    intake.accept("sandbox", raw, "key")
    with monkeypatch.context() as patch:
        patch.setattr(correspondence, "keep", cut_off)
        run_due(failing=ConnectionError)
    assert played.received == []
    [file] = (media_root / "attachments").iterdir()
    file.write_bytes(b"wh")  # as if the disk had been full
    payload = InboundPayload.objects.get()
    assert (payload.failures, payload.state) == (1, PayloadState.WAITING)
    payload.retry_at, payload.due_at = None, work.now()
    payload.save()
    run_due()
    [attachment] = Attachment.objects.all()
    assert [path.name for path in (media_root / "attachments").iterdir()] == [str(attachment.pk)]
    with attachment.file.open() as stored:
        assert stored.read() == b"whole"


def test_a_mail_without_message_id_counts_once(played: Played) -> None:
    raw = raw_reply(played)
    start = raw.index(b"Message-ID: ")
    without = raw[:start] + raw[raw.index(b"\n", start) + 1 :]
    payload = played.take(without)
    [message] = played.received
    assert message.message_id == f"<{payload.pk}@missing.invalid>"


@pytest.mark.parametrize("raw", [b"", b"\x00\xff", b"no mail at all", b"Subject: x\r\n\r\nHello"])
def test_any_bytes_are_taken_and_kept(raw: bytes) -> None:
    intake.accept("sandbox", raw, "key")
    run_due()
    payload = InboundPayload.objects.get()
    assert (payload.state, payload.note) == (PayloadState.UNMATCHED, "It belongs to no case.")
    assert bytes(payload.body) == raw


def test_several_cases_are_never_a_guess(played: Played) -> None:
    other = Played.begin()
    both = f"In-Reply-To: {other.mails[0]['messageId']}\r\n".encode()
    raw = raw_reply(played).replace(b"In-Reply-To", b"X").replace(b"Subject:", both + b"Subject:", 1)
    payload = played.take(raw)
    assert (payload.state, payload.note) == (PayloadState.UNMATCHED, "It belongs to 2 cases.")
    assert (played.received, other.received) == ([], [])


def test_a_payload_that_keeps_failing_goes_to_staff() -> None:
    payload = InboundPayloadFactory(lost_leases=10)
    run_due()
    payload.refresh_from_db()
    assert (payload.state, payload.due_at) == (PayloadState.FAILED, None)
    assert "begun 10 times" in payload.note


# --- Mail before our commit ---


def sent_by_provider() -> Case:
    """A case whose first mail is being sent by a provider that chooses the Message-ID itself."""
    case: Case = CaseFactory(transport="email", our_address="us@ours.example")
    MessageFactory(case=case, status=MessageStatus.QUEUED, message_id="<ours@x>", send_started_at=work.now())
    return case


EARLY = (
    b"From: ann@supplier.example\r\nTo: us@ours.example\r\nMessage-ID: <r@supplier.example>\r\n"
    b"In-Reply-To: <provider@x>\r\n\r\nHello"
)


def test_mail_that_is_faster_than_our_commit_is_tried_again_until_it_finds_its_case() -> None:
    case = sent_by_provider()
    payload = InboundPayloadFactory(body=EARLY)
    run_due("payload")
    payload.refresh_from_db()
    assert (payload.state, payload.note) == (PayloadState.WAITING, "It belongs to no case.")
    assert payload.try_again_at is not None
    assert timedelta(seconds=19) < payload.try_again_at - datetime.now(UTC) <= timedelta(seconds=20)
    assert payload.due_at == payload.try_again_at
    correspondence.record_sent(case.messages.get().pk, message_id="<provider@x>")
    move(payload, timedelta(seconds=20))
    run_due("payload")
    payload.refresh_from_db()
    assert payload.state == PayloadState.DONE
    assert case.messages.get(direction="IN").text == "Hello"


def test_after_ten_minutes_it_is_unmatched() -> None:
    sent_by_provider()
    payload = InboundPayloadFactory(body=EARLY)
    run_due("payload")
    move(payload, timedelta(minutes=9, seconds=50))
    run_due("payload")
    payload.refresh_from_db()
    assert payload.state == PayloadState.WAITING
    move(payload, timedelta(seconds=20))
    run_due("payload")
    payload.refresh_from_db()
    assert (payload.state, payload.due_at) == (PayloadState.UNMATCHED, None)


def test_without_a_send_under_way_nobody_waits() -> None:
    CaseFactory(transport="email", status=Status.RUNNING)
    payload = InboundPayloadFactory(body=EARLY)
    run_due("payload")
    payload.refresh_from_db()
    assert payload.state == PayloadState.UNMATCHED


# --- Absence ---


def test_working_hours_decide_when_somebody_is_back_except_in_the_sandbox() -> None:
    zone = {"address": "ann@supplier.example", "name": "Ann", "timezone": "America/New_York"}
    day = (datetime.now(UTC) + timedelta(days=30)).date()
    while day.weekday() != 2:
        day += timedelta(days=1)
    for transport, hours in (("email", {12, 13}), ("sandbox", {4, 5})):  # 8 o'clock in New York, or midnight
        case = CaseFactory(transport=transport, counterparty=zone, status=Status.RUNNING)
        sent = MessageFactory(case=case, message_id=f"<{transport}@x>")
        original = counterparty.OriginalMail("", (), "", "us@x.example", "", "ann@supplier.example", "", "", work.now())
        raw = counterparty.out_of_office(original, until=day).replace(
            b"Subject:", f"In-Reply-To: {sent.message_id}\r\nSubject:".encode(), 1
        )
        InboundPayloadFactory(body=raw)
        run_due("payload")
        case.refresh_from_db()
        assert case.next_action_at is not None
        assert case.next_action_at.date() == day
        assert case.next_action_at.hour in hours


@pytest.mark.parametrize(
    ("zone", "back_at"),
    [
        ("Europe/Zurich", "2030-03-04T07:00:00+00:00"),  # Monday, 08:00 there
        ("America/Los_Angeles", "2030-03-04T16:00:00+00:00"),  # as the day begins in UTC, it is still Sunday there
        ("Asia/Tokyo", "2030-03-03T23:00:00+00:00"),
    ],
)
def test_who_is_away_is_waited_for_until_their_own_morning(
    outbox: Outbox, settings: Settings, zone: str, back_at: str
) -> None:
    settings.OFFLOAD_WORKING_HOURS = "Mon-Fri 08-18"
    played = begin(counterparty={"address": "ann@supplier.example", "name": "Ann", "timezone": zone})
    played.take(counterparty.out_of_office(original(played), until=date(2030, 3, 2)))  # a Saturday
    case = played.reload()
    assert (case.next_action_at, case.attempt_count) == (datetime.fromisoformat(back_at), 1)
    assert len(outbox.sent) == 1
