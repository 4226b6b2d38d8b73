"""The whole service in real processes over AgentMail's stand-in: signed webhooks in, mail out, and answers lost."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cases import work
from cases.factories import reschedule
from cases.models import Case, Direction, Message
from offload_project.tests.processes import ROOT, Service, copy_of, installed, wait_for
from outreach.agentmail.setup import EVENT_TYPES
from outreach.inbound import counterparty
from outreach.models import InboundPayload, PayloadState
from outreach.standins.agentmail import AgentMailServer, Fault, original
from scripts.demo import CASE, Api

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LOST = [Fault("after", is_reset=True), Fault("after", status=500), Fault("after", status=200, body=b"<html>")]


@pytest.fixture
def server() -> Iterator[AgentMailServer]:
    with AgentMailServer() as running:
        running.create_inbox("us", "agentmail.example", display_name="Acme")
        yield running


@pytest.fixture
def service(
    sqlite_template: Path, tmp_path: Path, server: AgentMailServer, django_db_blocker: Any
) -> Iterator[Service]:
    """Web server, worker and clock on SQLite, told of by AgentMail's webhook."""
    settings = {
        "AGENTMAIL_BASE_URL": server.url,
        "AGENTMAIL_API_KEY": server.key,
        "AGENTMAIL_INBOX": "us@agentmail.example",
        "AGENTMAIL_WEBHOOK_SECRET": SECRET,
        "OFFLOAD_SETTLE_SECONDS": "0",
    }
    with installed(copy_of(sqlite_template, tmp_path), tmp_path, django_db_blocker, **settings) as running:
        base = running.start_web()
        hook = {"webhook_id": "ep_1", "url": f"{base}/inbound/agentmail", "secret": SECRET, "enabled": True}
        server.webhooks["ep_1"] = {**hook, "event_types": EVENT_TYPES}
        running.start_all()
        yield running


@pytest.fixture
def api(service: Service) -> Iterator[Api]:
    client = json.loads(service.manage("create_client", "Acme", "--json"))
    with closing(Api(service.environment["OFFLOAD_BASE_URL"], client["apiKey"])) as calling:
        yield calling


def answer(server: AgentMailServer, case_id: str, text: str) -> dict[str, Any]:
    """The counterparty answers the newest mail of the case."""
    [*_, newest] = [sent for sent in server.sent() if f"case-{case_id}" in sent.labels]
    return server.deliver(newest.fields["inbox_id"], counterparty.reply(original(newest), text=text))


@pytest.mark.long
def test_a_case_from_post_to_result_though_every_answer_is_lost_once(api: Api, server: AgentMailServer) -> None:
    server.faults += LOST
    case_id = api.call("POST", "/cases", CASE, expect=201)["caseId"]
    wait_for(server.sent, 20, "the mail goes out")
    wait_for(lambda: _hasten(case_id).attempt_count == 1, 30, "the service knows that it went out")

    told = answer(server, case_id, "Delivery date: 14 December 2026")
    wait_for(lambda: _hasten(case_id).attempt_count == 2, 30, "what is missing is asked for")
    assert Message.objects.get(case=case_id, direction=Direction.IN).message_id == told["message_id"]
    for number in range(10):  # told again, under its own id and under others
        again = {"event_id": f"again-{number % 3}", "event_type": "message.received", "message": told}
        assert server.post_event(server.webhooks["ep_1"], again) == 200

    answer(server, case_id, "Signed by: Ann Miller")
    wait_for(lambda: api.call("GET", f"/cases/{case_id}")["status"] == "COMPLETED", 30, "the case completes")
    case = api.call("GET", f"/cases/{case_id}")
    assert case["result"] == {"deliveryDate": "2026-12-14", "signedBy": "Ann Miller"}
    assert len(server.sent()) == case["attemptCount"] == 2
    assert len({sent.fields["thread_id"] for sent in server.sent()}) == 1
    assert Message.objects.filter(case=case_id, direction=Direction.IN).count() == 2
    assert {delivery.status for delivery in server.deliveries} == {200}
    wait_for(lambda: not InboundPayload.objects.filter(state=PayloadState.WAITING).exists(), 30, "all is taken in")
    assert set(InboundPayload.objects.values_list("state", flat=True)) == {PayloadState.DONE}


def _hasten(case_id: str) -> Case:
    """The case, whose pause after a failure is over by now."""
    case: Case = Case.objects.get(pk=case_id)
    if case.retry_at and case.retry_at > work.now():
        Case.objects.filter(pk=case_id).update(retry_at=None)
        reschedule(case)
    return case


@pytest.mark.long
def test_a_bounce_ends_the_case_and_a_soft_one_does_not(api: Api, server: AgentMailServer) -> None:
    case_id = api.call("POST", "/cases", CASE, expect=201)["caseId"]
    wait_for(lambda: Case.objects.get(pk=case_id).attempt_count == 1, 20, "the mail goes out")
    message_id = server.sent()[0].fields["message_id"]
    soft = server.report("message.bounced", message_id, type="Transient", sub_type="MailboxFull")
    taken = InboundPayload.objects.filter(dedupe_key=soft["event_id"], state=PayloadState.DONE)
    wait_for(taken.exists, 20, "the soft bounce is taken in")
    assert api.call("GET", f"/cases/{case_id}")["status"] == "RUNNING"
    server.report("message.bounced", message_id)
    wait_for(lambda: api.call("GET", f"/cases/{case_id}")["status"] == "FAILED", 20, "the bounce ends it")
    assert api.call("GET", f"/cases/{case_id}")["resultStatus"] == "BOUNCED"
    assert len(server.sent()) == 1


@pytest.mark.long
def test_the_demo_plays_over_agentmail(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "scripts.demo", str(tmp_path / "demo")]
    environment = {**os.environ, "TRANSPORT": "agentmail"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr + done.stdout[-3000:]
    assert "From: Acme Purchasing <orders@agentmail.example>" in done.stdout
    assert "✓ the result validates against the resultSchema" in done.stdout
    assert "byte for byte as attached" in done.stdout
