"""Real processes are killed, and every case is advanced all the same, with one mail each."""

import os
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import pytest
import redis
from django.db.models import Max

from cases import services, work
from cases.factories import ApiKeyFactory
from cases.models import Case, Heartbeat, Role
from conftest import require
from offload_project.tests import processes
from offload_project.tests.processes import (
    SHORT,
    Service,
    installed,
    mails,
    members,
    new_postgres_database,
    outreach_is_sent,
    wait_for,
)
from outreach.models import SandboxMail
from scripts import demo, servers

pytestmark = pytest.mark.crash
WITHIN_SECONDS = 60.0


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "round_number" in metafunc.fixturenames:
        metafunc.parametrize("round_number", range(1, metafunc.config.getoption("--rounds") + 1))


@pytest.fixture
def service(postgres_url: str, postgres_template: str, tmp_path: Path, django_db_blocker: Any) -> Iterator[Service]:
    """A service on PostgreSQL with short times, not started yet."""
    with (
        new_postgres_database(postgres_url, postgres_template) as (_, url),
        installed(url, tmp_path, django_db_blocker, **SHORT) as service,
    ):
        yield service


def say(capsys: pytest.CaptureFixture[str], figure: str) -> None:
    """Show a measured figure among the test's output."""
    with capsys.disabled():
        sys.stdout.write(f"\n{figure}\n")


def assert_each_has_one_mail(service: Service, cases: list[Any], seconds: float = WITHIN_SECONDS) -> None:
    wait_for(lambda: outreach_is_sent(cases), seconds, f"every case is advanced\n{service.log()[-4000:]}")
    assert mails(cases) == [1] * len(cases)


# --- Killed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", ["before", pytest.param("after", marks=pytest.mark.long)])
def test_a_worker_that_is_killed_with_cases_in_hand(service: Service, point: str, round_number: int) -> None:
    service.start_all()
    service.hold(point)
    cases = service.post(5)
    wait_for(lambda: mails_under_way(cases) == 5, 20, f"the cases are held {point} their mail goes out")
    assert mails(cases) == [0 if point == "before" else 1] * 5
    for pid in service.held_by(point):
        os.kill(pid, signal.SIGKILL)
    service.let_go(point)
    assert_each_has_one_mail(service, cases)


def mails_under_way(cases: list[Any]) -> int:
    """How many of the cases have a mail whose send has begun and not ended."""
    begun = {"messages__status": "QUEUED", "messages__send_started_at__isnull": False}
    held = Case.objects.filter(pk__in=cases, lease_token__isnull=False, **begun).count()
    time.sleep(0.1)  # from the commit to the transport
    return held


def kill_idle_worker(service: Service) -> None:
    os.kill(service.processes("worker")[0], signal.SIGKILL)


def kill_all_workers(service: Service) -> None:
    for pid in service.processes("worker"):
        os.kill(pid, signal.SIGKILL)


def kill_monitor(service: Service) -> None:
    os.kill(service.processes("monitor")[-1], signal.SIGKILL)


def kill_pusher(service: Service) -> None:
    os.kill(service.processes("pusher")[-1], signal.SIGKILL)


def kill_first_process(service: Service) -> None:
    os.kill(service.clusters()[-1], signal.SIGKILL)


def kill_cluster(service: Service) -> None:
    os.killpg(service.clusters()[-1], signal.SIGKILL)


KILLS = [kill_idle_worker, kill_monitor, kill_cluster]
MORE = [kill_all_workers, kill_pusher, kill_first_process]


@pytest.mark.parametrize("kill", [*KILLS, *(pytest.param(kill, marks=pytest.mark.long) for kill in MORE)])
def test_a_process_that_is_killed(service: Service, kill: Callable[[Service], None], round_number: int) -> None:
    service.start_all()
    before = service.post(2)
    assert_each_has_one_mail(service, before)
    kill(service)
    after = service.post(5)
    assert_each_has_one_mail(service, after)
    assert mails(before) == [1, 1]


@pytest.mark.long
def test_a_supervisor_that_is_killed_and_started_again(service: Service, round_number: int) -> None:
    supervisor = service.start_all()
    orphaned = service.clusters()[-1]
    os.kill(supervisor.id, signal.SIGKILL)
    wait_for(supervisor.has_exited, 5, "the supervisor is gone")
    cases = service.post(5)
    service.start("worker")
    assert_each_has_one_mail(service, cases)
    wait_for(lambda: not members(orphaned), 20, "the cluster without a supervisor ends by itself")


@pytest.mark.long
def test_a_cluster_whose_supervisor_is_killed_while_it_hangs(service: Service) -> None:
    supervisor = service.start_all()
    cluster = service.clusters()[-1]
    for pid in service.processes("worker"):
        os.kill(pid, signal.SIGSTOP)  # as good as a hang: no STOP is ever read
    os.kill(supervisor.id, signal.SIGKILL)
    wait_for(lambda: not members(cluster), 30, "it ends all the same")


@pytest.mark.long
def test_what_is_left_of_a_cluster_without_supervisor_and_first_process(service: Service) -> None:
    supervisor = service.start_all()
    cluster = service.clusters()[-1]
    os.kill(supervisor.id, signal.SIGKILL)
    os.kill(cluster, signal.SIGKILL)
    wait_for(lambda: not members(cluster), 20, "it ends by itself")


@pytest.mark.long
def test_a_broker_that_is_killed_and_started_again(service: Service, round_number: int) -> None:
    """What lay in Redis is gone with it, and meanwhile nobody can ring: the cluster looks for itself."""
    require("redis")
    port = servers.free_ports(1)[0]
    service.environment["Q_BROKER"] = f"redis://127.0.0.1:{port}/0"
    with servers.redis_server(port):
        service.start_all()
        assert_each_has_one_mail(service, service.post(3))
    assert_each_has_one_mail(service, service.post(5))
    assert "this cluster looks for due rows by itself" in service.log()
    with servers.redis_server(port) as url, closing(redis.from_url(url)) as client:
        info: Any = client.info
        wait_for(lambda: info("clients")["blocked_clients"] == 1, 20, "the cluster waits for wake-ups again")
        assert_each_has_one_mail(service, service.post(3))
        assert info("commandstats")["cmdstat_rpush"]["calls"] > 0
    assert len(service.clusters()) == 1  # none had to be replaced


# --- Hung and stopped -------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_cluster_that_hangs_is_replaced(service: Service) -> None:
    service.start_all()
    for pid in service.processes("worker"):
        os.kill(pid, signal.SIGSTOP)
    cases = service.post(3)
    service.wait_for_cluster(2)
    assert_each_has_one_mail(service, cases)
    assert not members(service.clusters()[0])


OUTLIVED = pytest.param(1.3 * float(SHORT["OFFLOAD_CLAIM_SECONDS"]), marks=pytest.mark.long)  # the pump that began it


@pytest.mark.parametrize("age", [0.0, OUTLIVED], ids=["young", "old"])
def test_a_worker_that_is_stopped_finishes_what_it_has_begun(service: Service, age: float) -> None:
    worker = service.start_all()
    service.hold("before")
    cases = service.post(3)
    wait_for(lambda: mails_under_way(cases) == 3, 20, "the cases are held")
    time.sleep(age)
    worker.leader.send_signal(signal.SIGTERM)
    time.sleep(1)
    late = service.post(1)
    assert not worker.has_exited()
    service.let_go("before")
    assert worker.leader.wait(15) == 0
    assert outreach_is_sent(cases)
    assert mails(cases) == [1] * 3
    assert mails(late) == [0]  # it claimed no more
    assert set(Case.objects.values_list("lease_token", "lost_leases")) == {(None, 0)}
    assert not Heartbeat.objects.filter(role=Role.WORKER).exists()
    assert service.clusters()
    assert not members(service.clusters()[-1])


# --- In time ----------------------------------------------------------------------------------------------------------


def lateness_of_follow_ups(cases: list[Any]) -> float:
    """Have a follow-up fall due for each of the cases within the next seconds; the longest wait for one, in seconds."""
    due = {}
    for number, pk in enumerate(cases):
        due[pk] = work.now() + timedelta(seconds=2 + 0.37 * number)
        services.wait_until(pk, due[pk], actor="staff ann")
    sent = SandboxMail.objects.filter(case__in=cases)
    wait_for(lambda: sent.count() == 2 * len(cases), 30, "every follow-up is sent")
    last = dict(sent.values_list("case").annotate(Max("delivered_at")))
    early = [pk for pk in cases if last[pk] < due[pk]]
    assert early == []
    lateness: list[float] = [(last[pk] - due[pk]).total_seconds() for pk in cases]
    return max(lateness)


def test_a_follow_up_starts_within_three_seconds(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    service.environment |= {"OFFLOAD_WORKERS": "1"}
    service.start_all()
    measured = []
    for _ in range(2):  # a machine that was busy otherwise gets another chance
        cases = service.post(6)
        assert_each_has_one_mail(service, cases)
        measured.append(lateness_of_follow_ups(cases))
        if measured[-1] <= 3.0:
            break
    say(capsys, f"follow-ups were sent at most {measured[-1]:.2f} s after their due time")
    assert measured[-1] <= 3.0


@pytest.mark.parametrize("many", [100, pytest.param(500, marks=pytest.mark.long)])
def test_hundreds_of_cases_at_once_on_sqlite(on_sqlite: Service, many: int, capsys: pytest.CaptureFixture[str]) -> None:
    base = on_sqlite.start_web()
    on_sqlite.start_all()
    key, tickets, cases = ApiKeyFactory(is_test=True).key, SimpleQueue[int](), []
    for number in range(many):
        tickets.put(number)

    def post_some() -> None:
        with closing(demo.Api(base, key)) as api, suppress(Empty):
            while True:
                body = {**demo.CASE, "clientReferenceId": str(tickets.get_nowait())}
                cases.append(uuid.UUID(api.call("POST", "/cases", body, expect=201)["caseId"]))

    began_at = time.monotonic()
    processes.in_threads(20, post_some)
    posted_at = time.monotonic()
    assert len(cases) == len(set(cases)) == Case.objects.count() == many
    assert set(Case.objects.values_list("client_reference_id", flat=True)) == {str(number) for number in range(many)}
    assert_each_has_one_mail(on_sqlite, cases, 120)
    sent_at = time.monotonic()
    say(
        capsys,
        f"{many} cases on SQLite: posted over HTTP in {posted_at - began_at:.1f} s, "
        f"all sent in {sent_at - began_at:.1f} s",
    )
    assert SandboxMail.objects.count() == many
    assert not Case.objects.filter(failures__gt=0).exists()
