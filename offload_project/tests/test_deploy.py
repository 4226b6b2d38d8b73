"""What lies in deploy/: its names are those that the service reads, and its commands are those that it has."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands

from conftest import require
from offload_project.tests.processes import ROOT
from offload_project.tests.test_settings import PRODUCTION, run
from scripts import image

DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
OF_BOTO = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
OF_COMPOSE = {"OFFLOAD_HOST", "FILES_HOST", "POSTGRES_PASSWORD"}


def names_that_are_read() -> set[str]:
    """The variables of the settings module, of boto3 and of the line that starts the web server."""
    settings = (ROOT / "offload_project" / "settings.py").read_text()
    of_web = re.findall(r"\$\{(\w+):-", (ROOT / "Procfile").read_text())
    return set(re.findall(r'"([A-Z][A-Z0-9_]+)"', settings)) | set(of_web) | OF_BOTO


def example() -> dict[str, bool]:
    """The variables of the example, and whether each has to be set."""
    text = (DEPLOY / "offload.env.example").read_text()
    return {name: not hidden for hidden, name in re.findall(r"^(#?)([A-Z][A-Z0-9_]+)=", text, re.MULTILINE)}


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return loaded


def of_offload() -> dict[str, Any]:
    services = compose()["services"]
    return {name: service for name, service in services.items() if service["image"].startswith("offload:")}


def options(command: str) -> str:
    """What granian is told, without the places that differ."""
    told = command.partition("granian ")[2]
    return re.sub(r"--(host|port|workers|backpressure) \S+ ", "", told).strip(' "]')


def test_the_example_names_what_is_read() -> None:
    names = example()
    assert set(names) - OF_COMPOSE <= names_that_are_read()
    assert {name for name, is_set in names.items() if is_set} == {
        "SECRET_KEY",
        "OFFLOAD_ENCRYPTION_KEYS",
        *OF_COMPOSE,
        *OF_BOTO,
    }


def test_compose_sets_what_is_read_and_asks_for_what_the_example_names() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    assert set(re.findall(r"\$\{(\w+)", text)) - {"OFFLOAD_VERSION"} <= set(example())
    for name, service in of_offload().items():
        assert set(service["environment"]) <= names_that_are_read(), name
        assert set(PRODUCTION) - {"SECRET_KEY"} <= set(service["environment"]), name
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name
    assert set(of_offload()) == {"migrate", "web", "worker", "clock"}


def test_every_process_is_there_and_waits_for_the_migration() -> None:
    services = compose()["services"]
    for role in ("web", "worker", "clock"):
        assert services[role]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    for role in ("migrate", "worker", "clock"):
        python, manage, command, *_ = services[role]["command"]
        assert (python, manage) == ("python", "manage.py")
        assert command in get_commands()
    known = set(services)
    for service in services.values():
        assert set(service.get("depends_on", {})) <= known
        volumes = [volume.partition(":")[0] for volume in service.get("volumes", [])]
        assert set(volumes) <= set(compose()["volumes"])


def test_the_compose_settings_are_those_of_a_safe_deployment(tmp_path: Path) -> None:
    given = {**PRODUCTION, "OFFLOAD_HOST": "offload.example.com", "FILES_HOST": "f.example.com"}
    given |= {"POSTGRES_PASSWORD": "p4ss", "OFFLOAD_STATIC_DIR": str(tmp_path / "static")}
    environment = {
        name: re.sub(r"\$\{(\w+)[^}]*\}", lambda found: given[found[1]], value)
        for name, value in compose()["services"]["web"]["environment"].items()
    }
    keys = {"SECRET_KEY": PRODUCTION["SECRET_KEY"], **dict.fromkeys(OF_BOTO, "key")}
    process = run("manage.py", "check", "--deploy", "--fail-level", "WARNING", var=tmp_path, **{**environment, **keys})
    assert process.returncode == 0, process.stderr
    names = "s.Q_CLUSTER['broker_class'], s.STORAGES['default']['OPTIONS']['endpoint_url'], s.SECURE_PROXY_SSL_HEADER"
    read = run("-c", f"import offload_project.settings as s; print({names})", var=tmp_path, **{**environment, **keys})
    assert read.stdout.split("\n")[0] == (
        "cases.brokers.RedisBroker https://f.example.com ('HTTP_X_FORWARDED_PROTO', 'https')"
    )


@pytest.mark.long
def test_static_files_are_collected_by_the_step_of_the_image(tmp_path: Path) -> None:
    [step] = [step for step in image.build_steps() if "collectstatic" in step]
    words = dict(word.split("=", 1) for word in step.split() if "=" in word)
    words |= {"OFFLOAD_STATIC_DIR": str(tmp_path / "static")}
    del words["OFFLOAD_VAR_DIR"]
    process = run("manage.py", "collectstatic", "--noinput", "-v0", var=tmp_path, **words)
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "static" / "staticfiles.json").is_file()
    assert list((tmp_path / "static" / "cases").glob("staff.*.css"))


def test_all_start_the_web_server_alike() -> None:
    [procfile] = [line for line in (ROOT / "Procfile").read_text().splitlines() if line.startswith("web:")]
    unit = (DEPLOY / "systemd" / "offload-web.service").read_text()
    [started] = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    assert options(" ".join(image.served_by())) == options(procfile) == options(started) != ""


@pytest.mark.parametrize(
    ("path", "is_left_out"),
    [
        ("cases/work.py", False),
        ("cases/tests/test_work.py", True),
        ("deploy/healthcheck.py", False),
        ("deploy/compose.yaml", True),
        (".ci/run", True),
        ("templates/admin/.hidden.html", False),
        ("requirements-dev.lock", True),
        ("requirements.lock", False),
        ("docs/api.md", True),
    ],
)
def test_the_image_gets_the_service_and_nothing_else(path: str, is_left_out: bool) -> None:
    patterns = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert image.is_left_out(path, patterns) == is_left_out


def test_no_secret_is_in_an_example() -> None:
    text = "".join(path.read_text() for path in DEPLOY.rglob("*") if path.is_file())
    for name in ("SECRET_KEY", "OFFLOAD_ENCRYPTION_KEYS", "POSTGRES_PASSWORD", "AWS_SECRET_ACCESS_KEY"):
        assert re.findall(rf"^{name}=(.+)$", text, re.MULTILINE) == [], name


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_whole_and_hardened(unit: Path, tmp_path: Path) -> None:
    analyze = require("systemd")
    (tmp_path / unit.name).write_text(re.sub(r"/opt/offload/\.venv/bin/\w+", "/bin/true", unit.read_text()))
    command = [analyze, "verify", "--man=no", str(tmp_path / unit.name)]
    verified = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    assert (verified.returncode, [line for line in verified.stderr.splitlines() if unit.name in line]) == (0, [])
    command = [analyze, "security", "--offline=true", "--threshold=20", str(unit)]
    judged = subprocess.run(command, capture_output=True, text=True)
    assert judged.returncode == 0, judged.stdout[-500:]  # an exposure of at most 2.0 of 10


def test_there_is_a_unit_for_each_process() -> None:
    assert [unit.name for unit in UNITS] == ["offload-clock.service", "offload-web.service", "offload-worker.service"]
    names = names_that_are_read() | {"PYTHONUNBUFFERED"}
    for unit in UNITS:
        environment = " ".join(re.findall(r"^Environment=(.*)$", unit.read_text(), re.MULTILINE))
        assert {word.partition("=")[0] for word in environment.split()} <= names
