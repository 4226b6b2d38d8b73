"""The staff's pages with many rows: few queries, and no more of them for more rows.

Every list that is registered with the admin is looked at, so a new one is covered by itself. `make pages` measures the
same with 200,000 cases.
"""

import subprocess
import sys
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoDbBlocker

from benchmarks.staff_pages import MOST_QUERIES, Measured, faults, pages
from cases import search_postgresql
from cases.admin.attention import AttentionFirst
from cases.factories import CaseFactory
from cases.models import Attachment, Case, Client, InputRequest, Message, Status
from offload_project.tests.processes import ROOT
from outreach.models import InboundPayload, SandboxMail, StaffNotice, Suppression
from webhooks.models import Attempt, Delivery, Endpoint

MADE = (
    Case,
    Message,
    Attachment,
    InputRequest,
    InboundPayload,
    SandboxMail,
    StaffNotice,
    Suppression,
    Delivery,
    Attempt,
)


def queries(browser: Browser) -> dict[str, int]:
    """How many each page takes that there is and shows something, by its name."""
    counted = {}
    for name, path in pages(deep=2):
        with CaptureQueriesContext(connection) as asked:
            response: Any = browser.get(path)
        assert response.status_code in (200, 302), path
        shown = response.context["cl"].result_list if response.context and "cl" in response.context else [None]
        if response.status_code == 200 and len(shown):
            counted[name] = len(asked)
    return counted


def in_two_parts() -> set[str]:
    """Beginnings of the names of lists whose pages are read from one part or both, by one query or two."""
    admins = admin.site._registry.values()
    return {f"{one.opts.app_label}_{one.opts.model_name} " for one in admins if isinstance(one, AttentionFirst)}


@pytest.mark.django_db
@pytest.mark.engine
@pytest.mark.long
def test_no_page_takes_more_queries_for_more_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_postgresql, "MOST_MILLISECONDS", 60_000)  # a search given up is rolled back: one more
    browser = Browser()
    browser.force_login(User.objects.create_superuser("ann"))
    call_command("make_cases", cases=130, messages=650)
    browser.get("/admin/")
    few = queries(browser)
    call_command("make_cases", cases=400, messages=2000, seed=2, yes=True)
    many = queries(browser)
    assert {name: count for name, count in many.items() if count > MOST_QUERIES} == {}
    # The page of a row is of another row the second time, on which something may hang that the first one lacks.
    allowed = {
        name: count + (name.startswith(tuple(in_two_parts())) or name.endswith(" page")) for name, count in few.items()
    }
    assert {name: (few[name], many[name]) for name in few if many.get(name, 0) > allowed[name]} == {}
    assert {"home", "cases_case list", "cases_case list, page 2", "cases_case page", "cases_inputrequest page"} <= {
        *few
    }
    made = {f"{model._meta.app_label}_{model._meta.model_name} list" for model in MADE if model in admin.site._registry}
    assert len(made) == 9
    assert made <= {*few}


@pytest.mark.django_db
@pytest.mark.engine
def test_as_many_rows_are_made_as_were_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("make_cases", cases=150, messages=700)
    assert (Case.objects.count(), Message.objects.count()) == (150, 700)
    assert all(model.objects.exists() for model in MADE)
    assert not Case.objects.exclude(transport="sandbox").exists()
    assert not Case.objects.exclude(counterparty_address__endswith=".example").exists()
    assert {*Case.objects.values_list("status", flat=True)} >= {*Status} - {Status.CREATED}
    assert "Case 150, Message 700" in capsys.readouterr().out


@pytest.mark.django_db
def test_the_same_seed_makes_the_same_rows() -> None:
    call_command("make_cases", cases=20, messages=60)
    first = list(Message.objects.order_by("pk").values_list("pk", "case", "text"))
    with pytest.raises(CommandError, match="another --seed"):
        call_command("make_cases", cases=20, messages=60, yes=True)
    for model in (InboundPayload, Suppression):
        model._default_manager.all().delete()
    Delivery.objects.all().delete()
    Case.objects.all().delete()
    Endpoint.objects.all().delete()
    Client.objects.all().delete()
    call_command("make_cases", cases=20, messages=60)
    assert list(Message.objects.order_by("pk").values_list("pk", "case", "text")) == first


@pytest.mark.django_db
def test_made_up_cases_do_not_come_among_live_ones() -> None:
    CaseFactory(is_test=False)
    with pytest.raises(CommandError, match="holds live cases"):
        call_command("make_cases", cases=1, messages=1)
    assert Case.objects.count() == 1


@pytest.mark.long
def test_the_benchmark_measures_a_small_database(django_db_blocker: DjangoDbBlocker) -> None:
    command = [sys.executable, "-m", "benchmarks.staff_pages", "--cases", "60", "--messages", "300", "--rounds", "1"]
    done = subprocess.run([*command, "--at-most-ms", "60000"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith("cases_case ?q=a frequent word") for line in lines)
    assert lines[-1].startswith("the slowest page, ")


@pytest.mark.parametrize(
    ("queries", "milliseconds", "expected"),
    [(15, 100.0, []), (16, 100.0, ["home takes 16 queries."]), (15, 100.6, ["home takes 101 ms."])],
)
def test_the_bounds_of_the_benchmark(queries: int, milliseconds: float, expected: list[str]) -> None:
    assert faults([Measured("home", queries, milliseconds)], at_most_ms=100) == expected
