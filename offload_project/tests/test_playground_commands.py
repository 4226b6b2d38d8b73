"""The commands that the playground shows, run as they stand there: by bash, against a server, with a real test key."""

import html
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.test import Client as Browser
from pytest_django.live_server_helper import LiveServer

from cases.factories import ApiKeyFactory
from cases.models import Case, Status
from cases.testing import run_due
from cases.tests.staff import staff
from outreach.models import InboundPayload

PLAY = "/admin/outreach/sandboxmail/play/"


@pytest.fixture
def key(transactional_db: None) -> Any:
    return ApiKeyFactory(is_test=True)


@pytest.fixture
def player(key: Any) -> Browser:
    return staff("view_case", "change_case")


@pytest.fixture
def shell(live_server: LiveServer, key: Any, tmp_path: Path) -> Any:
    """Runs a command in a directory with some files; gives the status codes of its answers."""

    def run(command: str) -> list[int]:
        home = {"URL": live_server.url, "KEY": key.key, "PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        (tmp_path / ".curlrc").write_text('write-out = "\\n%{http_code}\\n"\n')  # the command itself stays as it is
        done = subprocess.run(["bash", "-c", command], env=home, cwd=tmp_path, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), command
        return [int(code) for code in re.findall(r"^(\d{3})$", done.stdout, re.MULTILINE)]

    return run


def commands(page: str) -> dict[str, str]:
    """What a browser would copy, by the id of its place."""
    found = re.findall(r'<pre id="(curl-[a-z-]+)"[^>]*>(.*?)</pre>', page, re.DOTALL)
    return {name: html.unescape(re.sub(r"<[^>]+>", "", text)) for name, text in found}


def preview(player: Browser, case: Case, step: str, **data: Any) -> str:
    shown = player.post(f"{PLAY}{case.pk}/{step}/curl/", data).content.decode()
    return html.unescape(re.sub(r"<[^>]+>", "", shown))


def new_case(player: Browser, shell: Any) -> Case:
    assert shell(commands(player.get(PLAY).content.decode())["curl-new"]) == [201]
    run_due()
    case: Case = Case.objects.get()
    return case


def test_a_case_is_played_with_the_commands_alone(player: Browser, shell: Any) -> None:
    case = new_case(player, shell)

    def shown() -> dict[str, str]:
        return commands(player.get(f"{PLAY}{case.pk}/").content.decode())

    page = shown()
    assert (shell(page["curl-mails"]), shell(page["curl-case"])) == ([200], [200])
    assert shell(page["curl-next"]) == [200]
    run_due()
    assert case.messages.filter(direction="OUT").count() == 2  # the follow-up
    assert shell(preview(player, case, "reply", text="Do you need it on paper?", quoting="on")) == [202]
    run_due()
    case.refresh_from_db()
    assert case.status == Status.INPUT_NEEDED
    assert shell(shown()["curl-answer"]) == [202]
    run_due()
    assert shell(shown()["curl-reply"]) == [202]
    run_due()
    case.refresh_from_db()
    assert case.status == Status.COMPLETED


@pytest.mark.parametrize("step", ["out-of-office", "bounce", "complaint", "advance"])
def test_each_step_works_as_it_is_shown_first(player: Browser, shell: Any, step: str) -> None:
    case = new_case(player, shell)
    command = commands(player.get(f"{PLAY}{case.pk}/").content.decode())[f"curl-{step}"]
    assert shell(command) == [200 if step == "advance" else 202]
    assert InboundPayload.objects.count() == (0 if step == "advance" else 1)


AWKWARD = "It's \"12\" & `13`\n$HOME \\n @file 'quoted' ünïcode <b>! %{http_code} 100%"


@pytest.mark.parametrize("text", [AWKWARD, "@invoice.pdf", "a -- b\n;'", "<script>"])
@pytest.mark.parametrize("quoting", [{}, {"quoting": "on"}])
def test_any_text_arrives_as_it_was_typed(player: Browser, shell: Any, text: str, quoting: Any) -> None:
    case = new_case(player, shell)
    assert shell(preview(player, case, "reply", text=text, **quoting)) == [202]
    by_command = InboundPayload.objects.get()
    player.post(f"{PLAY}{case.pk}/reply/", {"text": text, **quoting})
    by_hand = InboundPayload.objects.exclude(pk=by_command.pk).get()
    run_due()
    by_command.refresh_from_db()
    by_hand.refresh_from_db()
    assert by_command.message is not None
    assert by_hand.message is not None
    assert by_command.message.text == by_hand.message.text
    said = by_command.message.full_text or by_command.message.text  # HTML alone has no text as it came
    assert text.split("\n")[0] in said


def test_files_with_awkward_names_are_sent_twice(player: Browser, shell: Any, tmp_path: Path) -> None:
    names = ["a b.pdf", "c,d;e.pdf", "it's.pdf", "ü.pdf", "$HOME.pdf"]
    for name in names:
        (tmp_path / name).write_bytes(b"%PDF-1.4")
    case = new_case(player, shell)
    command = preview(player, case, "reply", text=AWKWARD, quoting="on", twice="on", file_names="/".join(names))
    assert shell(command) == [202, 202]
    run_due()
    for message in case.messages.filter(direction="IN"):
        assert sorted(file.name for file in message.attachments.all()) == sorted(names)
        assert message.full_text.startswith("It's \"12\" & `13`\n$HOME \\n @file 'quoted' ünïcode <b>!")
