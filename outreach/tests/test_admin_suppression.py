"""Addresses that get no mail, on the staff's pages."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client as Browser
from pytest_django import DjangoAssertNumQueries

from cases.factories import CaseFactory, ClientFactory
from cases.tests.staff import HOSTILE, assert_harmless, staff, told
from cases.work import now
from outreach import suppression
from outreach.models import Suppression, SuppressionReason

LIST = "/admin/outreach/suppression/"


@pytest.fixture
def viewer(db: None) -> Browser:
    return staff("view_case")


@pytest.fixture
def operator(db: None) -> Browser:
    return staff("view_case", "change_case")


def row(**fields: Any) -> Suppression:
    given = {"address": "ann@supplier.example", "reason": SuppressionReason.BOUNCE, "since": now(), **fields}
    added: Suppression = Suppression.objects.create(**given)
    return added


def test_who_why_and_since_when_can_be_looked_up(viewer: Browser) -> None:
    case = CaseFactory()
    found = row(case=case, note=f"550 no such user {HOSTILE}")
    row(address="carl@other.example")
    shown = viewer.get(LIST, {"q": "ann@"})
    assert list(shown.context["cl"].result_list) == [found]
    page = viewer.get(f"{LIST}{found.pk}/change/").content.decode()
    assert_harmless(page)
    assert "mail to it came back as undeliverable" in page
    assert f"/admin/cases/case/{case.pk}/change/" in page
    assert "all clients" in page
    assert "/lift/" not in page


def test_who_may_only_look_can_neither_lift_nor_add(viewer: Browser) -> None:
    found = row()
    assert viewer.post(f"{LIST}{found.pk}/lift/", {"confirmed": "on"}).status_code == 403
    assert viewer.post(f"{LIST}{found.pk}/change/", {}).status_code == 403
    assert viewer.get(f"{LIST}add/").status_code == 403
    found.refresh_from_db()
    assert found.lifted_at is None


def test_a_lift_is_confirmed_and_logged(operator: Browser) -> None:
    found = row(note="550 no such user")
    url = f"{LIST}{found.pk}/lift/"
    assert operator.get(url).status_code == 405
    for wanting in ({}, {"confirmed": "on"}, {"reason": "She asked for it."}):
        assert operator.post(url, wanting).status_code == 200  # shown again: what is missing is said
    assert Suppression.objects.get().lifted_at is None
    given = {"confirmed": "on", "reason": "She asked for it."}
    assert operator.post(url, given).status_code == 302
    lifted = Suppression.objects.get()
    assert (lifted.lifted_at is not None, lifted.lifted_by) == (True, "staff ann0")
    assert lifted.note == "550 no such user\nLifted: She asked for it."
    assert [entry.get_change_message() for entry in LogEntry.objects.all()] == ["Lifted"]
    assert told(operator.post(url, given)) == [suppression.NotSuppressed.message]


def test_an_address_is_added_by_hand(operator: Browser) -> None:
    client = ClientFactory()
    given = {"address": "Ann+x@Bücher.example", "client": client.pk, "note": "asked on the telephone"}
    assert operator.post(f"{LIST}add/", given).status_code == 302
    added = Suppression.objects.get()
    assert (added.address, added.client, added.reason) == ("ann@xn--bcher-kva.example", client, "staff")
    assert (added.added_by, added.note) == ("staff ann0", "asked on the telephone")
    operator.post(f"{LIST}add/", given)
    assert Suppression.objects.count() == 1


@pytest.mark.parametrize("wrong", [{"address": "nobody"}, {"note": ""}])
def test_what_is_added_needs_an_address_and_a_reason(operator: Browser, wrong: dict[str, str]) -> None:
    answer = operator.post(f"{LIST}add/", {"address": "ann@supplier.example", "note": "x", **wrong})
    assert (answer.status_code, Suppression.objects.count()) == (200, 0)


def test_what_holds_comes_before_what_was_lifted(viewer: Browser) -> None:
    lifted = row(lifted_at=now(), lifted_by="staff zoe")
    holds = row(since=now() - timedelta(days=3))

    def listed(**query: str) -> list[Suppression]:
        return list(viewer.get(LIST, query).context["cl"].result_list)

    assert listed() == [holds, lifted]
    assert (listed(state="holds"), listed(state="lifted")) == ([holds], [lifted])
    assert listed(state="nonsense") == [holds, lifted]


def test_the_list_takes_as_many_queries_for_many_rows(
    viewer: Browser, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(8):
        row(address=f"ann{number}@supplier.example", case=CaseFactory(), client=ClientFactory())
    with django_assert_max_num_queries(12):
        assert len(viewer.get(LIST).context["cl"].result_list) == 8
