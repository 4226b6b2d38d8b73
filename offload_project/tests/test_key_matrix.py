"""Every route times every kind of key: who gets in, and that nothing of another client gets out.

The routes come from the URL configuration. A new one that needs a key is tested without a word here; one that needs
none, or names something that is not known here, fails until it is entered.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoDbBlocker

from cases.factories import ApiKeyFactory, AttachmentFactory, CaseFactory, InputRequestFactory, MessageFactory
from cases.models import ApiKey, Case, ReviewMode, Status
from offload_project.routes import Route, routes
from offload_project.tests.rows import delivery_of, draft_of

pytestmark = pytest.mark.django_db

# What needs no key, and why nobody is harmed by it.
OPEN = {
    "files/<str:token>": "the link is signed, opaque and good for 15 minutes (cases/tests/test_api_attachments.py)",
    "inbound/agentmail": "signed by the provider (outreach/tests/test_agentmail_door.py)",
    "schema": "the description of the API has no data in it",
    "docs": "the description of the API has no data in it",
    "healthz": "says that the process is up, and nothing else",
    "readyz": "names the component that is missing, without internals",
    "admin": "leads to the staff's pages",
    "admin/second-factor/": "for staff, by admin_view (offload_project/tests/test_second_factor.py)",
    "admin/now/": "for staff, by admin_view (offload_project/tests/test_home.py)",
    "": "leads to the staff's pages",
}
ROUTES = routes()
KEYED = [route for route in ROUTES if route.needs_key]
CALLS = [(route, method) for route in KEYED for method in route.methods]
OF_A_CASE = [(route, method) for route, method in CALLS if "case_id" in route.parameters]
LISTS = [(route, method) for route, method in CALLS if not route.parameters and method == "get"]
SECRET = "zq-nobody-else-may-see-this"
BODY = json.dumps({"hash": "0" * 64, "body": "-", "reason": "-"})  # what decisions on drafts take: on to the ids


@dataclass
class Theirs:
    """A client with a case that has something of everything, each with SECRET in it."""

    key: ApiKey
    case: Case
    parameters: dict[str, Any]


def someone(**case_fields: Any) -> Theirs:
    key = ApiKeyFactory(is_test=True, client__name=SECRET)
    case = CaseFactory(
        client=key.client,
        status=Status.INPUT_NEEDED,
        client_reference_id=SECRET,
        goal={"objective": SECRET},
        counterparty={"address": f"{SECRET}@supplier.example", "name": SECRET},
        metadata={SECRET: SECRET},
        review_mode=ReviewMode.ALL,
        client_webhook_url=f"https://hooks.example/{SECRET}",
        **case_fields,
    )
    InputRequestFactory(case=case, question=SECRET)
    message = MessageFactory(case=case, direction="IN", text=SECRET, subject=SECRET)
    attachment = AttachmentFactory(message=message, name=SECRET, content=SECRET.encode())
    draft, delivery = draft_of(case, text=SECRET, subject=SECRET), delivery_of(case)
    parameters = {"case_id": case.pk, "attachment_id": attachment.pk, "draft_id": draft.pk}
    return Theirs(key, case, {**parameters, "event_id": delivery.event_id})


@pytest.fixture(scope="module")
def theirs(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Theirs]:
    """The same for all tests here; what one of them changes is rolled back to a savepoint."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield someone()
        transaction.set_rollback(True)


def name_of(value: Any) -> str:
    return value.path if isinstance(value, Route) else str(value)


def call(route: Route, method: str, key: str | None, parameters: dict[str, Any]) -> Any:
    headers = {} if key is None else {"x-api-key": key}
    url = route.url(**parameters)
    return getattr(Client(), method)(
        url, BODY if method != "get" else None, content_type="application/json", headers=headers
    )


def code_of(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


# --- The routes are what this file believes them to be ---


def test_what_needs_no_key_is_known_by_name() -> None:
    assert {route.path for route in ROUTES if not route.needs_key} == set(OPEN)


def test_what_needs_a_key_is_found() -> None:
    paths = {route.path for route in KEYED}
    assert {"cases", "cases/<str:case_id>", "cases/<str:case_id>/input", "sandbox/cases/<str:case_id>/reply"} <= paths
    assert {"client", "events", "webhooks/test", "cases/<str:case_id>/drafts/<str:draft_id>/approve"} <= paths
    assert all(route.methods for route in KEYED)


def test_whatever_a_route_names_is_known(theirs: Theirs) -> None:
    named = {name for route in KEYED for name in route.parameters}
    assert named == theirs.parameters.keys(), "say in `someone` what these are"


# --- No key, and keys that are no good ---


def unusable_keys() -> dict[str, Callable[[], str]]:
    now = timezone.now
    return {
        "revoked": lambda: ApiKeyFactory(revoked_at=now()).key,
        "expired": lambda: ApiKeyFactory(expires_at=now() - timedelta(seconds=1)).key,
        "inactive": lambda: ApiKeyFactory(is_active=False).key,
        "of an inactive client": lambda: ApiKeyFactory(client__is_active=False).key,
    }


@pytest.mark.parametrize(("route", "method"), CALLS, ids=name_of)
@pytest.mark.parametrize("key", [None, "", "offload_live_unknown"], ids=["none", "empty", "unknown"])
def test_without_a_known_key_nobody_gets_in(theirs: Theirs, route: Route, method: str, key: str | None) -> None:
    response = call(route, method, key, theirs.parameters)
    assert code_of(response) == (401, "UNAUTHORIZED")
    assert SECRET not in response.content.decode()
    assert_untouched(theirs)


@pytest.mark.parametrize(("route", "method"), CALLS, ids=name_of)
@pytest.mark.parametrize("kind", list(unusable_keys()))
def test_a_key_that_was_good_once_is_forbidden(theirs: Theirs, route: Route, method: str, kind: str) -> None:
    key = unusable_keys()[kind]()
    own = CaseFactory(client=ApiKey.objects.get(prefix=key[:17]).client)
    response = call(route, method, key, {**theirs.parameters, "case_id": own.pk})
    assert code_of(response) == (403, "FORBIDDEN")
    own.refresh_from_db()
    assert own.version == 1


# --- A good key, and what is another's ---


@pytest.mark.parametrize(("route", "method"), OF_A_CASE, ids=name_of)
@pytest.mark.parametrize("is_test", [True, False], ids=["test key", "live key"])
def test_anothers_case_is_forbidden_and_nothing_is_said_about_it(
    theirs: Theirs, route: Route, method: str, is_test: bool
) -> None:
    key = ApiKeyFactory(is_test=is_test).key
    response = call(route, method, key, theirs.parameters)
    assert code_of(response) == (403, "FORBIDDEN")
    assert SECRET not in response.content.decode()
    bare = call(route, method, key, {**theirs.parameters, "case_id": CaseFactory().pk})
    assert (bare.status_code, bare.content) == (403, response.content)  # whatever state it is in
    assert_untouched(theirs)


@pytest.mark.parametrize(("route", "method"), OF_A_CASE, ids=name_of)
def test_anothers_case_takes_as_many_queries_as_one_that_is_not_there(
    theirs: Theirs, route: Route, method: str
) -> None:
    """What takes no longer tells nothing by the time it takes: not even how much there is of the case."""
    key = ApiKeyFactory(is_test=True).key

    def queries(case_id: Any) -> int:
        with CaptureQueriesContext(connection) as captured:
            call(route, method, key, {**theirs.parameters, "case_id": case_id})
        return len(captured)

    nowhere = queries("00000000-0000-4000-8000-000000000000")
    assert queries(theirs.case.pk) == queries(CaseFactory().pk) == nowhere == 2


@pytest.mark.parametrize(("route", "method"), [pair for pair in OF_A_CASE if len(pair[0].parameters) > 1], ids=name_of)
def test_what_belongs_to_anothers_case_is_not_found_on_ones_own(theirs: Theirs, route: Route, method: str) -> None:
    key = ApiKeyFactory(is_test=True)
    own = CaseFactory(client=key.client)
    response = call(route, method, key.key, {**theirs.parameters, "case_id": own.pk})
    assert response.status_code == 404
    assert SECRET not in response.content.decode()


@pytest.mark.parametrize(
    ("route", "method"), [pair for pair in CALLS if "case_id" not in pair[0].parameters], ids=name_of
)
def test_what_is_not_of_one_case_says_nothing_of_another_client(theirs: Theirs, route: Route, method: str) -> None:
    key = ApiKeyFactory(is_test=True).key
    response = call(route, method, key, theirs.parameters)
    assert SECRET not in response.content.decode()
    assert response.status_code < 500
    if route.parameters:
        assert response.status_code in {403, 404}
    assert_untouched(theirs)


@pytest.mark.parametrize(("route", "method"), OF_A_CASE, ids=name_of)
def test_a_test_key_sees_its_clients_live_cases_and_plays_none_of_them(route: Route, method: str) -> None:
    """Keys are a client's; only the sandbox is for test keys, and only sandbox cases are in it."""
    live = someone(is_test=False, transport="email")
    response = call(route, method, live.key.key, live.parameters)  # type: ignore[attr-defined]
    if route.path.startswith("sandbox/"):
        assert code_of(response) == (409, "NOT_A_SANDBOX_CASE")
        assert_untouched(live)
    elif route.path.endswith("/reopen"):  # what it makes would be a live case
        assert code_of(response) == (403, "FORBIDDEN")
        assert_untouched(live)
    else:
        assert response.status_code not in {401, 403, 404}


@pytest.mark.parametrize(
    ("route", "method"), [pair for pair in OF_A_CASE if pair[0].path.startswith("sandbox/")], ids=name_of
)
def test_a_live_key_has_no_sandbox(theirs: Theirs, route: Route, method: str) -> None:
    live = ApiKeyFactory(client=theirs.key.client)
    assert code_of(call(route, method, live.key, theirs.parameters)) == (403, "FORBIDDEN")
    assert_untouched(theirs)


def assert_untouched(theirs: Theirs) -> None:
    before = theirs.case
    after = Case.objects.get(pk=before.pk)
    assert (after.version, after.status, after.updated_at) == (before.version, before.status, before.updated_at)
    assert json.dumps(after.metadata) == json.dumps(before.metadata)
    assert sorted(after.messages.values_list("status", flat=True)) == ["DRAFT", "RECEIVED"]
    assert after.input_requests.get().status == "PENDING"
    assert after.deliveries.get().state == "DELIVERED"
