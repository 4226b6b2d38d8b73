"""Lists of many rows: their pages, filters, searches, and what people save of them."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import Q
from django.test import Client as Browser
from django.urls import reverse

from cases import work
from cases.admin import paging
from cases.admin.cases import CaseAdmin
from cases.admin.counts import bounded, in_words
from cases.admin.paging import BoundedPaginator, TwoParts
from cases.factories import AttachmentFactory, CaseFactory, ClientFactory, InputRequestFactory, MessageFactory
from cases.models import Case, InputRequest, MessageStatus, RequestStatus, SavedFilter, Status
from cases.models.saved_filters import MOST_SAVED, kept
from cases.tests.staff import HOSTILE, assert_harmless, staff, told

CASES = "/admin/cases/case/"


@pytest.fixture
def clerk(db: None) -> Browser:
    return staff("view_case", "change_case")


def listed(browser: Browser, model: str = "case", **query: Any) -> list[Any]:
    response = browser.get(reverse(f"admin:cases_{model}_changelist"), query)
    assert response.status_code == 200, response.headers
    return list(response.context["cl"].result_list)


# --- Counts and pages -----------------------------------------------------------------------------


def test_a_bounded_count_says_how_many_or_that_there_are_more(db: None) -> None:
    for _ in range(3):
        CaseFactory()
    assert [bounded(Case.objects.all(), limit) for limit in (2, 3, 4)] == [3, 3, 3]
    assert [in_words(bounded(Case.objects.all(), limit), limit) for limit in (2, 3, 4)] == ["2+", "3", "3"]


def test_pages_end_with_the_last_row_that_is_counted(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "MOST_LISTED", 4)
    rows = [CaseFactory() for _ in range(5)]
    pages = BoundedPaginator(Case.objects.order_by("created_at", "id"), 3)
    assert (pages.count, str(pages.count), pages.num_pages) == (4, "4+", 2)
    assert [list(pages.page(number)) for number in (1, 2)] == [rows[:3], rows[3:4]]
    rows[4].delete()
    assert str(BoundedPaginator(Case.objects.order_by("id"), 3).count) == "4"


@pytest.mark.parametrize("per_page", [1, 2, 3, 4, 10])
def test_pages_of_two_parts_are_one_list(db: None, per_page: int) -> None:
    old, new = InputRequestFactory(requested_at=work.now() - timedelta(days=2)), InputRequestFactory()
    settled = [InputRequestFactory(status=RequestStatus.RESOLVED) for _ in range(3)]
    pages = TwoParts(
        InputRequest.objects.all(),
        per_page,
        first=Q(status="PENDING"),
        first_order=("requested_at",),
        rest_order=("-requested_at", "-id"),
    )
    rest = sorted(settled, key=lambda question: (question.requested_at, question.pk.hex), reverse=True)
    shown = [row for number in pages.page_range for row in pages.page(number)]
    assert shown == [old, new, *rest]
    assert all(len(pages.page(number)) == per_page for number in list(pages.page_range)[:-1])


@pytest.mark.parametrize(("most", "shown"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)])
def test_the_bound_holds_for_both_parts(db: None, monkeypatch: pytest.MonkeyPatch, most: int, shown: int) -> None:
    monkeypatch.setattr(paging, "MOST_LISTED", most)
    for status in ("PENDING", "PENDING", "RESOLVED", "RESOLVED", "RESOLVED"):
        InputRequestFactory(status=status)
    orders = {"first_order": ("requested_at", "id"), "rest_order": ("-requested_at", "-id")}
    pages = TwoParts(InputRequest.objects.all(), 2, first=Q(status="PENDING"), **orders)
    assert len([row for number in pages.page_range for row in pages.page(number)]) == shown
    assert str(pages.count) == (str(shown) if most == 5 else f"{shown}+")


def test_a_list_says_that_there_is_more_than_it_shows(clerk: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "MOST_LISTED", 3)
    monkeypatch.setattr(CaseAdmin, "list_per_page", 2)
    for _ in range(4):
        CaseFactory()
    assert [len(listed(clerk, p=number)) for number in (1, 2)] == [2, 1]
    assert "<p>3+ cases</p>" in clerk.get(CASES).content.decode()
    assert clerk.get(CASES, {"p": 3}).status_code == 302  # Django's answer to a page that is none


def test_questions_are_sorted_by_a_column_where_one_is_chosen(clerk: Browser) -> None:
    settled = InputRequestFactory(status=RequestStatus.RESOLVED, question="A?")
    pending = InputRequestFactory(question="B?")
    assert listed(clerk, "inputrequest") == [pending, settled]
    assert listed(clerk, "inputrequest", o="0") == [settled, pending]


# --- Filters and searches of the case list --------------------------------------------------------


def test_cases_that_wait_for_staff_are_filtered(clerk: Browser) -> None:
    asks = InputRequestFactory().case
    drafted = MessageFactory(status=MessageStatus.DRAFT, drafted_at=work.now(), case_version=1).case
    outdated = MessageFactory(status=MessageStatus.DRAFT, drafted_at=work.now(), case_version=0).case
    answered = InputRequestFactory(status=RequestStatus.RESOLVED).case
    assert set(listed(clerk, waiting="yes")) == {asks, drafted}
    assert listed(clerk, waiting="answer") == [asks]
    assert listed(clerk, waiting="draft") == [drafted]
    assert set(listed(clerk)) == {asks, drafted, outdated, answered}


def test_cases_are_filtered_by_age(clerk: Browser) -> None:
    young, old = CaseFactory(), CaseFactory(created_at=work.now() - timedelta(days=8))
    assert listed(clerk, created="7") == [young]
    assert listed(clerk, created="30") == [young, old]
    assert listed(clerk, created="soon") == [young, old]


def test_clients_with_cases_are_offered_as_filters(clerk: Browser) -> None:
    ClientFactory(name="Nobody Ltd")
    case = CaseFactory(client__name="Acme")
    html = clerk.get(CASES).content.decode()
    assert f"client__id__exact={case.client_id}" in html
    assert "Nobody Ltd" not in html
    assert clerk.get(CASES, {"client__id__exact": "nonsense"}).status_code == 302  # without it


def test_a_search_says_where_it_was_found(clerk: Browser) -> None:
    known = CaseFactory(client_reference_id="ananas")
    mail = MessageFactory(text="An ananas, please.")
    html = clerk.get(CASES, {"q": "ananas"}).content.decode()
    assert f'<a href="/admin/cases/case/{mail.case_id}/change/#message-{mail.pk}">a mail</a>' in html
    assert html.count("the case<") == 1
    assert set(listed(clerk, q="ananas")) == {known, mail.case}
    assert listed(clerk, q="ananas", status__exact="RUNNING") == [mail.case]
    assert "Found in" not in clerk.get(CASES).content.decode()


def test_a_list_says_that_a_search_has_found_too_much(clerk: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cases.search.MOST_FOUND", 1)
    CaseFactory(client_reference_id="ananas 1")
    assert "More than is looked through" not in clerk.get(CASES, {"q": "ananas"}).content.decode()
    CaseFactory(client_reference_id="ananas 2")
    assert "More than is looked through" in clerk.get(CASES, {"q": "ananas"}).content.decode()


@pytest.mark.parametrize("model", ["inputrequest", "message", "draft", "attachment"])
def test_other_lists_search_by_their_case_too(clerk: Browser, model: str) -> None:
    case = CaseFactory(status=Status.INPUT_NEEDED, client_reference_id="R-17")
    InputRequestFactory(case=case)
    MessageFactory(case=case, status=MessageStatus.DRAFT, drafted_at=work.now())
    InputRequestFactory()
    MessageFactory(status=MessageStatus.DRAFT, drafted_at=work.now())
    AttachmentFactory(message__case=case)
    AttachmentFactory()
    for term in ("R-17", str(case.pk)):
        rows = listed(clerk, model, q=term)
        assert rows, (model, term)
        assert {getattr(row, "case_id", None) or row.message.case_id for row in rows} == {case.pk}
    assert listed(clerk, model, q="R-18") == []
    for odd in ('"', "%", "'", "x" * 10_000, "NOT"):
        assert listed(clerk, model, q=odd) == []


# --- Saved filters --------------------------------------------------------------------------------


def save(browser: Browser, name: str, query: str) -> Any:
    return browser.post(f"{CASES}saved/", {"name": name, "query": query})


def test_a_list_is_saved_and_had_again(clerk: Browser) -> None:
    html = clerk.get(CASES, {"status__exact": "RUNNING", "q": "ann", "p": "1"}).content.decode()
    assert '<input type="hidden" name="query" value="q=ann&amp;status__exact=RUNNING" id="save-query">' in html
    answer = save(clerk, "Ann's", "status__exact=RUNNING&q=ann&p=1&e=1")
    assert answer.headers["Location"] == f"{CASES}?q=ann&status__exact=RUNNING"
    row = SavedFilter.objects.get()
    assert (row.name, row.list, row.query) == ("Ann's", "cases.case", "q=ann&status__exact=RUNNING")
    html = clerk.get(CASES).content.decode()
    assert '<a href="?q=ann&amp;status__exact=RUNNING"><bdi>Ann&#x27;s</bdi></a>' in html
    html = clerk.get(f"{CASES}?{row.query}").content.decode()
    assert 'aria-current="true"' in html
    assert "Save this list as" not in html  # it is saved


def test_the_same_name_again_replaces(clerk: Browser) -> None:
    save(clerk, "Mine", "q=a")
    save(clerk, "Mine", "q=b")
    assert [row.query for row in SavedFilter.objects.all()] == ["q=b"]


def test_saved_lists_are_the_persons_own(clerk: Browser) -> None:
    save(clerk, "Mine", "q=a")
    row = SavedFilter.objects.get()
    other = staff("view_case")
    assert "<bdi>Mine</bdi>" not in other.get(CASES).content.decode()
    assert other.post(f"{CASES}saved/{row.pk}/delete/").status_code == 404
    save(other, "Mine", "q=b")
    assert SavedFilter.objects.count() == 2
    assert clerk.post(f"{CASES}saved/{row.pk}/delete/", {"query": "q=b"}).headers["Location"] == f"{CASES}?q=b"
    assert [row.query for row in SavedFilter.objects.all()] == ["q=b"]


def test_who_may_not_see_the_list_saves_nothing(db: None) -> None:
    stranger = staff("view_client")
    assert save(stranger, "Mine", "q=a").status_code == 403
    assert SavedFilter.objects.count() == 0


def test_a_get_saves_and_deletes_nothing(clerk: Browser) -> None:
    save(clerk, "Mine", "q=a")
    assert clerk.get(f"{CASES}saved/", {"name": "x", "query": "q=a"}).status_code == 405
    assert clerk.get(f"{CASES}saved/{SavedFilter.objects.get().pk}/delete/").status_code == 405
    assert SavedFilter.objects.count() == 1


@pytest.mark.parametrize("name", ["", "  ", "x" * 61])
def test_a_list_without_a_proper_name_is_not_saved(clerk: Browser, name: str) -> None:
    answer = save(clerk, name, "q=a")
    assert told(answer) == ["Nothing was saved: give it a name of at most 60 characters."]
    assert answer.headers["Location"] == f"{CASES}?q=a"
    assert SavedFilter.objects.count() == 0


def test_nobody_saves_without_end(clerk: Browser) -> None:
    user = User.objects.get()
    SavedFilter.objects.bulk_create(
        SavedFilter(user=user, list="cases.case", name=f"n{number}", query="q=a") for number in range(MOST_SAVED)
    )
    assert told(save(clerk, "one more", "q=b")) == [
        f"Nothing was saved: you have {MOST_SAVED} saved lists already. Delete one first."
    ]
    save(clerk, "n3", "q=b")
    assert SavedFilter.objects.filter(query="q=b").count() == 1


def test_a_saved_list_can_not_lead_elsewhere(clerk: Browser) -> None:
    answer = save(clerk, "Mine", "//evil.example/?q=a#x")
    assert answer.headers["Location"].startswith(f"{CASES}?")
    assert "evil.example/" not in SavedFilter.objects.get().query


def test_markup_in_saved_lists_stays_text(clerk: Browser) -> None:
    save(clerk, HOSTILE[:60], f"q={HOSTILE}")
    html = clerk.get(CASES).content.decode()
    assert "&lt;script&gt;alert(1)" in html
    assert_harmless(clerk.get(CASES, {"q": HOSTILE}).content.decode())


def test_what_is_kept_of_a_query() -> None:
    assert kept("p=3&q=a b&status__exact=&o=1.-2&e=1&all=") == "o=1.-2&q=a+b"
    assert kept("") == ""


@pytest.mark.parametrize("model", ["inputrequest", "draft", "case"])
def test_what_staff_did_with_a_row_is_listed_on_a_page_of_its_own(clerk: Browser, model: str) -> None:
    case = InputRequestFactory().case
    MessageFactory(case=case, status=MessageStatus.DRAFT, drafted_at=work.now())
    row = {"inputrequest": case.input_requests.get(), "draft": case.messages.get(), "case": case}[model]
    browser = staff(f"view_{model}", "view_case", "view_message", "view_inputrequest", "view_draft")
    assert browser.get(reverse(f"admin:cases_{model}_history", args=[row.pk])).status_code == 200
