"""/healthz asks nothing of anybody; /readyz names what is missing."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from cases import database, work
from cases.factories import CaseFactory
from cases.models import Heartbeat
from offload_project import health


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    health.check_storage.good_until = 0.0


def heartbeat(*, finished: timedelta, busy: timedelta | None = None) -> Heartbeat:
    """A worker that finished a wake-up this long ago, and is busy for this much longer."""
    now = timezone.now()
    return Heartbeat.objects.create(
        name="desk:1", started_at=now - finished, finished_at=now - finished, busy_until=now + busy if busy else None
    )


def faults(client: Client) -> dict[str, str]:
    response = client.get("/readyz")
    assert response.status_code == 503
    error = response.json()["error"]
    assert error["code"] == "NOT_READY"
    return {detail["path"]: detail["message"] for detail in error["details"]}


def test_healthz_needs_no_database(client: Client) -> None:
    response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"ok": True, "data": {"status": "up"}})


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_only_read(client: Client, path: str) -> None:
    response = Client(enforce_csrf_checks=True).post(path)
    assert (response.status_code, response.json()["error"]["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert response["Allow"] == "GET, HEAD"


@pytest.mark.engine
@pytest.mark.django_db
def test_a_clock_is_no_worker(client: Client) -> None:
    heartbeat(finished=timedelta(seconds=1))
    Heartbeat.objects.update(role="clock")
    assert faults(client) == {"worker": "no heartbeat for 60 s"}


@pytest.mark.engine
@pytest.mark.django_db
def test_ready_with_a_worker_that_finished_lately(client: Client, media_root: Path) -> None:
    heartbeat(finished=timedelta(seconds=50))
    response = client.get("/readyz")
    checks = {"database": "up", "storage": "up", "worker": "up", "dueWork": "up"}
    assert (response.status_code, response.json()["data"]) == (200, {"status": "ready", "checks": checks})
    assert list(media_root.iterdir()) == []  # the probe leaves nothing behind


@pytest.mark.engine
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("finished", "busy", "ready"),
    [
        (timedelta(seconds=50), None, True),  # a slow test included
        (timedelta(seconds=61), None, False),
        (timedelta(hours=1), timedelta(seconds=5), True),
        (timedelta(hours=1), timedelta(seconds=-5), False),
    ],
)
def test_a_worker_is_there_when_it_finished_lately_or_is_busy(
    client: Client, finished: timedelta, busy: timedelta | None, ready: bool
) -> None:
    heartbeat(finished=finished, busy=busy)
    assert client.get("/readyz").status_code == (200 if ready else 503)


@pytest.mark.django_db
def test_not_ready_without_a_worker(client: Client) -> None:
    assert faults(client) == {"worker": "no heartbeat for 60 s"}


@pytest.mark.django_db
def test_a_storage_that_can_not_be_written_is_named_and_remembered(
    client: Client, media_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heartbeat(finished=timedelta(0))
    media_root.write_text("a file where the directory should be")
    assert faults(client) == {"storage": "can't be written"}
    media_root.unlink()
    assert faults(client) == {"storage": "can't be written"}  # asked again after half a minute only
    health.check_storage.good_until = 0.0
    assert client.get("/readyz").status_code == 200
    monkeypatch.setattr(default_storage, "save", lambda *args: pytest.fail("asked again at once"))
    assert client.get("/readyz").status_code == 200


@pytest.mark.django_db
def test_a_database_that_does_not_answer_is_named(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise OperationalError("no route to 10.1.2.3")

    monkeypatch.setattr(connection, "cursor", refuse)
    monkeypatch.setattr(connection, "chunked_cursor", refuse)
    assert faults(client) == {
        "database": "does not answer",
        "worker": "unknown: the database does not answer",
        "dueWork": "unknown: the database does not answer",
    }


@pytest.mark.engine
@pytest.mark.django_db
@pytest.mark.parametrize(("seconds", "ready"), [(290, True), (301, False)])
def test_work_that_nobody_takes_is_named_with_its_age(client: Client, seconds: int, ready: bool) -> None:
    heartbeat(finished=timedelta(0))
    CaseFactory(created_at=database.now() - timedelta(seconds=seconds))
    if ready:
        assert client.get("/readyz").status_code == 200
    else:
        assert faults(client)["dueWork"].startswith("a case has been due for 30")


@pytest.mark.django_db
def test_work_that_somebody_holds_is_not_left_lying(client: Client) -> None:
    heartbeat(finished=timedelta(0))
    CaseFactory(created_at=database.now() - timedelta(hours=1))
    assert list(faults(client)) == ["dueWork"]
    assert len(work.claim("case", 1)) == 1
    assert client.get("/readyz").status_code == 200


@pytest.mark.django_db
def test_how_long_work_may_wait_is_a_setting(client: Client, settings: Settings) -> None:
    heartbeat(finished=timedelta(0))
    CaseFactory(created_at=database.now() - timedelta(hours=1))
    settings.OFFLOAD_READY_OLDEST_DUE_SECONDS = 0
    assert client.get("/readyz").status_code == 200
    settings.OFFLOAD_READY_OLDEST_DUE_SECONDS = 3700
    assert client.get("/readyz").status_code == 200
    settings.OFFLOAD_READY_OLDEST_DUE_SECONDS = 3500
    assert list(faults(client)) == ["dueWork"]
