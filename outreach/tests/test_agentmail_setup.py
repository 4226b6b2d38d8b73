"""What `agentmail_setup` makes, what `reconcile_mail` finds, and what is said of half a configuration."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from cases import chores, work
from cases.factories import ClientFactory
from cases.models import Case, Chore, Direction, Message
from cases.testing import run_due
from outreach.agentmail import door, inboxes, reconcile, setup
from outreach.checks import agentmail_is_configured
from outreach.inbound import counterparty
from outreach.models import InboundPayload
from outreach.standins.agentmail import AgentMailServer, Fault, original
from outreach.tests.agentmail import ANN, INBOX, SECRET, agentmail, begin

pytestmark = pytest.mark.django_db
URL = "http://testserver/inbound/agentmail"


@pytest.fixture
def server(settings: Any) -> Iterator[AgentMailServer]:
    with agentmail(settings) as running:
        yield running


# --- Set up ---


def test_everything_is_made_once(server: AgentMailServer, settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    settings.AGENTMAIL_INBOX, settings.AGENTMAIL_WEBHOOK_SECRET = "", []
    call_command("agentmail_setup", "--username", "orders", "--display-name", "Acme Orders")
    inbox, [hook] = server.inboxes["orders@agentmail.example"], server.webhooks.values()
    assert inbox["display_name"] == "Acme Orders"
    assert (hook["url"], hook["event_types"]) == (URL, setup.EVENT_TYPES)
    assert capsys.readouterr().out.splitlines() == [
        "Set AGENTMAIL_INBOX=orders@agentmail.example",
        f"The webhook to {URL} is there and enabled.",
        f"Set AGENTMAIL_WEBHOOK_SECRET={hook['secret']}",
    ]
    call_command("agentmail_setup", "--username", "other")  # as if the first had died before it was read
    assert len(server.inboxes) == 2
    settings.AGENTMAIL_INBOX, settings.AGENTMAIL_WEBHOOK_SECRET = "orders@agentmail.example", [hook["secret"]]
    capsys.readouterr()
    call_command("agentmail_setup")
    assert (len(server.inboxes), len(server.webhooks)) == (2, 1)
    assert capsys.readouterr().out.splitlines() == [
        "The inbox orders@agentmail.example is there.",
        f"The webhook to {URL} is there and enabled.",
        "AGENTMAIL_WEBHOOK_SECRET is set and right.",
    ]


def test_a_webhook_is_enabled_again_and_gets_what_it_lacks(server: AgentMailServer) -> None:
    made = setup.webhook()
    hook = server.webhooks[made["webhook_id"]]
    hook |= {"enabled": False, "event_types": ["message.received", "domain.verified"]}
    setup.webhook()
    assert hook["enabled"] is True
    assert hook["event_types"][:2] == ["message.received", "domain.verified"]
    assert set(hook["event_types"]) >= set(setup.EVENT_TYPES) >= {"message.received.unauthenticated", "message.bounced"}
    before = len(server.requests)
    setup.webhook()
    assert [method for method, _, _ in server.requests[before:]] == ["GET"]  # nothing to change


def test_a_new_secret_goes_before_the_old_one(server: AgentMailServer, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("agentmail_setup")
    [hook] = server.webhooks.values()
    assert f"Set AGENTMAIL_WEBHOOK_SECRET={hook['secret']},{SECRET}" in capsys.readouterr().out


def test_a_client_gets_an_inbox_of_its_own(server: AgentMailServer, capsys: pytest.CaptureFixture[str]) -> None:
    client, other = ClientFactory(name="Acme"), ClientFactory(name="Other")
    for _ in range(2):
        call_command("agentmail_setup", "--client", "Acme", "--username", "acme")
    client.refresh_from_db()
    other.refresh_from_db()
    assert (client.agentmail_inbox, other.agentmail_inbox) == ("acme@agentmail.example", "")
    assert len(server.inboxes) == 2
    assert "Acme writes from acme@agentmail.example." in capsys.readouterr().out
    assert inboxes.ours() == {INBOX, "acme@agentmail.example"}


def test_an_inbox_that_exists_may_be_chosen(
    server: AgentMailServer, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    client = ClientFactory(name="Acme")
    server.create_inbox("acme", "agentmail.example")
    call_command("agentmail_setup", "--client", "Acme", "--inbox", "acme@agentmail.example")
    client.refresh_from_db()
    assert client.agentmail_inbox == "acme@agentmail.example"
    call_command("agentmail_setup", "--inbox", "acme@agentmail.example")
    assert "Set AGENTMAIL_INBOX=acme@agentmail.example\n" in capsys.readouterr().out
    assert len(server.inboxes) == 2


def test_what_can_not_be_set_up(server: AgentMailServer, settings: Any) -> None:
    with pytest.raises(CommandError, match="no client named 'Nobody'"):
        call_command("agentmail_setup", "--client", "Nobody")
    settings.AGENTMAIL_INBOX = "gone@agentmail.example"
    with pytest.raises(CommandError, match="404 not_found Inbox not found"):
        call_command("agentmail_setup")
    settings.AGENTMAIL_API_KEY = ""
    for command in ("agentmail_setup", "reconcile_mail"):
        with pytest.raises(CommandError, match="AGENTMAIL_API_KEY is not set"):
            call_command(command)
    assert not server.webhooks


# --- Reconcile ---


def test_mail_that_nobody_told_of_is_taken_in_once(
    server: AgentMailServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("outreach.agentmail.client.PAGE_SIZE", 2)
    case = begin()
    answer = original(server.sent()[0])
    for number in range(5):
        server.deliver(INBOX, counterparty.reply(answer, text=f"Answer {number}"), quietly=True)
    server.deliver(INBOX, b"From: x@spam.example\r\nMessage-ID: <s@x>\r\n\r\nBuy", label="spam", quietly=True)
    call_command("reconcile_mail", "--since", "1h")
    call_command("reconcile_mail")
    assert capsys.readouterr().out.splitlines() == [
        "6 mails were missing here and are taken in now.",
        "0 mails were missing here and are taken in now.",
    ]
    run_due("payload")
    texts = Message.objects.filter(case=case, direction=Direction.IN).values_list("text", flat=True)
    assert sorted(texts) == [f"Answer {number}" for number in range(5)]
    kinds = [bytes(body) for body in InboundPayload.objects.values_list("body", flat=True)]
    assert sum(b'"event_type": "message.received.spam"' in body for body in kinds) == 1


def test_what_a_webhook_told_is_not_taken_in_again(server: AgentMailServer) -> None:
    begin()
    message = server.deliver(INBOX, counterparty.reply(original(server.sent()[0]), text="Hello"), quietly=True)
    told = {"event_type": "message.received", "event_id": "evt_1", "message": message}
    assert door.take(told, b"{}")
    assert reconcile.since(work.now() - timedelta(hours=1), seconds=5) == 0
    assert InboundPayload.objects.count() == 1


def test_only_what_came_since(server: AgentMailServer) -> None:
    message = server.deliver(INBOX, f"From: {ANN}\r\nMessage-ID: <a@b>\r\n\r\nHello".encode(), quietly=True)
    message["timestamp"] = (work.now() - timedelta(hours=2)).isoformat()
    assert reconcile.since(work.now() - timedelta(hours=1), seconds=5) == 0
    assert reconcile.since(work.now() - timedelta(hours=3), seconds=5) == 1


def test_one_inbox_that_fails_keeps_no_other_waiting(server: AgentMailServer) -> None:
    ClientFactory(agentmail_inbox="gone@agentmail.example")
    server.deliver(INBOX, f"From: {ANN}\r\nMessage-ID: <a@b>\r\n\r\nHello".encode(), quietly=True)
    with pytest.raises(work.StepFailed, match="404 not_found"):
        reconcile.since(work.now() - timedelta(hours=1), seconds=5)
    assert InboundPayload.objects.count() == 1


def test_a_key_that_may_not_read_hidden_labels_reads_the_inbox(server: AgentMailServer) -> None:
    server.faults.append(Fault("before", status=403, code="missing_permission", method="GET", matches="include_spam"))
    server.deliver(INBOX, f"From: {ANN}\r\nMessage-ID: <a@b>\r\n\r\nHello".encode(), quietly=True)
    assert reconcile.since(work.now() - timedelta(hours=1), seconds=5) == 1


def test_pages_that_lead_nowhere_end(server: AgentMailServer) -> None:
    page = b'{"messages": [], "next_page_token": "again"}'
    server.faults += [Fault("before", status=200, body=page, method="GET", matches="/messages?")] * 3
    with pytest.raises(work.StepFailed, match="whose next page is itself"):
        reconcile.since(work.now(), seconds=5)


@pytest.mark.parametrize("since", ["", "24", "h", "-1h", "1w", "99999h"])
def test_lengths_that_are_none(server: AgentMailServer, since: str) -> None:
    with pytest.raises(CommandError, match="--since is"):
        call_command("reconcile_mail", f"--since={since}")


def test_the_chore_looks_back_to_its_last_run(server: AgentMailServer, settings: Any) -> None:
    settings.OFFLOAD_CHORES = {"reconcile_mail": ("outreach.agentmail.reconcile.look", 900)}
    chores.plan()
    server.deliver(INBOX, f"From: {ANN}\r\nMessage-ID: <a@b>\r\n\r\nHello".encode(), quietly=True)
    run_due("chore")
    chore = Chore.objects.get()
    assert InboundPayload.objects.count() == 1
    assert chore.done_at is not None
    assert chore.due_at == chore.next_at == chore.done_at + timedelta(minutes=15)
    Chore.objects.update(due_at=work.now(), done_at=chore.done_at - timedelta(hours=5))
    run_due("chore")
    lists = [target for method, target, _ in server.requests if method == "GET" and "after=" in target]
    since = (chore.done_at - timedelta(hours=6)).strftime("after=%Y-%m-%dT%H%%3A%M%%3A%S")
    assert since in lists[-1]
    for name in ("spam", "blocked", "unauthenticated"):
        assert f"include_{name}=true" in lists[-1]


def test_cases_that_write_from_an_earlier_inbox_are_looked_after(server: AgentMailServer, settings: Any) -> None:
    begin()
    settings.AGENTMAIL_INBOX = "new@agentmail.example"
    assert inboxes.ours() == {INBOX, "new@agentmail.example"}
    Case.objects.update(status="FAILED", result_status="cancelled", due_at=None)
    assert inboxes.ours() == {"new@agentmail.example"}
    assert inboxes.is_ours(INBOX.upper())


# --- Half a configuration ---


@pytest.mark.parametrize(
    ("key", "inbox", "secrets", "transport", "ids"),
    [
        ("", "", [], "sandbox", []),
        ("am_x", "a@b.example", [SECRET], "agentmail", []),
        ("am_x", "a@b.example", [SECRET, "whsec_AAAA"], "email", []),
        ("", "", [], "agentmail", ["outreach.E010", "outreach.E011", "outreach.W010"]),
        ("am_x", "", [SECRET], "agentmail", ["outreach.E011"]),
        ("", "a@b.example", [], "sandbox", ["outreach.E012"]),
        ("", "", [SECRET], "sandbox", ["outreach.E012"]),
        ("am_x", "a@b.example", [], "agentmail", ["outreach.W010"]),
        ("am_x", "a@b.example", ["whsec_"], "agentmail", ["outreach.E013"]),
        ("am_x", "a@b.example", ["whsec_abcde"], "agentmail", ["outreach.E013"]),
    ],
)
def test_half_a_configuration_is_told(
    settings: Any, key: str, inbox: str, secrets: list[str], transport: str, ids: list[str]
) -> None:
    settings.AGENTMAIL_API_KEY, settings.AGENTMAIL_INBOX = key, inbox
    settings.AGENTMAIL_WEBHOOK_SECRET, settings.OFFLOAD_TRANSPORT = secrets, transport
    assert [found.id for found in agentmail_is_configured()] == ids
