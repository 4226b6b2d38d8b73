"""Notices by a chat's incoming webhook, over real HTTP: what it gets, what stays secret, and what others can't do."""

import json
import logging
import re
import time
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.checks import run_checks
from django.test import Client
from pytest_django import Settings
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from cases import work
from cases.examination import Examination
from cases.factories import CaseFactory
from cases.models import Status
from outreach.checks import notices_can_be_sent
from outreach.doctor import staff_are_told
from outreach.models import NoticeState, StaffNotice
from outreach.staff_notices import chat, recipients
from outreach.staff_notices.recipients import Recipient
from outreach.tests.notices import ask, case_with, draft, let_pass, park, states, step, steps

pytestmark = pytest.mark.django_db
SECRET = "T0AAAA/B0BBBB/notForAnybodyElse"
PATH = f"/services/{SECRET}"


@pytest.fixture(autouse=True)
def channel(settings: Settings, httpserver: HTTPServer) -> str:
    """The URL of the one webhook that is told; nothing answers there yet."""
    url = httpserver.url_for(PATH)
    settings.OFFLOAD_STAFF_NOTICES = [url]
    settings.OFFLOAD_BASE_URL = "https://offload.example"
    return url


@pytest.fixture
def slack(httpserver: HTTPServer) -> HTTPServer:
    """Takes what Slack takes."""
    httpserver.expect_request(PATH, method="POST").respond_with_data("ok")
    return httpserver


def posted(server: HTTPServer) -> list[dict[str, Any]]:
    return [json.loads(request.get_data()) for request, _ in server.log]


def words(block: dict[str, Any]) -> str:
    return "\n".join(part["text"] for part in block.get("elements", [block.get("text", {"text": ""})]))


def parts_of(body: dict[str, Any]) -> list[str]:
    """Every text of the message."""
    return [body["text"], *map(words, body["blocks"])]


# --- What it gets ---------------------------------------------------------------------------------


def test_a_question_is_posted_with_all_that_is_needed_and_the_way_to_its_page(slack: HTTPServer) -> None:
    question = ask(case_with(client_reference_id="INV-7"), "May we pay 200 EUR?", options=["Yes", "No"])
    steps()
    link = f"https://offload.example/admin/cases/inputrequest/{question.pk}/change/"
    (body,) = posted(slack)
    assert body["text"] == (
        "A case needs an answer: Ann (Acme)\n> May we pay 200 EUR?\nWhy: They ask for it.\n"
        f"Possible answers: Yes | No\nAnswer it here: {link}"
    )
    assert [block["type"] for block in body["blocks"]] == ["section", "section", "section", "section", "context"]
    assert list(map(words, body["blocks"])) == [
        f"*A case needs an answer: Ann (Acme)*\n<{link}|Answer it here>",
        "May we pay 200 EUR?",
        "Why: They ask for it.",
        "Possible answers: Yes | No",
        "With: Ann &lt;ann@\u2060supplier.example&gt; · Client: Acme · Case: INV-7 (test) · "
        "Goal: Ask for the invoice of March. · waits for less than a minute",
    ]
    assert (body["unfurl_links"], body["unfurl_media"]) == (False, False)
    (request,) = [request for request, _ in slack.log]
    assert request.headers["Content-Type"] == "application/json"
    assert states() == ["SENT"]
    assert mail.outbox == []


def test_several_are_posted_as_one(slack: HTTPServer) -> None:
    question = ask(case_with("Ann"), options=["Yes", "No"])
    draft()
    park(case_with("Zoe", "Gamma"))
    steps()
    (body,) = posted(slack)
    link = f"https://offload.example/admin/cases/inputrequest/{question.pk}/change/"
    assert body["text"].splitlines()[1:3] == [
        "• Question: Ann (Acme), waits for less than a minute: May we pay 200 EUR? (Yes | No)",
        f"  {link}",
    ]
    assert list(map(words, body["blocks"]))[2:4] == [
        f"*Question: Ann (Acme)*, waits for less than a minute\n<{link}|Answer it here>",
        "May we pay 200 EUR?\nWhy: They ask for it.\nPossible answers: Yes | No",
    ]
    assert body["text"].splitlines()[0] == "1 question, 1 draft and 1 endpoint wait for you."
    assert re.findall(r"^• (\w+)", body["text"], re.MULTILINE) == ["Question", "Draft", "No"]
    assert body["text"].splitlines()[-1] == "All that is open: https://offload.example/admin/"
    assert [block["type"] for block in body["blocks"]] == ["section", *["divider", "section", "section"] * 3]


def test_a_mail_address_and_a_webhook_each_get_their_own(slack: HTTPServer, settings: Settings) -> None:
    settings.OFFLOAD_STAFF_NOTICES = ["desk@us.example", *settings.OFFLOAD_STAFF_NOTICES]
    ask()
    steps()
    assert ([sent.to for sent in mail.outbox], len(posted(slack))) == ([["desk@us.example"]], 1)


@pytest.mark.parametrize("number", [1, 120])
def test_no_message_is_longer_than_the_strictest_of_them_takes(number: int, slack: HTTPServer) -> None:
    for _ in range(number):
        ask(case_with("&" * 300, "<" * 200), "<&>\n" * 2000, options=["]" * 500] * 30)
    steps()
    (body,) = posted(slack)
    assert 0 < len(body["text"]) <= 2000  # Discord
    assert len(body["blocks"]) <= 50  # Slack, also the next one
    assert all(1 <= len(words(block)) <= 3000 for block in body["blocks"] if block["type"] != "divider")
    if number > 1:
        assert re.search(r"^… and \d+ more\.$", body["text"], re.MULTILINE)
        assert words(body["blocks"][-1]) == f"And {number - 15} more."


# --- What others can't do -------------------------------------------------------------------------

EVIL = [
    "<!channel> <!here|x> <@U123> <https://evil.example|Answer it here>",
    "@channel @here @all @everyone .@all -@all _@all_ ann@everyone",
    "[Answer it here](https://evil.example) ![](https://evil.example/x.png) [a][b]\n\n[b]: https://evil.example",
    "Yes?\nAnswer it here: https://evil.example\r\nAnswer it here: https://evil.example",
]


@pytest.mark.parametrize("text", EVIL)
@pytest.mark.parametrize("number", [1, 2])
def test_what_others_wrote_mentions_nobody_and_hides_no_link(text: str, number: int, slack: HTTPServer) -> None:
    for _ in range(number):
        case = CaseFactory(
            status=Status.RUNNING, client__name=text[:60], counterparty={"address": "a@b.example", "name": text}
        )
        ask(case, text, options=[text])
    steps()
    (body,) = posted(slack)
    for part in parts_of(body):
        ours = re.sub(r"<https://offload\.example/[^<>|]*\|[A-Za-z ]+>", "", part)
        assert not re.search(r"[<>]", re.sub(r"^> ", "", ours, flags=re.MULTILINE))
        assert "&" not in re.sub(r"&(amp|lt|gt);", "", ours)
        assert not re.search(r"@[a-z]", ours)
        assert not re.search(r"\][\[(:]", ours)
    rows = [row for row in body["text"].splitlines() if row.startswith("Answer it here")]
    assert all(row.startswith("Answer it here: https://offload.example/") for row in rows)


def test_words_are_cut_where_what_is_sent_would_be_too_long() -> None:
    assert chat.harmless("a<b", 6) == "a&lt;b"
    assert chat.harmless("a<b", 5) == "a…"
    assert chat.harmless("a<bc", 6) == "a&lt;…"


# --- What stays secret ----------------------------------------------------------------------------


def test_no_row_has_the_url(slack: HTTPServer, channel: str) -> None:
    ask()
    steps()
    notice = StaffNotice.objects.get()
    assert re.fullmatch(r"localhost:\d+ \([0-9a-f]{6}\)", notice.address)
    row = " ".join(str(getattr(notice, field.attname)) for field in StaffNotice._meta.concrete_fields)
    assert all(part not in row for part in SECRET.split("/"))


def ours(caplog: pytest.LogCaptureFixture) -> str:
    """What was logged, tracebacks included, by anybody but the server's stand-in."""
    records = [record for record in caplog.records if not record.name.startswith("werkzeug")]
    return "\n".join(map(logging.Formatter().format, records))


def refusing(request: Request) -> Response:
    return Response(f"no_service at {request.path} ({request.url})", status=404)


def test_a_failure_names_the_host_and_what_it_said_and_never_the_url(
    httpserver: HTTPServer, admin_client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    httpserver.expect_request(PATH).respond_with_handler(refusing)
    ask()
    (error,) = step()
    assert re.match(r"localhost:\d+ answered 404: no_service at /…/…/…/… ", str(error))
    notice = StaffNotice.objects.get()
    assert (notice.state, notice.failures) == (NoticeState.WAITING, 1)
    pages = [
        admin_client.get(f"/admin/outreach/staffnotice/{page}").content.decode()
        for page in ("", f"{notice.pk}/change/")
    ]
    for shown in (ours(caplog), notice.last_error, *pages):
        assert "answered 404" in shown
        assert all(part not in shown for part in SECRET.split("/"))


def test_a_server_that_is_not_there_is_named_without_its_url(
    settings: Settings, httpserver: HTTPServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    settings.OFFLOAD_STAFF_NOTICES = [f"http://localhost:1/services/{SECRET}"]
    ask()
    (error,) = step()
    assert str(error) == "localhost:1 could not be reached: ConnectionError"
    assert isinstance(error, work.StepFailed)
    assert (error.__cause__, error.__context__) == (None, None)  # theirs has the URL in its text
    assert "localhost:1" in ours(caplog)
    assert "notForAnybodyElse" not in ours(caplog)


def test_not_even_at_debug_the_library_logs_the_path(settings: Settings) -> None:
    assert settings.LOGGING["loggers"]["urllib3"]["level"] == "INFO"
    assert logging.getLogger("urllib3.connectionpool").getEffectiveLevel() >= logging.INFO


# --- How it fails ---------------------------------------------------------------------------------


def test_a_redirect_is_not_followed(httpserver: HTTPServer) -> None:
    httpserver.expect_request(PATH).respond_with_data(
        status=307, headers={"Location": httpserver.url_for("/elsewhere")}
    )
    httpserver.expect_request("/elsewhere").respond_with_data("ok")
    ask()
    (error,) = step()
    assert re.fullmatch(r"localhost:\d+ answered 307", str(error))
    assert [request.path for request, _ in httpserver.log] == [PATH]


def test_a_server_that_asks_for_a_pause_gets_it(httpserver: HTTPServer) -> None:
    httpserver.expect_request(PATH).respond_with_data("rate_limited", status=429, headers={"Retry-After": "600"})
    ask()
    step()
    notice = StaffNotice.objects.get()
    assert notice.retry_at
    assert timedelta(seconds=590) < notice.retry_at - work.now() <= timedelta(seconds=600)


def test_a_server_that_takes_its_time_is_left_alone(settings: Settings, httpserver: HTTPServer) -> None:
    def slow(request: Request) -> Response:
        time.sleep(1)
        return Response("ok")

    settings.OFFLOAD_TRANSPORT_SECONDS = 0.4
    httpserver.expect_request(PATH).respond_with_handler(slow)
    ask()
    (error,) = step()
    assert re.fullmatch(r"localhost:\d+ could not be reached: ReadTimeout", str(error))


def test_it_is_posted_again_once_the_server_is_well(httpserver: HTTPServer) -> None:
    httpserver.expect_ordered_request(PATH).respond_with_data("down", status=503)
    httpserver.expect_ordered_request(PATH).respond_with_data("ok")
    ask()
    assert [str(error).partition(" ")[2] for error in step()] == ["answered 503: down"]
    let_pass(minutes=2)
    steps()
    assert states() == ["SENT"]


def test_a_webhook_that_is_not_named_any_more_gets_nothing(slack: HTTPServer, settings: Settings) -> None:
    ask()
    settings.OFFLOAD_STAFF_NOTICES = [slack.url_for("/services/T0AAAA/B0BBBB/another")]
    steps()
    assert (posted(slack), states()) == ([], ["NOT_NEEDED"])


# --- Whom the setting may name --------------------------------------------------------------------


@pytest.mark.parametrize("text", ["desk@us.example", "Desk <desk@us.example>", " boss@us.example "])
def test_mail_addresses(text: str) -> None:
    assert recipients.read(text) == Recipient(text.strip())


def test_a_webhook_is_named_by_its_host_and_a_fingerprint() -> None:
    first, second = (recipients.read(f"https://hooks.slack.com/services/{end}") for end in ("one", "two"))
    assert first.name != second.name
    assert re.fullmatch(r"hooks\.slack\.com \([0-9a-f]{6}\)", first.name)
    assert (first.url, first.host) == ("https://hooks.slack.com/services/one", "hooks.slack.com")


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://mattermost.internal/hooks/x", True),
        ("https://10.0.0.5:8065/hooks/x", True),  # the operator's own word
        ("http://127.0.0.1:8065/hooks/x", True),
        ("http://[::1]:8065/hooks/x", True),
        ("http://localhost/hooks/x", True),
        ("http://10.0.0.5/hooks/x", False),
        ("http://chat.example/hooks/x", False),
        ("ftp://chat.example/hooks/x", False),
        ("https://", False),
        ("https://user:hunter2@chat.example/hooks/x", False),
        ("https://chat.example:port/hooks/x", False),
        ("https://chat.example/hooks/x y", False),
    ],
)
def test_webhooks(url: str, allowed: bool) -> None:
    if allowed:
        assert recipients.read(url).url == url
    else:
        with pytest.raises(ValueError) as refused:
            recipients.read(url)
        assert "hooks/x" not in str(refused.value)
        assert "hunter2" not in str(refused.value)


def test_plain_http_goes_where_nobody_else_listens(settings: Settings) -> None:
    settings.OFFLOAD_WEBHOOK_ALLOW_CIDRS = ["10.0.0.0/8"]
    assert recipients.read("http://10.0.0.5/hooks/x").is_webhook
    with pytest.raises(ValueError, match=r"chat\.example must begin with https"):
        recipients.read("http://chat.example/hooks/x")
    settings.AT_A_DESK = True
    assert recipients.read("http://chat.example/hooks/x").is_webhook


def test_what_can_not_be_meant_is_an_error_at_the_start(settings: Settings) -> None:
    assert notices_can_be_sent() == []
    settings.OFFLOAD_STAFF_NOTICES = ["desk", "http://chat.example/hooks/secret", "ok@us.example"]
    settings.OFFLOAD_NOTICE_QUIET_HOURS = "20-07"
    settings.OFFLOAD_NOTICE_DIGEST_MINUTES = -1.0
    settings.OFFLOAD_NOTICE_MAIL_HOURS = float("nan")
    found = [error for error in run_checks() if "outreach.E03" in str(error.id)]
    assert [error.id for error in found] == [f"outreach.E03{number}" for number in (0, 0, 1, 2, 2)]
    assert str(found[0].msg) == "OFFLOAD_STAFF_NOTICES: 'desk' is neither a mail address nor an https:// URL."
    assert "secret" not in " ".join(str(error) for error in found)
    assert [*recipients.configured()] == ["ok@us.example"]  # a web process that was started all the same goes on


# --- The doctor -----------------------------------------------------------------------------------


def found() -> list[tuple[str, str]]:
    return [(finding.level.name, finding.what) for finding in staff_are_told(Examination())]


def test_the_doctor_asks_the_server_and_posts_nothing(httpserver: HTTPServer, settings: Settings) -> None:
    (recipient,) = recipients.configured().values()
    assert found() == [("OK", f"{recipient.name}: its server answers")]
    assert [(request.method, request.path) for request, _ in httpserver.log] == [("HEAD", "/")]


def test_the_doctor_finds_a_server_that_is_not_there(settings: Settings) -> None:
    settings.OFFLOAD_STAFF_NOTICES = [f"http://localhost:1/services/{SECRET}", "desk@us.example"]
    assert found() == [
        ("OK", "1 address; the mail server lets us in"),
        ("FAIL", "localhost:1 can't be reached: ConnectionError"),
    ]


def test_the_doctor_counts_what_could_not_be_sent(slack: HTTPServer) -> None:
    ask()
    StaffNotice.objects.update(state=NoticeState.FAILED)
    assert found()[-1] == ("WARN", "1 could not be sent")
