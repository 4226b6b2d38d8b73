"""deploy/: dashboard, alerts and docs speak of the figures that the service exports, and of no others."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cases import metrics
from offload_project import (
    metrics as door,
)
from offload_project import (
    tracing,  # noqa: F401 (defines what is exported)
)

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "deploy" / "grafana" / "offload.json"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
DOCS = ROOT / "docs" / "observability.md"
NAME = re.compile(r"\boffload_\w+")
SELECTOR = re.compile(r"\b(offload_\w+)\{([^}]*)\}")
GROUPING = re.compile(r"\bby \(([^)]*)\)")
LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")


def labels_of() -> dict[str, set[str]]:
    """Every name that can be asked for, with its labels."""
    known = {name: set[str]() for name in door.GAUGES}
    for kinds in ("offload_due_rows", "offload_oldest_due_age_seconds", "offload_in_flight_rows"):
        known[kinds] = {"kind"}
    for roles in ("offload_processes_alive", "offload_heartbeat_age_seconds"):
        known[roles] = {"role"}
    known["offload_provider_open"] = {"provider"}
    for name, metric in metrics.defined.items():
        labels = set(metric._labelnames)
        if name.endswith("_total"):
            known[name] = labels
        else:
            known |= {f"{name}_{part}": labels for part in ("sum", "count")}
            known[f"{name}_bucket"] = {*labels, "le"}
    return known


def faults(expression: str) -> list[str]:
    """What the expression names that the service does not export."""
    known, found = labels_of(), []
    names = set(NAME.findall(expression))
    found += [name for name in sorted(names) if name not in known]
    for name, selector in SELECTOR.findall(expression):
        unquoted = re.sub(r'"[^"]*"', '""', selector)
        allowed = {*known.get(name, ()), "job"}
        found += [f"{name}.{label}" for label in LABEL.findall(unquoted) if label not in allowed]
    for group in GROUPING.findall(expression):
        allowed = set.union(set(), *(known.get(name, set()) for name in names))
        found += [label.strip() for label in group.split(",") if label.strip() not in allowed]
    return found


def dashboard() -> Any:
    return json.loads(DASHBOARD.read_text())


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def expressions() -> Iterator[tuple[str, str]]:
    for panel in dashboard()["panels"]:
        yield from ((panel["title"], target["expr"]) for target in panel.get("targets", []))
    yield from ((rule["alert"], rule["expr"]) for rule in rules())


def test_every_expression_names_only_what_is_exported() -> None:
    found = list(expressions())
    assert len(found) > 35
    assert [(title, faults(expression)) for title, expression in found if faults(expression)] == []
    assert all(NAME.search(expression) for _, expression in found)


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        ("max(offload_no_such)", ["offload_no_such"]),
        ("rate(offload_step_seconds[5m])", ["offload_step_seconds"]),  # a histogram has no such series
        ('offload_due_rows{client="x"}', ["offload_due_rows.client"]),
        ("sum by (le, transport) (offload_step_seconds_bucket)", ["transport"]),
        ('offload_due_rows{kind="a=b",job=~"x"}', []),
    ],
)
def test_a_wrong_expression_is_found(expression: str, wrong: list[str]) -> None:
    assert faults(expression) == wrong


def test_the_dashboard_can_be_imported() -> None:
    board = dashboard()
    panels = board["panels"]
    assert (board["uid"], board["schemaVersion"]) == ("offload", 39)
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert {variable["name"] for variable in board["templating"]["list"]} == {"datasource", "job"}
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(places)
    for panel in panels:
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert panel["targets"]


def test_every_figure_is_shown_or_alerted_on_or_known_to_be_neither() -> None:
    named = {name for _, expression in expressions() for name in NAME.findall(expression)}
    bases = {name for name in (*metrics.defined, *door.GAUGES) if not any(one.startswith(name) for one in named)}
    assert bases == {"offload_heartbeat_age_seconds"}  # what offload_processes_alive says in one word


def test_alerts_say_what_to_do() -> None:
    for rule in rules():
        assert rule["alert"].startswith("Offload")
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert set(rule["annotations"]) == {"summary", "description"}
    assert len({rule["alert"] for rule in rules()}) == len(rules())


def test_promtool_finds_no_fault_and_the_alerts_go_off_when_they_should() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool (Debian: in the package prometheus); the tests above read the files without it")
    for command in (["check", "rules", "alerts.yml"], ["check", "config", "prometheus.yml"]):
        subprocess.run([promtool, *command], cwd=ALERTS.parent, check=True, timeout=60)
    subprocess.run([promtool, "test", "rules", "alerts_test.yml"], cwd=ALERTS.parent, check=True, timeout=60)


def test_every_figure_is_described_with_its_labels() -> None:
    described = {}
    for line in DOCS.read_text().splitlines():
        if match := re.match(r"\| `(offload_\w+)` \| (\w+) \| ([^|]*) \|", line):
            described[match[1]] = (match[2], set(re.findall(r"`(\w+)`", match[3])))
    known = labels_of()
    expected = {name: ("gauge", known[name]) for name in door.GAUGES}
    for name, metric in metrics.defined.items():
        expected[name] = ("counter" if name.endswith("_total") else "histogram", set(metric._labelnames))
    assert described == expected


def test_every_alert_is_described() -> None:
    text = DOCS.read_text()
    assert [rule["alert"] for rule in rules() if f"`{rule['alert']}`" not in text] == []
