"""The page of one case: how it stands, in words and in the reader's zone, and everything that has happened."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client as Browser
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from cases import consequences, moments, work
from cases.admin import lines, page, standing
from cases.admin.marks import marked
from cases.events import record
from cases.factories import (
    AttachmentFactory,
    CaseFactory,
    InputRequestFactory,
    MessageFactory,
)
from cases.models import Case, Event, MessageStatus, Status
from cases.schema_fields import fields
from cases.tests.staff import staff

BERLIN, NEW_YORK, TOKYO = map(ZoneInfo, ("Europe/Berlin", "America/New_York", "Asia/Tokyo"))
ANN = {"address": "ann@supplier.example", "name": "Ann Supplier", "timezone": "Europe/Berlin"}
NOW = datetime(2026, 11, 24, 8, 10, tzinfo=UTC)  # a Tuesday


@pytest.fixture
def clerk(db: None) -> Browser:
    return staff("view_case", "change_case")


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the zone of whoever reads."""
    return lambda zone: monkeypatch.setattr(moments, "readers", lambda: zone)


def html_of(browser: Browser, case: Case, **query: str) -> str:
    response = browser.get(reverse("admin:cases_case_change", args=[case.pk]), query)
    assert response.status_code == 200
    html: str = response.content.decode()
    return html


def seen(case: Case) -> Any:
    """The case as its page gets it."""
    return page.for_staff().get(pk=case.pk)


# --- Times ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("here", "there", "words"),
    [
        (BERLIN, BERLIN, "Tuesday 24 November 2026, 09:10 in Berlin"),
        (ZoneInfo("Europe/Zurich"), BERLIN, "Tuesday 24 November 2026, 09:10 in Berlin"),
        (TOKYO, BERLIN, "Tuesday 24 November 2026, 09:10 in Berlin (17:10 for you)"),
        (None, BERLIN, "Tuesday 24 November 2026, 09:10 in Berlin (08:10 UTC)"),
        (BERLIN, None, "Tuesday 24 November 2026, 09:10"),
        (None, None, "Tuesday 24 November 2026, 08:10 UTC"),
        (
            ZoneInfo("Pacific/Auckland"),
            ZoneInfo("America/Argentina/Buenos_Aires"),
            "Tuesday 24 November 2026, 05:10 in Buenos Aires (21:10 for you)",
        ),
        (
            ZoneInfo("Pacific/Auckland"),
            ZoneInfo("Pacific/Honolulu"),
            "Monday 23 November 2026, 22:10 in Honolulu (Tuesday 24 November, 21:10 for you)",
        ),
    ],
)
def test_a_time_is_told_for_both(reader: Any, here: ZoneInfo | None, there: ZoneInfo | None, words: str) -> None:
    reader(here)
    assert moments.at_length(NOW, there) == words


@pytest.mark.parametrize(
    ("here", "there", "words"),
    [
        (BERLIN, BERLIN, ""),
        (BERLIN, None, ""),
        (NEW_YORK, BERLIN, "09:10 in Berlin"),
        (ZoneInfo("Pacific/Auckland"), ZoneInfo("Pacific/Honolulu"), "Mon 22:10 in Honolulu"),
        (None, ZoneInfo("UTC"), ""),
    ],
)
def test_the_other_clock_stands_beside_only_where_it_differs(
    reader: Any, here: ZoneInfo | None, there: ZoneInfo | None, words: str
) -> None:
    reader(here)
    assert moments.beside(NOW, there) == words


@pytest.mark.parametrize(
    ("here", "there", "words"),
    [
        (BERLIN, BERLIN, "the same time as yours"),
        (None, ZoneInfo("Africa/Abidjan"), "the same time as UTC"),
        (BERLIN, NEW_YORK, "6 hours behind you"),
        (None, BERLIN, "1 hour ahead of UTC"),
        (BERLIN, ZoneInfo("Asia/Kolkata"), "4.5 hours ahead of you"),
    ],
)
def test_how_far_the_clocks_are_apart(reader: Any, here: ZoneInfo | None, there: ZoneInfo, words: str) -> None:
    reader(here)
    assert moments.difference(there, NOW) == words


def test_the_browser_names_the_reader_s_zone(clerk: Browser) -> None:
    case = CaseFactory(status=Status.RUNNING, counterparty=ANN)
    MessageFactory(case=case, created_at=NOW, sent_at=NOW)
    assert 'Tue 24 Nov 2026, 08:10 UTC</time> <span class="muted there">(09:10 in Berlin)</span>' in html_of(
        clerk, case
    )
    clerk.cookies["offload_zone"] = "America/New_York"
    html = html_of(clerk, case)
    assert '>Tue 24 Nov 2026, 03:10</time> <span class="muted there">(09:10 in Berlin)</span>' in html
    assert "08:10 UTC" not in html
    assert moments.readers() is None  # the next request of this thread is somebody else's


@pytest.mark.parametrize("name", ["Nowhere/At_all", "../../etc/passwd", "localtime", "", "x" * 5000, "<script>"])
def test_a_zone_that_is_none_is_utc(clerk: Browser, name: str) -> None:
    case = CaseFactory(status=Status.RUNNING, created_at=NOW)
    clerk.cookies["offload_zone"] = name
    assert "Tue 24 Nov 2026, 08:10 UTC" in html_of(clerk, case)


def test_a_counterparty_s_zone_that_is_none_is_left_out(clerk: Browser) -> None:
    case = CaseFactory(status=Status.RUNNING, counterparty={**ANN, "timezone": "Mars/Olympus"})
    html = html_of(clerk, case)
    assert "Mars/Olympus" in html
    assert "<dt>Time there</dt>" not in html


# --- The head -------------------------------------------------------------------------------------


def stands(case: Case) -> str:
    return standing.next_step(seen(case), NOW)


def running(**more: Any) -> Case:
    return CaseFactory(
        status=Status.RUNNING, counterparty=ANN, **{"next_action_at": NOW + timedelta(days=2, minutes=1), **more}
    )


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, "Follow-up 1 of 3 on Thursday 26 November 2026, 09:11 in Berlin (17:11 for you), in 2 days"),
        (
            {"follow_up_count": 2},
            "Follow-up 3 of 3 on Thursday 26 November 2026, 09:11 in Berlin (17:11 for you), in 2 days",
        ),
        ({"next_action_at": NOW}, "Follow-up 1 of 3 now"),
        (
            {"follow_up_count": 3},
            "Gives up, all 3 follow-ups being sent, on Thursday 26 November 2026, 09:11 in Berlin (17:11 for you), "
            "in 2 days",
        ),
        (
            {"max_attempts": 0, "next_action_at": NOW},
            "Gives up, since no follow-ups are wanted, now",
        ),
        (
            {"deadline_at": NOW + timedelta(days=2, minutes=1)},
            "Ends at its deadline, on Thursday 26 November 2026, 09:11 in Berlin (17:11 for you), in 2 days",
        ),
        ({"next_action_at": None}, "About to be looked at"),
        (
            {"paused_at": NOW},
            "Paused for less than a minute, since Tuesday 24 November 2026, 17:10: nothing is sent, and nothing "
            "judged, until it is resumed",
        ),
    ],
)
def test_the_next_action_is_told_with_count_and_time(db: None, reader: Any, facts: dict[str, Any], words: str) -> None:
    reader(TOKYO)
    assert stands(running(**facts)) == words


def test_what_waits_for_a_person_is_told(db: None, reader: Any) -> None:
    reader(TOKYO)
    question = InputRequestFactory(requested_at=NOW)
    assert stands(question.case) == "Has waited less than a minute for an answer, since Tuesday 24 November 2026, 17:10"
    overdue = {"input_overdue_at": NOW + timedelta(days=1)}
    Case.objects.update(**overdue)
    assert stands(question.case).endswith("; without one people are told again on Wednesday 25 November 2026, 17:10")
    Case.objects.update(input_timeout_action="fail", input_timeout_hours=24)
    assert stands(question.case).endswith("; without one the case fails on Wednesday 25 November 2026, 17:10")


def test_an_end_is_told_in_words(db: None, reader: Any) -> None:
    reader(TOKYO)
    ended = CaseFactory(status=Status.FAILED, result_status="max_retries", updated_at=NOW)
    assert stands(ended) == "Ended Tuesday 24 November 2026, 17:10: no answer to any follow-up"


@pytest.mark.parametrize(
    ("facts", "tries"),
    [
        ({"failures": 1}, "Failed once"),
        (
            {"failures": 3, "retry_at": NOW + timedelta(minutes=12, seconds=5)},
            "Failed 3 times; next try at 17:22:05, in 12 minutes",
        ),
        ({"failures": 2, "retry_at": NOW}, "Failed 2 times"),
        ({"lost_leases": 4}, "begun 4 times without coming to an end"),
        ({"lost_leases": 1}, ""),
    ],
)
def test_trouble_is_told_with_its_tries(reader: Any, facts: dict[str, Any], tries: str) -> None:
    reader(TOKYO)
    found = standing.trouble(Case(last_error="TransportError: down", **facts), NOW)
    assert found == standing.Trouble("TransportError: down", tries)


def test_nothing_is_told_of_trouble_that_is_over() -> None:
    assert standing.trouble(Case(failures=0), NOW) is None
    assert standing.trouble(Case(status=Status.FAILED, last_error="down", failures=3), NOW) is None


def test_the_head_says_who_for_whom_and_whether_it_is_a_test(clerk: Browser) -> None:
    case = running(client__name="Acme", client_reference_id="R-17", last_error="TransportError: down", failures=2)
    html = html_of(clerk, case)
    head = html[html.index('id="state"') : html.index('id="thread"')]
    for shown in ("Ann Supplier", "ann@supplier.example", "Acme", "R-17", "Test", "Running", "Failed 2 times"):
        assert shown in head, shown
    live = running(is_test=False)
    assert '<span class="badge info">Live</span>' in html_of(clerk, live)


# --- The plan -------------------------------------------------------------------------------------


def planned(case: Case) -> list[tuple[str, str, bool]]:
    thread = sorted(case.messages.all(), key=lambda message: message.at)
    return [(step.what, step.when, step.is_done) for step in standing.plan(seen(case), thread)]


def test_the_plan_tells_what_was_sent_and_what_follows(db: None, reader: Any) -> None:
    reader(BERLIN)
    case = running(follow_up_count=1, follow_up_delay_hours=48)
    for purpose, days in (("OUTREACH", 4), ("FOLLOW_UP", 2)):
        at = NOW - timedelta(days=days)
        MessageFactory(case=case, purpose=purpose, created_at=at, sent_at=at)
    MessageFactory(case=case, purpose="FOLLOW_UP", status=MessageStatus.DROPPED)
    assert planned(case) == [
        ("First mail", "Fri 20 Nov 2026, 09:10", True),
        ("Follow-up 1", "Sun 22 Nov 2026, 09:10", True),
        ("Follow-up 2", "Thursday 26 November 2026, 09:11 in Berlin", False),
        ("Follow-up 3", "about Sat 28 Nov 2026, 09:11", False),
        ("Gives up", "about Mon 30 Nov 2026, 09:11", False),
    ]


def test_nothing_is_planned_beyond_the_deadline(db: None, reader: Any) -> None:
    reader(BERLIN)
    case = running(deadline_at=NOW + timedelta(days=3))
    assert [what for what, _, _ in planned(case)] == ["Follow-up 1", "Ends at its deadline"]


def test_a_plan_of_very_many_follow_ups_is_cut(db: None) -> None:
    case = running(max_attempts=10_000, follow_up_delay_hours=2_000_000_000)
    assert len(planned(case)) == standing.MOST_PLANNED


@pytest.mark.parametrize("facts", [{"paused_at": NOW}, {"next_action_at": None}])
def test_nothing_is_planned_while_nothing_is_due(db: None, facts: dict[str, Any]) -> None:
    assert planned(running(**facts)) == []


# --- The conversation -----------------------------------------------------------------------------


def mails_of(browser: Browser, case: Case) -> list[page.Mail]:
    response = browser.get(reverse("admin:cases_case_change", args=[case.pk]))
    found: list[page.Mail] = response.context["thread"]
    return found


def test_a_mail_tells_which_agent_wrote_it_and_whether_it_was_judged(clerk: Browser) -> None:
    case = running()
    by_form, by_model, by_hand, unknown = (MessageFactory(case=case) for _ in range(4))
    by_hand.written_by, by_hand.decided_by = "staff bob", "staff zoe"
    by_hand.save()
    for minute, (message, written) in enumerate(
        (
            (by_form, ("draft.written", {"agent": "form", "judged": False})),
            (by_model, ("draft.judged", {"agent": "openai", "judged": True, "rewritten": True})),
            (unknown, None),
        )
    ):
        case.now = NOW + timedelta(minutes=minute)
        if written:
            type_, facts = written
            said: dict[str, Any] = facts
            record(case, type_, **said)
        record(case, "message.queued", messageId=str(message.pk), purpose="OUTREACH")
    assert {mail.message.pk: mail.writer for mail in mails_of(clerk, case)} == {
        by_form.pk: "Written by the agent “form”, judged by nothing else",
        by_model.pk: "Written by the agent “openai”, judged before it was sent; its first draft was refused",
        by_hand.pk: "Written by staff bob; approved by staff zoe",
        unknown.pk: "",
    }


def test_a_draft_that_was_held_back_is_not_taken_for_the_mail_that_a_person_wrote_later(clerk: Browser) -> None:
    case = running()
    message = MessageFactory(case=case)
    case.now = NOW
    record(case, "draft.judged", agent="openai", judged=True, allowed=False)
    case.now = NOW + timedelta(hours=1)
    record(case, "message.queued", messageId=str(message.pk), purpose="OUTREACH")
    assert [mail.writer for mail in mails_of(clerk, case)] == [""]


@pytest.mark.parametrize(
    ("facts", "delivery"),
    [
        ({}, ("sent", "calm")),
        ({"delivered_at": NOW}, ("delivered", "ok")),
        ({"status": MessageStatus.QUEUED}, ("about to be sent", "info")),
        ({"status": MessageStatus.DROPPED}, ("taken back, never sent", "calm")),
        ({"status": MessageStatus.REFUSED}, ("refused by the provider", "bad")),
        (
            {"status": MessageStatus.UNKNOWN},
            ("may or may not have been sent: the case ended meanwhile", "warn"),
        ),
        ({"direction": "IN"}, ("", "")),
        ({"direction": "IN", "is_after_end": True}, ("came after the end", "bad")),
    ],
)
def test_a_mail_tells_what_has_become_of_it(clerk: Browser, facts: dict[str, Any], delivery: tuple[str, str]) -> None:
    case = running()
    MessageFactory(case=case, **facts)
    assert [mail.delivery for mail in mails_of(clerk, case)] == [delivery]


@pytest.mark.parametrize(
    ("result_status", "words"),
    [
        ("BOUNCED", "came back: it could not be delivered"),
        ("COMPLAINED", "reported as unwanted"),
        ("REJECTED", "refused by the provider"),
        ("failed_rejected", None),
    ],
)
def test_the_mail_that_came_back_is_marked(clerk: Browser, result_status: str, words: str | None) -> None:
    case = CaseFactory(status=Status.FAILED, result_status=result_status)
    for hours in (3, 2):
        at = case.updated_at - timedelta(hours=hours)
        MessageFactory(case=case, created_at=at, sent_at=at)
    assert [mail.failure for mail in mails_of(clerk, case)] == ["", words or ""]
    first = case.messages.first()
    assert first is not None
    MessageFactory(case=case, direction="IN", purpose="REPORT", references=first.message_id)
    assert [mail.failure for mail in mails_of(clerk, case)] == [words or "", "", ""]


def test_what_a_result_rests_on_is_marked_in_the_mail(clerk: Browser) -> None:
    case = CaseFactory(status=Status.COMPLETED, result={"total": 12})
    reply = MessageFactory(case=case, direction="IN", text="In 2012 the <b>total\nis</b> 12 EUR.")
    MessageFactory(case=case, direction="IN", text="12 is not a source here.")
    sources = [
        {"path": "/total", "source_id": str(reply.pk), "quote": "12"},
        {"path": "/total", "source_id": str(reply.pk), "quote": "TOTAL is</b> 12"},
    ]
    Case.objects.filter(pk=case.pk).update(sources=sources)
    html = html_of(clerk, case)
    assert "In 2012 the &lt;b&gt;<mark>total\nis&lt;/b&gt; 12</mark> EUR." in html
    assert html.count("<mark>") == 1


@pytest.mark.parametrize(
    ("text", "quotes", "html"),
    [
        ("a & b", [], "a &amp; b"),
        ("a & b", ["", "  "], "a &amp; b"),
        ("one two", ["two", "one"], "<mark>one</mark> <mark>two</mark>"),
        ("one two", ["one two", "two"], "<mark>one two</mark>"),
        ("2012", ["12"], "2012"),
        ("(12)", ["(12)"], "<mark>(12)</mark>"),
        ("a.c abc", ["a.c"], "<mark>a.c</mark> abc"),
    ],
)
def test_quotes_are_marked_where_they_stand(text: str, quotes: list[str], html: str) -> None:
    assert marked(text, quotes) == html


def test_headers_and_the_whole_text_are_there_on_demand(clerk: Browser) -> None:
    case = running()
    MessageFactory(
        case=case,
        direction="IN",
        message_id="<17@mail.example>",
        references="<1@x> <2@x>",
        cc=["bob@supplier.example"],
        text="Yes.",
        full_text="Yes.\n> Please?",
    )
    [mail] = mails_of(clerk, case)
    assert mail.headers == [
        ("From", "Ann Supplier <ann@supplier.example>"),
        ("To", case.our_address),
        ("Cc", "bob@supplier.example"),
        ("Subject", "Re: Invoice of March"),
        ("Message-ID", "<17@mail.example>"),
        ("References", "<1@x> <2@x>"),
    ]
    html = html_of(clerk, case)
    assert "<summary>The whole text</summary>" in html
    assert "<summary>From and to, ids</summary>" in html  # and no original, since none is kept


# --- The timeline ---------------------------------------------------------------------------------


def shown(browser: Browser, case: Case, chosen: str = "") -> list[str]:
    response = browser.get(reverse("admin:cases_case_change", args=[case.pk]), {"show": chosen} if chosen else {})
    return [line.words for line in response.context["timeline"].lines]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ("", [0, 1, 2, 3]),
        ("mail", [1]),
        ("decisions", [0, 2]),
        ("people", [0]),
        ("webhooks", [3]),
        ("nonsense", [0, 1, 2, 3]),
    ],
)
def test_the_timeline_is_filtered_by_a_link(clerk: Browser, chosen: str, expected: list[int]) -> None:
    case = running()
    for minute, (type_, actor) in enumerate(
        (
            ("case.paused", "staff bob"),
            ("message.received", "counterparty"),
            ("verdict", "system"),
            ("webhook.parked", "system"),
        )
    ):
        case.now = NOW + timedelta(minutes=minute)
        record(case, type_, actor=actor)
    everything = shown(clerk, case)
    assert len(everything) == 4
    assert shown(clerk, case, chosen) == [everything[number] for number in expected]
    html = html_of(clerk, case, show=chosen)
    current = "all" if chosen in ("", "nonsense") else chosen
    assert html.count('aria-current="true"') == 1
    assert f'id="show-{current}" href="?{"" if current == "all" else "show=" + chosen}#timeline" aria-current' in html


def test_a_filter_under_which_nothing_happened_says_so(clerk: Browser) -> None:
    assert "Nothing of this kind has happened yet." in html_of(clerk, running(), show="webhooks")


def test_lines_name_who_did_it(db: None) -> None:
    case = running(client__name="Acme")
    actors = ("system", "counterparty", "client offload_live_Ab1", "client", "staff bob", "odd one")
    assert [lines.who(actor, case) for actor in actors] == [
        "",
        "Ann Supplier",
        "Acme, by the key offload_live_Ab1…",
        "Acme",
        "staff bob",
        "odd one",
    ]


def test_lines_lead_to_what_they_are_about(clerk: Browser) -> None:
    case = running()
    case.now = NOW
    facts = {"messageId": "1", "inputRequestId": "2", "payloadId": "3", "caseId": "4"}
    record(case, "message.received", **facts)
    html = html_of(clerk, case)
    for url in ("#message-1", "#question-2", "/admin/cases/case/4/change/"):
        assert f'<a href="{url}">' in html
    assert "inboundpayload/3" not in html  # that takes a permission of its own
    both = staff("view_case", "view_inboundpayload")
    assert '<a href="/admin/outreach/inboundpayload/3/change/">the mail as it came</a>' in html_of(both, case)


def test_data_without_words_is_a_table_and_never_json(db: None) -> None:
    case = running()
    event = Event(type="odd.new_thing", actor="system", at=NOW, data={"rows": [{"a": 1}], "is_so": True, "none": {}})
    line = lines.of_event(event, case)
    assert (line.words, line.said) == ("Odd new thing", "")
    assert [(entry.place, entry.value) for entry in line.facts] == [
        ("rows › no. 1 › a", 1),
        ("is_so", True),
        ("none", {}),
    ]


def other_room(case: Case, most: int) -> lines.Part:
    line = lines.Line(at=NOW, words=f"Of another room, {most} at most", kind=lines.WEBHOOKS)
    return lines.Part([line], [lines.Link("Its place", "/its/place"), lines.Link("Hidden", "/hidden", "cases.no_such")])


def test_other_rooms_add_lines_and_links(clerk: Browser, settings: Any) -> None:
    settings.OFFLOAD_TIMELINE_SOURCES = [f"{__name__}.other_room"]
    lines.sources.cache_clear()
    try:
        case = running()
        case.now = NOW - timedelta(hours=1)
        record(case, "case.paused")
        assert shown(clerk, case)[1:] == ["Of another room, 500 at most"]
        html = html_of(clerk, case)
        assert '<a href="/its/place"><bdi>Its place</bdi></a>' in html
        assert "/hidden" not in html
    finally:
        lines.sources.cache_clear()


# --- Facts ----------------------------------------------------------------------------------------

SCHEMA = {
    "type": "object",
    "required": ["number", "lines"],
    "properties": {
        "number": {"type": "string", "description": "As printed."},
        "due": {"type": ["string", "null"], "format": "date"},
        "state": {"enum": ["paid", None, 3]},
        "lines": {
            "type": "array",
            "minItems": 1,
            "items": {"$ref": "#/$defs/line"},
        },
        "tags": {"type": "array", "items": {"type": "string"}},
        "odd": True,
    },
    "$defs": {
        "line": {
            "type": "object",
            "required": ["price"],
            "properties": {"price": {"type": "number", "minimum": 0}, "more": {"$ref": "#/$defs/line"}},
        }
    },
}


def test_a_schema_is_a_table_of_fields() -> None:
    rows = [(field.depth, field.name, field.kind, field.is_required, field.description) for field in fields(SCHEMA)]
    assert rows[:8] == [
        (0, "number", "text", True, "As printed."),
        (0, "due", "date or nothing", False, ""),
        (0, "state", "one of “paid”, nothing, 3", False, ""),
        (0, "lines", "list, each: group", True, "at least 1 of them"),
        (1, "price", "number", True, "at least 0"),
        (1, "more", "group", False, ""),
        (2, "price", "number", True, "at least 0"),
        (2, "more", "group", False, ""),
    ]
    assert rows[-2:] == [(0, "tags", "list, each: text", False, ""), (0, "odd", "anything", False, "")]


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "string"}, "text"),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, "number or nothing"),
        ({"const": True}, "always yes"),
        ({"$ref": "#/nowhere"}, "anything"),
        ({"$ref": "#"}, "anything"),
        ({"anyOf": [{"$ref": "#"}]}, "…"),
        ({"type": "array", "items": {"type": "array", "items": {}}}, "list of lists"),
        (True, "anything"),
        ({"enum": list(range(20))}, "one of 0, 1, 2, 3, 4, 5, 6, 7, …"),
    ],
)
def test_a_schema_without_fields_is_one_row(schema: Any, kind: str) -> None:
    assert [(field.name, field.kind) for field in fields(schema)] == [("(the whole result)", kind)]


def test_a_schema_that_holds_itself_many_times_is_cut() -> None:
    many = {"properties": {f"p{number}": {"$ref": "#"} for number in range(50)}}
    assert len(fields(many)) == 200


def test_the_time_there_is_told(reader: Any) -> None:
    reader(TOKYO)
    clock = page.Clock.of(Case(counterparty=ANN), NOW)
    assert clock == page.Clock("Europe/Berlin", "Tuesday 09:10", "8 hours behind you", is_working=True)
    night = page.Clock.of(Case(counterparty=ANN), NOW + timedelta(hours=14))
    assert night is not None
    assert not night.is_working
    assert page.Clock.of(Case(counterparty={"name": "Ann"}), NOW) is None


def test_usage_is_added_up_by_model() -> None:
    called = {"promptTokens": 100, "completionTokens": 20, "durationMs": 1500, "cost": "0.01"}
    events = [
        Event(type="model.called", data={"model": "big", **called}),
        Event(type="model.called", data={"model": "small", "promptTokens": 5}),
        Event(type="model.called", data={"model": "big", **called}),
        Event(type="verdict", data={"model": "big", **called}),
    ]
    rows = [(row.model, row.calls, row.tokens_in, row.tokens_out, row.seconds, row.money) for row in page.usage(events)]
    assert rows == [("big", 2, 200, 40, 3.0, "0.02"), ("small", 1, 5, 0, 0, "")]


def test_no_value_is_shown_as_json(clerk: Browser) -> None:
    nested = {"a": [{"b": True}], "c": {}}
    case = running(
        goal={"objective": "x", "knowledge": nested, "tone": nested},
        metadata=nested,
        sender_persona={"name": "Bob", "more": nested},
        result_schema=SCHEMA,
    )
    html = html_of(clerk, case)
    actions = html[html.index('id="actions"') : html.index('id="goal"')]
    shown = html.replace(actions, "")
    assert "{&quot;" not in shown
    assert "[{" not in shown
    assert shown.count("a › no. 1 › b") == 4


# --- What else there is ---------------------------------------------------------------------------


def test_other_cases_with_the_same_counterparty_are_near(clerk: Browser) -> None:
    case = running()
    stranger = CaseFactory(counterparty={**ANN, "address": "zoe@other.example"})
    others = [CaseFactory(counterparty=ANN, status=Status.COMPLETED) for _ in range(6)]
    response = clerk.get(reverse("admin:cases_case_change", args=[case.pk]))
    related = response.context["related"]
    assert [other for other, _, _ in related.others] == others[:0:-1]
    assert related.others[0][1:] == ("Completed", "ok")
    html = response.content.decode()
    assert f'href="{reverse("admin:cases_case_changelist")}?q=ann%40supplier.example"' in html
    assert str(stranger.pk) not in html


def test_consequences_stand_where_an_end_is_confirmed(clerk: Browser) -> None:
    case = running(client__name="Acme", client_webhook_url="https://client.example/hook")
    MessageFactory(case=case)
    case.refresh_from_db()
    for name, event, more in (
        ("fail", "case.failed", {"why": "failed_by_staff", "reason": "No."}),
        ("cancel", "case.failed", {}),
        ("complete", "case.completed", {"result": "{}"}),
    ):
        html = clerk.post(url_of(name, case), {"version": case.version, **more}).content.decode()
        asked = html[html.index('class="confirm notice bad"') :]
        asked = asked[: asked.index("</form>")]
        assert f"<li>Acme is told {event}.</li>" in asked
        assert "<li>Ann Supplier gets no further mail.</li>" in asked
        assert asked.count('name="sure"') == 1
    assert 'name="sure"' not in html_of(clerk, case)


def test_consequences_are_those_of_this_case(db: None) -> None:
    case = seen(InputRequestFactory(case__attempt_count=0).case)
    assert consequences.of("cancel", case) == [
        "Ann Supplier gets no mail.",
        "The open question is closed without an answer.",
        f"{case.client} sees it when it next asks for the case: it has given no webhook.",
        "There is no way back; a new case can go on in the same thread.",
    ]
    message = MessageFactory(status=MessageStatus.QUEUED)
    MessageFactory(case=message.case, direction="IN")
    assert consequences.of("fail", seen(message.case))[1:3] == [
        "The mail that waits to be sent is taken back, unless its sending has begun.",
        "The mail that nobody has judged yet is not looked at any more.",
    ]
    assert consequences.of("pause", case) == []


# --- Files ----------------------------------------------------------------------------------------


def url_of(name: str, case: Case, *more: Any) -> str:
    return reverse(f"admin:cases_case_{name}", args=[case.pk, *more])


def test_the_result_and_its_schema_are_downloaded_as_they_are(clerk: Browser) -> None:
    case = CaseFactory(status=Status.COMPLETED, result={"número": 12}, result_schema=SCHEMA)
    response: Any = clerk.get(url_of("result", case))
    assert b"".join(response.streaming_content).decode() == '{\n  "número": 12\n}'
    assert response.headers["Content-Disposition"] == f'attachment; filename="result-{case.pk}.json"'
    assert response.headers["Content-Type"] == "application/octet-stream"
    schema: Any = clerk.get(url_of("schema", case))
    assert b'"As printed."' in b"".join(schema.streaming_content)
    assert clerk.post(url_of("result", case)).status_code == 405


def test_what_is_not_there_is_not_downloaded(clerk: Browser) -> None:
    message = MessageFactory()
    assert clerk.get(url_of("result", message.case)).status_code == 404
    assert clerk.get(url_of("schema", message.case)).status_code == 404
    assert clerk.get(url_of("original", message.case, message.pk)).status_code == 404


@pytest.mark.parametrize("name", ["result", "schema", "original"])
def test_files_are_for_those_who_may_see_cases(db: None, name: str) -> None:
    message = MessageFactory(case__status=Status.COMPLETED, case__result={}, case__result_schema={})
    more = [message.pk] if name == "original" else []
    assert staff("view_client").get(url_of(name, message.case, *more)).status_code == 403
    assert Browser().get(url_of(name, message.case, *more)).status_code == 302


# --- Bounds ---------------------------------------------------------------------------------------


def test_the_page_takes_as_many_queries_whatever_there_is(
    clerk: Browser, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    case = CaseFactory(
        status=Status.COMPLETED, counterparty=ANN, client_webhook_url="https://c.example", result={"a": 1}
    )
    case.now = work.now()
    for number in range(20):
        AttachmentFactory(message__case=case)
        MessageFactory(case=case)
        CaseFactory(counterparty=ANN)
        record(case, "model.called", model=f"m-{number}", cost="0.1")
    html_of(clerk, case)
    with django_assert_max_num_queries(18):  # of them four for who is asking
        html_of(clerk, case)
