"""The staff's first page: each number is that of the list behind it, and no number of rows makes it ask more."""

import html
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client as Browser
from django.test import RequestFactory
from pytest_django import DjangoAssertNumQueries, Settings

from cases import days, work
from cases.admin import counts, service, today
from cases.days import within
from cases.factories import CaseFactory, ClientFactory, InputRequestFactory, MessageFactory
from cases.models import Case, Heartbeat, InputRequest, RequestStatus, ResultStatus, Status
from cases.tests.staff import staff
from cases.transitions import remind
from offload_project.staff import roles
from offload_project.tests.rows import delivery_of, draft_of
from outreach.factories import InboundPayloadFactory
from outreach.models import ModelCall, NoticeState, PayloadState, StaffNotice
from webhooks.models import DeliveryState, Endpoint

pytestmark = pytest.mark.django_db
CARD = re.compile(r'id="waits-([a-z-]+)"[^>]*href="([^"]+)">(?:<strong>)?(\d+\+?)')
HOOK = "https://hooks.example/offload"


@pytest.fixture
def viewer() -> Browser:
    return of_role(roles.VIEWER)


def of_role(role: str) -> Browser:
    user = User.objects.create_user(f"a {role}", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    browser = Browser()
    browser.force_login(user)
    return browser


def waiting(browser: Browser, path: str = "/admin/") -> dict[str, tuple[str, str]]:
    """Of each card, and of each part of one: its address and its number."""
    page = browser.get(path).content.decode()
    return {name: (html.unescape(url), number) for name, url, number in CARD.findall(page)}


def listed(browser: Browser, url: str) -> list[Any]:
    response = browser.get(url)
    assert response.status_code == 200, url
    return list(response.context["cl"].result_list if "cl" in response.context else response.context["rows"])


def stuck() -> Case:
    case: Case = CaseFactory(created_at=work.now() - timedelta(seconds=90))
    return case


def overdue_question() -> InputRequest:
    question: InputRequest = InputRequestFactory()
    Case.objects.filter(pk=question.case_id).update(input_overdue_at=work.now() - timedelta(hours=1))
    return question


def reminded_question() -> InputRequest:
    question: InputRequest = InputRequestFactory(requested_at=work.now() - timedelta(days=2))
    with work.transaction():
        remind(Case.objects.locked(question.case_id))
    return question


def payload(state: PayloadState) -> Any:
    return InboundPayloadFactory(state=state, due_at=None)


def lost_notice() -> StaffNotice:
    state = NoticeState.FAILED
    question = InputRequestFactory(status=RequestStatus.CLOSED)
    notice: StaffNotice = StaffNotice.objects.create(
        question=question, address="a@b.example", state=state, created_at=work.now()
    )
    return notice


def with_hook(**fields: Any) -> Case:
    case: Case = CaseFactory(status=Status.RUNNING, client_webhook_url=HOOK, **fields)
    return case


def parked() -> Endpoint:
    now = work.now()
    return Endpoint.objects.create(client=ClientFactory(), origin=HOOK, created_at=now, parked_at=now)


MAKE: dict[str, Callable[[], Any]] = {
    "stuck-cases": stuck,
    "open-questions": InputRequestFactory,
    "drafts": lambda: draft_of(CaseFactory()),
    "troubled-cases": lambda: CaseFactory(status=Status.RUNNING, failures=2),
    "late-mail": lambda: MessageFactory(direction="IN", is_after_end=True, case__status=Status.COMPLETED),
    "failed-mail": lambda: payload(PayloadState.FAILED),
    "quarantined-mail": lambda: payload(PayloadState.QUARANTINED),
    "unmatched-mail": lambda: payload(PayloadState.UNMATCHED),
    "lost-notices": lost_notice,
    "parked-endpoints": parked,
    "failed-webhooks": lambda: delivery_of(with_hook(), DeliveryState.FAILED),
    "exhausted-webhooks": lambda: delivery_of(with_hook(), DeliveryState.EXHAUSTED),
}


def make_what_needs_nobody() -> None:
    """Rows that look much like those that wait."""
    CaseFactory()  # due, but not for a minute
    CaseFactory(created_at=work.now() - timedelta(hours=1), lease_until=work.now() + timedelta(minutes=1))
    CaseFactory(status=Status.FAILED, failures=3)
    InputRequestFactory(status=RequestStatus.RESOLVED)
    draft_of(CaseFactory(status=Status.FAILED))
    MessageFactory(
        direction="IN",
        is_after_end=True,
        created_at=work.now() - timedelta(days=9),
        case__status=Status.COMPLETED,
    )
    payload(PayloadState.DONE)
    payload(PayloadState.DISCARDED)
    delivery_of(with_hook(), DeliveryState.DELIVERED)


@pytest.mark.parametrize("name", MAKE)
def test_a_card_has_the_number_of_the_list_behind_it(viewer: Browser, name: str) -> None:
    make_what_needs_nobody()
    assert waiting(viewer) == {}
    made = {MAKE[name]().pk for _ in range(3)}
    cards = waiting(viewer)
    url, number = cards.pop(name)
    assert ({row.pk for row in listed(viewer, url)}, number) == (made, "3")
    assert cards == {}


def test_overdue_questions_are_told_apart(viewer: Browser) -> None:
    InputRequestFactory()
    made = {overdue_question().pk, reminded_question().pk}
    cards = waiting(viewer)
    url, number = cards["overdue-questions"]
    assert ({row.pk for row in listed(viewer, url)}, number) == (made, "2")
    assert cards["open-questions"][1] == "3"
    page = viewer.get("/admin/").content.decode()
    assert "the oldest for 2 days" in page


def test_questions_that_are_ones_own_are_told_apart(viewer: Browser) -> None:
    me, colleague = User.objects.get(username__contains=roles.VIEWER), User.objects.create_user("bo")
    handed, taken = InputRequestFactory(assigned_to=me), InputRequestFactory(claimed_by=me)
    InputRequest.objects.filter(pk=taken.pk).update(claimed_until=work.now() + timedelta(minutes=5))
    InputRequestFactory(assigned_to=colleague)
    InputRequestFactory()
    cards = waiting(viewer)
    url, number = cards["my-questions"]
    assert ({row.pk for row in listed(viewer, url)}, number) == ({handed.pk, taken.pk}, "2")
    assert cards["open-questions"][1] == "4"


def test_the_next_question_is_one_button_away_for_who_may_answer(viewer: Browser) -> None:
    question, button = InputRequestFactory(), ">Next question</button>"
    assert button not in viewer.get("/admin/").content.decode()
    operator = of_role(roles.OPERATOR)
    page = operator.get("/admin/").content.decode()
    [action] = re.findall(r'<form method="post" action="([^"]+)" class="toolbar">', page)
    assert button in page
    assert str(question.pk) in operator.post(action).headers["location"]


def test_what_is_broken_comes_first(viewer: Browser) -> None:
    for make in MAKE.values():
        make()
    assert list(waiting(viewer)) == [
        *("stuck-cases", "failed-mail", "lost-notices", "parked-endpoints", "failed-webhooks"),
        *("open-questions", "drafts", "troubled-cases", "quarantined-mail", "unmatched-mail"),
        *("late-mail", "exhausted-webhooks"),
    ]


def test_nothing_waiting_is_said_calmly(viewer: Browser) -> None:
    assert "Nothing waits for you. Everything runs by itself." in viewer.get("/admin/").content.decode()


def test_nobody_counts_beyond_a_thousand(viewer: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts.BoundedCount.__init__, "__defaults__", (2,))
    monkeypatch.setattr(counts.in_words, "__defaults__", (2,))
    for _ in range(4):
        InputRequestFactory()
    assert waiting(viewer)["open-questions"][1] == "2+"
    assert (counts.bounded(InputRequest.objects.all(), 3), counts.in_words(4, 3)) == (4, "3+")
    assert (counts.bounded(InputRequest.objects.all(), 4), counts.in_words(4, 4)) == (4, "4")


# --- Who sees what --------------------------------------------------------------------------------


@pytest.mark.parametrize("role", roles.ROLES)
def test_every_role_sees_all_that_waits_and_can_do_nothing_here(role: str) -> None:
    for make in MAKE.values():
        make()
    browser = of_role(role)
    assert set(waiting(browser)) == set(MAKE)
    page = browser.get("/admin/").content.decode()
    main = page[page.index('id="home-now"') :]
    assert "<form" not in main
    assert "<button" not in main


def test_who_may_see_nothing_is_told_nothing() -> None:
    for make in MAKE.values():
        make()
    stranger = staff("view_client")
    for path in ("/admin/", "/admin/now/"):
        page = stranger.get(path).content.decode()
        assert "ask an admin for a role" in page
        assert waiting(stranger, path) == {}
        assert not {"today-title", "service-title", "charts-title"} & set(re.findall(r'id="([^"]+)"', page))


def test_who_may_see_mail_only_sees_what_waits_of_it() -> None:
    for make in MAKE.values():
        make()
    assert set(waiting(staff("view_inboundpayload"))) == {"failed-mail", "quarantined-mail", "unmatched-mail"}


def test_nobody_else_gets_there() -> None:
    assert Browser().get("/admin/now/").status_code == 302
    assert staff().post("/admin/now/").status_code == 405


# --- Live -----------------------------------------------------------------------------------------


def test_the_upper_part_is_sent_again_only_when_it_has_changed(viewer: Browser) -> None:
    Heartbeat.objects.create(name="w", started_at=work.now(), finished_at=work.now() + timedelta(hours=1))
    page = viewer.get("/admin/").content.decode()
    [mark] = re.findall(r'name="mark" value="([0-9a-f]+)"', page)
    assert viewer.get("/admin/now/", {"mark": mark}).status_code == 204
    InputRequestFactory()
    changed = viewer.get("/admin/now/", {"mark": mark})
    assert changed.status_code == 200
    assert "<strong>1</strong> open question</a>" in changed.content.decode()
    assert "<html" not in changed.content.decode()


# --- Today ----------------------------------------------------------------------------------------

NOW = datetime(2026, 3, 12, 15, 0, tzinfo=UTC)


def figures(monkeypatch: pytest.MonkeyPatch, zone: str = "UTC") -> dict[str, tuple[str, str, str]]:
    monkeypatch.setattr("cases.admin.today.timezone.now", lambda: NOW)
    request = RequestFactory().get("/admin/")
    request.user = User.objects.create_user(f"ann in {zone}", is_staff=True)
    return {one.name: (one.number, one.before, one.url) for one in today.look(request, ZoneInfo(zone)).figures}


def test_today_is_counted_beside_the_same_hours_a_week_ago(
    monkeypatch: pytest.MonkeyPatch, admin_client: Browser
) -> None:
    hour, week = timedelta(hours=1), timedelta(days=7)
    for at in (NOW - hour, NOW - 2 * hour, NOW - 16 * hour, NOW - week - hour, NOW - week + hour):
        CaseFactory(created_at=at)
    CaseFactory(status=Status.COMPLETED, created_at=NOW - 3 * week, updated_at=NOW - hour)
    CaseFactory(status=Status.FAILED, created_at=NOW - 3 * week, updated_at=NOW - hour)
    case = CaseFactory(status=Status.RUNNING, created_at=NOW - 3 * week)
    MessageFactory(case=case, created_at=NOW - hour)
    MessageFactory(case=case, direction="IN", created_at=NOW - 2 * hour)
    for minutes in (1, 3, 9):
        at = NOW - timedelta(minutes=minutes)
        InputRequestFactory(case=case, status=RequestStatus.RESOLVED, requested_at=at, resolved_at=NOW)
    found = figures(monkeypatch)
    assert {name: figure[:2] for name, figure in found.items()} == {
        "created": ("2", "1"),
        "completed": ("1", "0"),
        "failed": ("1", "0"),
        "sent": ("1", "0"),
        "received": ("1", "0"),
        "asked": ("3", "0"),
        "answered": ("3", "0"),
        "time-to-answer": ("3 min", "–"),
    }
    for name, (number, _, url) in found.items():
        if name != "time-to-answer":
            assert len(listed(admin_client, url)) == int(number), name


def test_on_sqlite_a_day_is_counted_along_an_index_of_times() -> None:
    if connection.vendor != "sqlite":
        pytest.skip("what PostgreSQL plans depends on how many rows there are")
    for name, _, rows, field, *_ in today.kinds():
        plan = rows.filter(within(field, (NOW - timedelta(days=1), NOW))).explain()
        assert f"{field}>? AND {field}<?" in plan, f"{name}: {plan}"


def test_today_begins_where_the_reader_is(monkeypatch: pytest.MonkeyPatch) -> None:
    CaseFactory(created_at=NOW - timedelta(hours=1))  # 23:00 the day before, in Tokyo
    assert figures(monkeypatch, "Asia/Tokyo")["created"][0] == "0"
    assert figures(monkeypatch, "America/New_York")["created"][0] == "1"


@pytest.mark.parametrize(
    ("cookie", "zone"),
    [
        ("Europe/Zurich", "Europe/Zurich"),
        ("Nowhere", "UTC"),
        ("../../etc/passwd", "UTC"),
        ("Europe", "UTC"),
        ("", "UTC"),
    ],
)
def test_the_browser_says_where_the_reader_is(viewer: Browser, cookie: str, zone: str) -> None:
    viewer.cookies["offload_zone"] = cookie
    assert f", {zone}</span>" in viewer.get("/admin/").content.decode()


# --- Service --------------------------------------------------------------------------------------


def parts() -> dict[str, tuple[str, str]]:
    request = RequestFactory().get("/admin/")
    request.user, _ = User.objects.get_or_create(username="ann")
    return {part.name: (part.level, part.state) for part in service.look(request)}


def test_the_service_is_well(settings: Settings) -> None:
    settings.OFFLOAD_TRANSPORT, settings.OFFLOAD_LIVE_CASES, settings.OFFLOAD_MODEL = "email", True, "some-model"
    Heartbeat.objects.create(name="worker", started_at=work.now(), finished_at=work.now() - timedelta(seconds=50))
    CaseFactory()
    assert parts() == {
        "Worker": ("ok", "alive"),
        "Clock": ("ok", "nothing due is left lying"),
        "Mail": ("ok", "email"),
        "Model": ("ok", "some-model"),
    }


def test_what_is_missing_is_said() -> None:
    Heartbeat.objects.create(name="worker", started_at=work.now(), finished_at=work.now() - timedelta(seconds=70))
    InboundPayloadFactory(received_at=work.now() - timedelta(minutes=5))
    assert parts() == {
        "Worker": ("bad", "no sign of life for 60 s"),
        "Clock": ("bad", "work has been due for 5 minutes, and nobody has taken it"),
        "Mail": ("warn", "none is configured: test keys only"),
        "Model": ("calm", "none: forms are sent"),
    }


def test_a_busy_worker_is_alive() -> None:
    soon = work.now() + timedelta(seconds=10)
    Heartbeat.objects.create(
        name="worker", started_at=work.now(), finished_at=work.now() - timedelta(hours=1), busy_until=soon
    )
    assert parts()["Worker"][0] == "ok"


# --- Charts ---------------------------------------------------------------------------------------

CELL = re.compile(r'<td><a href="([^"]+)">(\d+)</a></td>')


def some_history() -> None:
    for back in (0, 1, 20, 80):
        at = work.now().replace(hour=0, minute=1) - timedelta(days=back)
        CaseFactory(status=Status.COMPLETED, created_at=at - timedelta(minutes=30), updated_at=at)
        CaseFactory(
            status=Status.FAILED,
            result_status=ResultStatus.CANCELLED,
            created_at=at - timedelta(hours=3),
            updated_at=at,
        )
        case = CaseFactory(status=Status.RUNNING, created_at=at)
        MessageFactory(case=case, created_at=at)
        InputRequestFactory(
            case=case, status=RequestStatus.RESOLVED, requested_at=at - timedelta(minutes=5), resolved_at=at
        )


@pytest.mark.parametrize(
    ("query", "ends"), [("", 3), ("?days=14", 2), ("?days=30", 3), ("?days=90", 4), ("?days=x", 3)]
)
def test_charts_show_so_many_days_and_lead_to_the_lists(viewer: Browser, query: str, ends: int) -> None:
    some_history()
    days.count(60, None)
    page = viewer.get(f"/admin/{query}").content.decode()
    assert page.count('<svg role="img" aria-label="Cases by day') == 1
    assert f"{ends} completed, {ends} failed." in page
    cells = [(html.unescape(url), number) for url, number in CELL.findall(page)]
    assert len(cells) >= ends
    for url, number in cells:
        assert len(listed(viewer, url)) == int(number), url
    assert f"<td>{ends} <span" in page  # cancelled
    assert "Mails sent" in page


def test_what_models_cost_is_drawn_where_it_is_known(viewer: Browser) -> None:
    case = CaseFactory(status=Status.RUNNING)
    call = ModelCall.objects.create(
        case=case,
        client=case.client,
        at=work.now(),
        purpose="reply",
        model="m",
        prompt_tokens=900,
        completion_tokens=100,
        cost=0,
    )
    days.count(60, None)
    page = viewer.get("/admin/").content.decode()
    assert "Tokens of models" in page
    assert "1\u202f000 in all." in page
    ModelCall.objects.update(cost="0.25")
    days.count(60, None)
    page = viewer.get("/admin/").content.decode()
    assert "Cost of models" in page
    [url] = set(re.findall(r'href="(/admin/outreach/modelcall/[^"]+)"', page))
    assert listed(viewer, html.unescape(url)) == [call]


def test_before_anything_is_counted_the_page_says_so(viewer: Browser) -> None:
    assert "Nothing is counted yet." in viewer.get("/admin/").content.decode()


# --- Queries --------------------------------------------------------------------------------------


def test_the_page_asks_no_more_however_much_there_is(
    viewer: Browser, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(12):
        for make in MAKE.values():
            make()
    some_history()
    days.count(60, None)
    with django_assert_max_num_queries(15) as asked:
        viewer.get("/admin/?days=90")
    many = len(asked)
    for model in (StaffNotice, InputRequest, ModelCall):
        model.objects.all().delete()
    with django_assert_max_num_queries(15) as asked:
        viewer.get("/admin/")
    assert len(asked) == many
    with django_assert_max_num_queries(11):
        viewer.get("/admin/now/")
