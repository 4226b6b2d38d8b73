"""Whatever the service writes on a timeline, staff read in words."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from cases.admin.lines import FILTERS, KINDS
from cases.admin.words import EVENTS

ROOT = Path(__file__).parents[2]
ROOMS = ("cases", "outreach", "webhooks", "offload_project")
TYPE = re.compile(r"[a-z]+\.[a-z_]+")  # and "verdict", which stands in its call
FILE_NAMES = re.compile(r".*\.(?:py|md|txt|json|eml|html|toml|invalid|example)")


def recorded(tree: ast.AST) -> Iterator[str]:
    """The types of the events that a source records; where one is no literal, all that could be one in that source."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "record"):
            continue
        given = [*node.args[1:2], *(word.value for word in node.keywords if word.arg == "type")]
        for argument in given:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield argument.value
            else:
                yield from literals(tree)


def literals(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
        if TYPE.fullmatch(text) and not FILE_NAMES.fullmatch(text):
            yield text


def types_in_sources() -> dict[str, str]:
    """Each type, and a file that records it."""
    found = {}
    for path in (path for room in ROOMS for path in (ROOT / room).rglob("*.py") if "tests" not in path.parts):
        for type_ in recorded(ast.parse(path.read_text())):
            found[type_] = str(path.relative_to(ROOT))
    return found


def test_every_type_of_event_has_words() -> None:
    found = types_in_sources()
    assert {type_: path for type_, path in found.items() if type_ not in EVENTS} == {}
    assert {"case.completed", "mail.quarantined", "webhook.parked", "verdict", "time.skipped"} <= found.keys()
    assert {"mail.released", "case.draft_ready"} <= found.keys()  # those that are no literals in their call


# Of questions and of drafts; cases/claims.py puts the names together.
COMPOSED = {f"{item}.{act}" for item in ("question", "draft") for act in ("handed_over", "taken_over")}


def test_no_type_has_words_that_nothing_records() -> None:
    assert sorted(EVENTS.keys() - types_in_sources().keys() - COMPOSED) == []


def test_a_type_without_words_would_be_found() -> None:
    source = 'from cases.events import record\nrecord(case, "case.vanished", actor=actor)'
    assert [*recorded(ast.parse(source))] == ["case.vanished"]
    assert [*recorded(ast.parse('EVENT = "a.b"\nevents.record(case, EVENT)'))] == ["a.b"]


def test_every_kind_has_its_filter() -> None:
    assert set(KINDS.values()) < FILTERS.keys()
