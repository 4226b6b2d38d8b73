"""The whole service in real processes: HTTP in, webhook out."""

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from offload_project.tests.processes import ROOT, Service
from scripts import demo
from scripts.counterparty import Sandbox
from scripts.demo import Api, Receiver, newest_mail, wait_for


@pytest.fixture
def client(on_sqlite: Service) -> dict[str, str]:
    """What `create_client` prints: clientId, apiKey, webhookSecret."""
    printed: dict[str, str] = json.loads(on_sqlite.manage("create_client", "Acme", "--test", "--json"))
    return printed


@pytest.fixture
def receiver(client: dict[str, str]) -> Iterator[Receiver]:
    """The client's endpoint: it keeps what the standardwebhooks library has verified."""
    with closing(Receiver(client["webhookSecret"])) as listening:
        yield listening


@pytest.fixture
def api(on_sqlite: Service, client: dict[str, str]) -> Iterator[Api]:
    """The API of a service that runs: web server, worker and clock."""
    base = on_sqlite.start_web()
    on_sqlite.start_all()
    with closing(Api(base, client["apiKey"])) as calling:
        yield calling


def reply(api: Api, case_id: str, text: str, **more: Any) -> None:
    api.call("POST", f"/sandbox/cases/{case_id}/reply", {"text": text, **more}, expect=202)


def question_of(api: Api, case_id: str) -> dict[str, Any] | None:
    """The open question, once the case asks one."""
    case = api.call("GET", f"/cases/{case_id}")
    question: dict[str, Any] | None = case["inputRequest"] if case["status"] == "INPUT_NEEDED" else None
    return question


def download(api: Api, case_id: str, attachment: dict[str, Any]) -> bytes:
    link = api.call("GET", f"/cases/{case_id}/attachments/{attachment['attachmentId']}")
    answer = requests.get(link["downloadUrl"], timeout=20)  # without the key
    assert answer.status_code == 200
    return answer.content


def test_a_case_from_post_to_result(api: Api, receiver: Receiver) -> None:
    case_id = api.call("POST", "/cases", {**demo.CASE, "clientWebhookUrl": receiver.url}, expect=201)["caseId"]
    assert "signed order confirmation" in newest_mail(api, Sandbox(), case_id, 1)["text"]
    wait_for("the case to run", lambda: api.call("GET", f"/cases/{case_id}")["status"] == "RUNNING")
    assert receiver.events == []

    form = demo.signed_form()
    file = {"name": "form.pdf", "type": "application/pdf", "content": base64.b64encode(form).decode()}
    reply(api, case_id, demo.QUESTION, attachments=[file])
    question = wait_for("the question", lambda: question_of(api, case_id))
    answer = {"inputRequestId": question["id"], "providedContext": demo.ANSWER}
    assert api.call("POST", f"/cases/{case_id}/input", answer, expect=202)["accepted"] is True
    assert demo.ANSWER in newest_mail(api, Sandbox(), case_id, 2)["text"]

    reply(api, case_id, demo.FORM)
    wait_for("both webhooks", lambda: len(receiver.events) >= 2)
    case = api.call("GET", f"/cases/{case_id}?includeTranscript=true")
    assert (case["status"], case["resultStatus"], case["attemptCount"]) == ("COMPLETED", "goal_achieved", 2)
    assert case["result"] == {"deliveryDate": "2026-12-14", "signedBy": "Ann Miller"}
    assert case["conversationThread"].count(" UTC, sent\n") == case["conversationThread"].count(" UTC, received\n") == 2
    [attachment] = case["attachments"]
    assert (attachment["name"], attachment["size"], download(api, case_id, attachment)) == (
        "form.pdf",
        len(form),
        form,
    )

    asked, completed = receiver.events
    assert [asked["event_type"], completed["event_type"]] == ["case.input_needed", "case.completed"]
    assert (asked["data"]["inputRequestId"], asked["data"]["attachments"]) == (question["id"], [attachment])
    assert completed["event_id"] == f"evt_{case_id}_case_completed_{case['updatedAt']}"
    assert completed["data"]["result"] == case["result"]
    assert completed["data"]["metadata"] == demo.CASE["metadata"]
    assert len(api.call("GET", f"/sandbox/cases/{case_id}/mails")["mails"]) == 2


@pytest.mark.parametrize("transport", ["sandbox", "email"])
def test_the_demo_plays(tmp_path: Path, transport: str) -> None:
    command = [sys.executable, "-m", "scripts.demo", str(tmp_path / "demo")]
    env = {**os.environ, "TRANSPORT": transport}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr + done.stdout[-3000:]
    titles = re.findall(r"^── (.*)$", done.stdout, re.MULTILINE)
    wanted = [
        "Setting up: database, client, web server, worker, clock",
        "POST http://127.0.0.1:",
        "Its answer, at once",
        "The mail, as the counterparty got it",
        "The counterparty replies with a PDF of ",
        "Webhook received, its signature verified with the standardwebhooks library: case.input_needed",
        "The form agent leaves that to a human, who answers",
        "The next mail carries the answer, with what is still missing",
        "The counterparty fills in the lines",
        "Webhook received, its signature verified with the standardwebhooks library: case.completed",
        "GET /cases/",
        "GET /cases/",
        "Done in ",
    ]
    assert [title[: len(start)] for title, start in zip(titles, wanted, strict=True)] == wanted
    assert "✓ the result validates against the resultSchema" in done.stdout
    assert f"✓ {len(demo.signed_form())} bytes, byte for byte as attached" in done.stdout
    assert (tmp_path / "demo" / "worker.log").exists()
