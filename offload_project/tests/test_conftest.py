"""The tests' own guard rails hold."""

import os
import socket
import sys
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection

import conftest
from conftest import NetworkRefused, require
from scripts import with_postgres


@pytest.mark.parametrize("host", ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1"])
def test_a_connection_beyond_loopback_is_refused(host: str, network_refusals: list[str]) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as tcp, pytest.raises(NetworkRefused):
        tcp.connect((host, 80))
    with socket.socket(family, socket.SOCK_DGRAM) as udp, pytest.raises(NetworkRefused):
        udp.sendto(b"?", (host, 53))
    assert network_refusals == [host, host]
    network_refusals.clear()


def test_a_name_is_not_looked_up(network_refusals: list[str]) -> None:
    with pytest.raises(NetworkRefused):
        socket.create_connection(("example.com", 443), timeout=1)
    network_refusals.clear()


@pytest.mark.parametrize(
    ("text", "left_out_of"),
    [
        ("def test_a(): ...\n", ["engine and not long", "long"]),
        ("@pytest.mark.engine\ndef test_a(): ...\n", ["long"]),
        ("pytestmark = pytest.mark.long\n", ["engine and not long", "not long"]),
        ('a = pytest.param("a", marks=pytest.mark.long)\n', ["engine and not long"]),
        ("pytestmark = [pytest.mark.engine, pytest.mark.django_db]\n", ["long"]),
    ],
)
def test_a_file_is_left_unread_only_where_it_has_nothing_to_run(
    text: str, left_out_of: list[str], tmp_path: Path, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "test_some.py"
    file.write_text(text)
    ignored = []
    for expression in ("", "engine", "engine and not long", "long", "not long"):
        monkeypatch.setattr(pytestconfig.option, "markexpr", expression)
        if conftest.pytest_ignore_collect(file, pytestconfig):
            ignored.append(expression)
    assert [expression for expression in ignored if expression != "engine"] == left_out_of
    assert ("engine" in ignored) == ("mark.engine" not in text)


def test_loopback_is_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(("localhost", server.getsockname()[1]), timeout=5).close()


def test_files_go_to_a_directory_of_the_test(media_root: Path) -> None:
    assert default_storage.path(default_storage.save("a", ContentFile(b"a"))) == str(media_root / "a")


def test_a_missing_component_fails_where_all_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(conftest.COMPONENTS, "unicorn", (lambda: None, "catch one"))
    monkeypatch.delenv("OFFLOAD_REQUIRE_COMPONENTS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="needs unicorn: catch one"):
        require("unicorn")
    monkeypatch.setenv("OFFLOAD_REQUIRE_COMPONENTS", "1")
    with pytest.raises(pytest.fail.Exception, match="needs unicorn: catch one"):
        require("unicorn")


@pytest.mark.django_db
def test_sqlite_is_a_file_with_a_log_that_readers_and_writers_share() -> None:
    if connection.vendor != "sqlite":
        pytest.skip("DATABASE_URL names another database")
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode")
        assert cursor.fetchone() == ("wal",)


def test_a_given_server_is_used_and_the_status_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_DATABASE_URL", "postgres://given")
    program = (
        "import os, sys; sys.exit(os.environ['DATABASE_URL'] == os.environ['TEST_DATABASE_URL'] == 'postgres://given')"
    )
    assert with_postgres.main([sys.executable, "-c", program]) == 1
    assert os.environ.get("DATABASE_URL") != "postgres://given"
