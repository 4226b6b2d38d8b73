"""A little of `make attack`, so that it is known to work, and to find something when there is something."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from scripts import attack
from scripts.attack import Outcome, Target


@pytest.fixture(scope="module")
def attacked() -> Iterator[Target]:
    with attack.target() as running:
        yield running


@pytest.mark.parametrize(
    "name", ["headers", *(pytest.param(name, marks=pytest.mark.long) for name in ("keys", "oversize"))]
)
def test_an_attack_has_tried_much_and_found_nothing(attacked: Target, name: str) -> None:
    outcome = attack.attacks(at_least=20)[name](attacked)
    assert outcome.findings == []
    assert outcome.tried >= 30


def test_what_must_not_be_is_found() -> None:
    outcome = Outcome()
    mail = b"From: a@b.example\r\nTo: ann@supplier.example, eve@evil.example\r\nBcc: x@y.example\r\n\r\nHello"
    attack._look_at(outcome, mail)
    assert (outcome.tried, len(outcome.findings)) == (3, 2)


def test_a_server_that_lets_everybody_in_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    attacked = Target("http://nowhere.example", tmp_path, {})
    everything = requests.Response()
    everything.status_code, everything._content = 200, attack.MARKER.encode()
    case_id = {"caseId": "0"}

    def call(method: str, path: str, key: str | None = None, **options: object) -> requests.Response:
        return everything

    monkeypatch.setattr(attacked, "call", call)
    monkeypatch.setattr(attacked, "key", lambda *_: "offload_test_x")
    monkeypatch.setattr("scripts.demo.manage", lambda *_: "")
    monkeypatch.setattr(attack, "_operations", lambda _: [("GET", "/cases/{case_id}")])
    everything.json = lambda **_: {"data": {**case_id, "status": "RUNNING"}}  # type: ignore[method-assign]
    outcome = attack.keys(attacked)
    assert len(outcome.findings) == 2 * 5
