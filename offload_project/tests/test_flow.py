"""The whole service in real processes: HTTP in, webhook out."""

import base64
import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
import requests
from django.db.models import F
from django_q.models import OrmQ

from cases.models import Attachment, Case, Heartbeat, Role
from offload_project.tests.processes import (
    ROOT,
    Service,
    copy_of,
    installed,
    mails,
    new_postgres_database,
    outreach_is_sent,
)
from scripts import demo, servers
from scripts.counterparty import Sandbox
from scripts.demo import Api, Receiver, newest_mail, wait_for
from webhooks.models import Delivery, DeliveryState


@dataclass
class Installation:
    """What a service stands on, and how many workers and clocks it has."""

    database: str = "sqlite"
    broker: str = "orm"
    files: str = "files"
    of_each: int = 1


ONE_MACHINE = Installation()
MACHINES = [
    ONE_MACHINE,
    Installation("postgres", "redis", "s3", of_each=2),
    Installation("postgres", "sqs", "s3", of_each=2),
]


def marks(installation: Installation) -> list[pytest.MarkDecorator]:
    return [] if installation is ONE_MACHINE else [pytest.mark.long]


def environment_of(request: pytest.FixtureRequest, installation: Installation) -> dict[str, str]:
    """The part of a service's environment that names broker and storage, which are started if need be."""
    brokers: dict[str, Callable[[], dict[str, str]]] = {
        "orm": dict,
        "redis": lambda: {"Q_BROKER": request.getfixturevalue("redis_url")},
        "sqs": lambda: request.getfixturevalue("sqs"),
    }
    files = request.getfixturevalue("s3") if installation.files == "s3" else {}
    return {**brokers[installation.broker](), **files}  # last the keys of S3: the server of SQS takes any


@pytest.fixture
def installation(request: pytest.FixtureRequest) -> Installation:
    return getattr(request, "param", ONE_MACHINE)


@pytest.fixture
def service(
    request: pytest.FixtureRequest, installation: Installation, tmp_path: Path, django_db_blocker: Any
) -> Iterator[Service]:
    """The service on its own database, not started yet."""
    with ExitStack() as stack:
        if installation.database == "postgres":
            server, template = (request.getfixturevalue(name) for name in ("postgres_url", "postgres_template"))
            _, url = stack.enter_context(new_postgres_database(server, template))
        else:
            url = copy_of(request.getfixturevalue("sqlite_template"), tmp_path)
        more = environment_of(request, installation)
        yield stack.enter_context(installed(url, tmp_path, django_db_blocker, **more))


@pytest.fixture
def client(service: Service) -> dict[str, str]:
    """What `create_client` prints: clientId, apiKey, webhookSecret."""
    printed: dict[str, str] = json.loads(service.manage("create_client", "Acme", "--test", "--json"))
    return printed


@pytest.fixture
def receiver(client: dict[str, str]) -> Iterator[Receiver]:
    """The client's endpoint: it keeps what the standardwebhooks library has verified."""
    with closing(Receiver(client["webhookSecret"])) as listening:
        yield listening


@pytest.fixture
def api(service: Service, installation: Installation, client: dict[str, str]) -> Iterator[Api]:
    """The API of a service that runs: web server, workers and clocks, each worker and clock on a machine of its own."""
    base = service.start_web()
    if installation.of_each == 1:
        service.start_all()
    else:
        for number in range(installation.of_each):
            with service.on_machine(f"machine-{number}"):
                service.start("clock")
                service.start("worker")
        wait_for("all workers and clocks", lambda: alive() == [installation.of_each] * 2)
    with closing(Api(base, client["apiKey"])) as calling:
        yield calling


def alive() -> list[int]:
    """How many workers have carried out a first wake-up, and how many clocks look."""
    beating = Heartbeat.objects.filter(finished_at__gt=F("started_at"))
    return [beating.filter(role=Role.WORKER).count(), Heartbeat.objects.filter(role=Role.CLOCK).count()]


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
    assert answer.headers["content-disposition"] == f'attachment; filename="{attachment["name"]}"'
    return answer.content


def assert_kept_in(installation: Installation, service: Service, api: Api, case_id: str, file: dict[str, Any]) -> None:
    """The file lies where this installation keeps its files, and there only; nobody reads it without a link."""
    link = api.call("GET", f"/cases/{case_id}/attachments/{file['attachmentId']}")["downloadUrl"]
    name = str(Attachment.objects.get(pk=file["attachmentId"]).file.name)
    if installation.files == "files":
        assert link.startswith(api.base)
        assert (service.var_dir / "media" / name).is_file()
        return
    bucket = f"{service.environment['AWS_S3_ENDPOINT_URL']}/{service.environment['AWS_STORAGE_BUCKET_NAME']}"
    assert link.startswith(f"{bucket}/{name}?")
    assert "&X-Amz-Signature=" in link
    assert requests.get(link.partition("?")[0], timeout=20).status_code == 403
    assert [path for path in service.var_dir.rglob("*") if path.name == name.rpartition("/")[2]] == []


def assert_rung_by(installation: Installation, service: Service) -> None:
    """The wake-ups have gone through this installation's broker, and through no other one."""
    assert "can't look for due rows" not in service.log("clock"), service.log("clock")[-3000:]
    assert "the broker" not in service.log("web") + service.log("worker")
    if installation.broker != "orm":
        assert OrmQ.objects.count() == 0
    if installation.broker == "redis":
        with closing(redis.from_url(service.environment["Q_BROKER"])) as client:
            statistics: Any = client.info("commandstats")
            assert statistics["cmdstat_rpush"]["calls"] > 0
            wait_for("the queue to be empty", lambda: client.llen("django_q:offload:q") == 0)
    if installation.broker == "sqs":
        queues = servers.sqs_client(service.environment["SQS_ENDPOINT_URL"])
        url = queues.get_queue_url(QueueName="offload")["QueueUrl"]
        numbers = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        wait_for(
            "every wake-up to be acknowledged",
            lambda: (
                set(queues.get_queue_attributes(QueueUrl=url, AttributeNames=numbers)["Attributes"].values()) == {"0"}
            ),
        )


@pytest.mark.parametrize(
    "installation",
    [pytest.param(it, marks=marks(it), id=f"{it.database}-{it.broker}-{it.files}-{it.of_each}") for it in MACHINES],
    indirect=True,
)
def test_a_case_from_post_to_result(service: Service, installation: Installation, api: Api, receiver: Receiver) -> None:
    others = [api.call("POST", "/cases", demo.CASE, expect=201)["caseId"] for _ in range(8)]
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

    assert_kept_in(installation, service, api, case_id, attachment)
    wait_for("the other cases to run", lambda: outreach_is_sent([uuid.UUID(pk) for pk in others]))
    assert mails([uuid.UUID(pk) for pk in others]) == [1] * 8
    assert set(Case.objects.values_list("failures", "lost_leases")) == {(0, 0)}
    assert set(Delivery.objects.values_list("state", "attempt_count")) == {(DeliveryState.DELIVERED, 1)}
    assert len(receiver.events) == 2
    assert_rung_by(installation, service)
    service.stop()


@pytest.mark.parametrize("transport", ["sandbox", pytest.param("email", marks=pytest.mark.long)])
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
