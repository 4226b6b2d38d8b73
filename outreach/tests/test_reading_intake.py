"""What was read of a mail's files is kept with them, and staff see it."""

from typing import Any

import pytest
from django.test import override_settings
from django.urls import reverse

from cases import correspondence
from cases.models import Attachment, Purpose
from cases.tests.staff import HOSTILE, assert_harmless, staff
from outreach import reading
from outreach.factories import Played
from outreach.inbound import counterparty, intake
from outreach.inbound.content import InboundAttachment
from outreach.sandbox import _newest_mail
from outreach.tests.reading_files import PDF, field, form_pdf

pytestmark = pytest.mark.django_db


def receive(*files: InboundAttachment) -> tuple[Played, list[Attachment]]:
    played = Played.begin()
    played.take(counterparty.reply(_newest_mail(played.case), text="See the file.", attachments=list(files)))
    return played, list(Attachment.objects.order_by("name"))


def test_text_and_note_are_kept_with_the_file() -> None:
    form = form_pdf(field("Sig", "Signature"))
    played, [first, second, third] = receive(
        InboundAttachment("a.pdf", "text/plain", form),
        InboundAttachment("b.bin", "text/plain", b"\x00\x01\x02"),
        InboundAttachment("c.csv", "text/csv", b"total,12"),
    )
    assert first.text == (
        "Form fields (1, none of them filled in):\nSignature = (empty), not signed\n\nPlease fill in and sign."
    )
    assert (first.type, first.note) == (PDF, "")
    assert (second.text, second.note) == ("", "can't be read: unknown format")
    assert (third.text, third.note) == ("total,12", "")
    assert [message.purpose for message in played.received] == [Purpose.HUMAN]


def test_a_file_that_breaks_the_reader_does_not_hold_up_the_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_CHILD", ("/bin/false",))
    played, [file] = receive(InboundAttachment("a.txt", "text/plain", b"words"))
    assert (file.text, file.note) == ("", "can't be read: the reader failed")
    [message] = played.received
    assert message.text == "See the file."


def test_no_transaction_is_open_while_files_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def read(*_: Any, seconds: float) -> reading.Reading:
        order.append("read")
        assert 0 < seconds <= 100
        return reading.Reading("text")

    def record(*args: Any, **more: Any) -> Any:
        order.append("record")
        return really_record(*args, **more)

    really_record = correspondence.keep
    monkeypatch.setattr(reading, "read", read)
    monkeypatch.setattr(correspondence, "keep", record)
    receive(InboundAttachment("a.txt", "text/plain", b"1"), InboundAttachment("b.txt", "text/plain", b"2"))
    assert order == ["read", "read", "record"]


def test_files_that_the_step_has_no_time_for_are_noted() -> None:
    with override_settings(OFFLOAD_STEP_SECONDS=intake.TIME_TO_RECORD_SECONDS):
        played, [file] = receive(InboundAttachment("a.txt", "text/plain", b"words"))
    assert (file.text, file.note) == ("", "not read: out of time")
    assert len(played.received) == 1


def test_staff_see_what_was_read_as_text() -> None:
    played, [file] = receive(InboundAttachment("a.txt", "text/plain", HOSTILE.encode()))
    assert file.text == HOSTILE
    Attachment.objects.update(note=f"only some {HOSTILE}")
    page = staff("view_case", "view_attachment").get(reverse("admin:cases_case_change", args=[played.case.pk]))
    html = page.content.decode()
    assert_harmless(html)
    assert "<summary>What was read</summary>" in html
    assert "Only some &lt;/textarea&gt;" in html
