"""Files that are given along go out with the first mail, and with no other."""

from email import message_from_string, policy
from typing import Any

import pytest
from django.test import Client as Web
from pytest_django import Settings

from cases import services
from cases.enclosures import GivenFile
from cases.factories import ApiKeyFactory
from cases.models import Case, MessageStatus, Status
from cases.testing import run_due
from cases.tests.staff import staff
from outreach.agents import prompting
from outreach.agents.form import FormAgent
from outreach.factories import FORM, Played
from outreach.situation import Situation
from outreach.tests.memory import Outbox

pytestmark = pytest.mark.django_db
TEXT = GivenFile("terms.txt", "text/plain", b"Sign on page 2.")
CSV = GivenFile("rows.csv", "text/csv", b"a,b\n1,2\n")


def begin(*files: GivenFile, is_test: bool = True, **more: Any) -> Played:
    fields = {
        "channel": "EMAIL",
        "goal": {"objective": "Fill in the form."},
        "counterparty": {"address": "ann@supplier.example", "name": "Ann"},
        "counterparty_address": "ann@supplier.example",
        "sender_persona": {"name": "Bob"},
        **more,
    }
    played = Played(services.create_case(ApiKeyFactory(is_test=is_test), files=files or (TEXT, CSV), **fields))
    run_due()
    played.reload()
    return played


def test_the_first_mail_carries_them_and_says_so() -> None:
    played = begin()
    [mail] = played.mails
    assert mail["attachments"] == [
        {"name": "terms.txt", "type": "text/plain", "size": 15},
        {"name": "rows.csv", "type": "text/csv", "size": 8},
    ]
    assert "\n\nAttached: terms.txt and rows.csv.\n\n" in mail["text"]
    raw = message_from_string(mail["raw"], policy=policy.SMTP)
    assert [part.get_payload(decode=True) for part in raw.iter_attachments()] == [TEXT.content, CSV.content]


def test_no_later_mail_does() -> None:
    played = begin(result_schema=FORM)
    played.reply("Total: 5")
    played.wait(72)
    assert [len(mail["attachments"]) for mail in played.mails] == [2, 0, 0]


def test_the_agent_sees_names_and_text(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    write = FormAgent.draft_outreach

    def draft_outreach(self: FormAgent, case: Any, *more: Any) -> Any:
        seen.append(case)
        return write(self, case, *more)

    monkeypatch.setattr(FormAgent, "draft_outreach", draft_outreach)
    played = begin()
    assert [(file.name, file.text) for file in seen[0].enclosed] == [
        ("terms.txt", "Sign on page 2."),
        ("rows.csv", "a,b\n1,2"),
    ]
    data = prompting.data_of("outreach", seen[0], 1000)
    assert [file["name"] for file in data["attached"]] == ["terms.txt", "rows.csv"]
    later = Situation.of(played.case).view()
    assert later.enclosed == ()
    assert [file.text for file in later.thread[0].files] == ["Sign on page 2.", "a,b\n1,2"]


def test_real_mail_carries_the_same_bytes_each_time(outbox: Outbox, settings: Settings) -> None:
    settings.OFFLOAD_TRANSPORT = "memory"
    played = begin(is_test=False)
    message = played.sent[0]
    message.status, message.sent_at = MessageStatus.QUEUED, None
    message.save()
    Case.objects.filter(pk=played.case.pk).update(due_at=message.created_at)
    run_due()
    first, second = outbox.sent
    assert first.files == second.files
    assert [(file.name, file.content) for file in first.files] == [
        ("terms.txt", TEXT.content),
        ("rows.csv", CSV.content),
    ]


def test_a_name_that_gives_something_away_is_replaced() -> None:
    secret = GivenFile("tenant-northwind-4711.txt", "text/plain", b"x")
    played = begin(TEXT, secret, metadata={"file": "tenant-northwind-4711"})
    # `form` names its files: the text is held back, and what a human writes instead goes out with the harmless name.
    assert played.case.status == Status.INPUT_NEEDED
    assert played.mails == []
    services.reply_to_counterparty(played.case.pk, text="Please see the files.", actor="staff bob")
    run_due()
    assert [file["name"] for file in played.mails[0]["attachments"]] == ["terms.txt", "file-2.txt"]
    assert "northwind" not in played.mails[0]["raw"]


def test_staff_see_and_get_them_with_the_mail() -> None:
    played = begin()
    browser = staff("view_case")
    page = browser.get(f"/admin/cases/case/{played.case.pk}/change/").content.decode()
    assert "terms.txt" in page
    [file, _] = played.sent[0].attachments.order_by("-name")
    answer = browser.get(f"/admin/cases/attachment/{file.pk}/download/")
    assert b"".join(answer.streaming_content) == TEXT.content  # type: ignore[attr-defined]


def test_clients_see_them_in_the_transcript_and_not_among_those_received(client: Web) -> None:
    key: Any = ApiKeyFactory(is_test=True)
    case = services.create_case(
        key,
        files=[TEXT],
        channel="EMAIL",
        goal={"objective": "x"},
        counterparty={"address": "ann@supplier.example", "name": "Ann"},
        sender_persona={"name": "Bob"},
    )
    run_due()
    url = f"/cases/{case.pk}?includeTranscript=true"
    shown = client.get(url, headers={"x-api-key": key.key}).json()["data"]
    assert shown["attachments"] == []
    assert "Attachments: terms.txt (15 bytes)" in shown["conversationThread"]
    file = case.messages.get().attachments.get()
    assert client.get(f"/cases/{case.pk}/attachments/{file.pk}", headers={"x-api-key": key.key}).status_code == 404
