"""What a fork has of its parent, and what not. The children write down what they see; only the parent judges it."""

import gc
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from cases import database, forks
from cases.forks import Fork
from cases.supervisor import ProcessGroup


@pytest.fixture
def handlers() -> Iterator[None]:
    """Signal handlers as a supervisor has them."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    yield
    signal.signal(signal.SIGTERM, before)


def test_a_fork_leads_a_session_and_has_no_input(tmp_path: Path, handlers: None) -> None:
    def look() -> None:
        seen = {
            "session": os.getsid(0),
            "group": os.getpgrp(),
            "input": os.read(0, 1).decode(),
            "handles_sigterm": signal.getsignal(signal.SIGTERM) != signal.SIG_DFL,
        }
        (tmp_path / "seen").write_text(json.dumps(seen))

    fork = Fork(look)
    assert os.getpgid(fork.pid) == fork.pid  # from the moment that we know of it, so that it can be killed as a group
    assert fork.wait(10) == 0
    seen = json.loads((tmp_path / "seen").read_text())
    assert seen == {"session": fork.pid, "group": fork.pid, "input": "", "handles_sigterm": False}


def test_a_fork_returns_to_nobody_and_says_how_it_ended() -> None:
    def fail() -> None:
        raise ValueError("on purpose")

    fork = Fork(fail)
    assert fork.wait(10) == fork.poll() == fork.returncode == 1
    fork.send_signal(signal.SIGTERM)  # nobody is there, and nobody else is told


def test_a_fork_is_waited_for_only_so_long_and_can_be_stopped() -> None:
    fork = Fork(lambda: time.sleep(600))
    assert fork.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        fork.wait(0.1)
    fork.send_signal(signal.SIGTERM)
    assert fork.wait(10) == -signal.SIGTERM


def test_a_fork_that_somebody_else_has_reaped_has_ended() -> None:
    fork = Fork(lambda: None)
    os.waitpid(fork.pid, 0)
    assert fork.poll() == 0


def test_a_group_may_be_a_fork(tmp_path: Path) -> None:
    group = ProcessGroup(lambda: time.sleep(600))
    assert group.members() == [group.id]
    group.stop(seconds=5)
    assert group.leader.returncode == -signal.SIGTERM
    assert group.members() == []


@pytest.mark.django_db
def test_a_fork_does_not_use_its_parents_connection(tmp_path: Path) -> None:
    connection.ensure_connection()
    ours = connection.connection

    def look() -> None:
        (tmp_path / "seen").write_text(str(connection.connection))

    fork = Fork(look)
    assert fork.wait(10) == 0
    assert (tmp_path / "seen").read_text() == "None"
    assert connection.connection is ours


def test_shared_memory_is_left_alone_by_the_garbage_collector() -> None:
    before = gc.get_freeze_count()
    forks.share_memory()
    try:
        assert gc.get_freeze_count() > before + 10_000
    finally:
        gc.unfreeze()


def test_a_worker_waits_longer_for_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    pool: dict[str, Any] = {"max_size": 40, "timeout": 10}
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "pool", pool)
    database.wait_for_connections(30.0)
    assert pool == {"max_size": 40, "timeout": 30.0}


def test_without_a_pool_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(connection.settings_dict["OPTIONS"], "pool", raising=False)
    database.wait_for_connections(30.0)
    assert "pool" not in connection.settings_dict["OPTIONS"]


def test_the_models_sdk_is_shared_only_where_there_is_a_model() -> None:
    assert not settings.OFFLOAD_MODEL
    assert settings.OFFLOAD_SHARED_MODULES == ["outreach.tasks", "webhooks.tasks", "django_q.cluster"]
