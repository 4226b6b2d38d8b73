import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite("offload_project.tests.browser")

from offload_project.tests.browser import chromium, page  # noqa: E402, F401 (fixtures)
from offload_project.tests.processes import Service, copy_of, installed, new_postgres_database  # noqa: E402
from offload_project.tests.steps import RecordingTransport  # noqa: E402
from outreach import transports  # noqa: E402


@pytest.fixture
def transport(monkeypatch: pytest.MonkeyPatch) -> RecordingTransport:
    recording = RecordingTransport()
    monkeypatch.setitem(transports.TRANSPORTS, "sandbox", lambda: recording)
    return recording


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to be copied."""
    folder = tmp_path_factory.mktemp("template")
    file = folder / "offload.sqlite3"
    Service(folder, {**os.environ, "DATABASE_URL": f"sqlite:///{file}"}).manage("migrate", "--skip-checks", "-v0")
    assert [path.name for path in folder.iterdir()] == [file.name], "nothing is left in a write-ahead log"
    return file


@pytest.fixture
def on_sqlite(tmp_path: Path, sqlite_template: Path, django_db_blocker: Any) -> Iterator[Service]:
    """A service on an SQLite file, with the times of production."""
    with installed(copy_of(sqlite_template, tmp_path), tmp_path, django_db_blocker) as service:
        yield service


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str) -> Iterator[str]:
    """The name of a migrated PostgreSQL database to be copied."""
    with new_postgres_database(postgres_url) as (name, url):
        Service(Path(), {**os.environ, "DATABASE_URL": url}).manage("migrate", "--skip-checks", "-v0")
        yield name
