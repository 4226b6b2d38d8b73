"""Who gets in, and what the others are told."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from cases.factories import ApiKeyFactory, CaseFactory
from cases.models import ApiKey
from cases.tests.conftest import Api, error_of

pytestmark = pytest.mark.django_db
ROUTES = [
    ("post", "/cases"),
    ("get", "/cases/{case}"),
    ("get", "/cases/{case}?includeTranscript=true"),
    ("get", "/cases/{case}/attachments/00000000-0000-4000-8000-000000000000"),
    ("post", "/cases/{case}/input"),
    ("post", "/cases/{case}/cancel"),
]
at_every_route = pytest.mark.parametrize(("method", "path"), ROUTES)


def call(client: Client, method: str, path: str, key: str | None) -> Any:
    headers = {} if key is None else {"x-api-key": key}
    return getattr(client, method)(path, content_type="application/json", headers=headers)


@at_every_route
@pytest.mark.parametrize("key", [None, "", "offload_live_unknown", "x" * 5000, "ключ", "\x00", "\udc80", "a\xff\xfeb"])
def test_without_a_known_key_nobody_gets_in(client: Client, method: str, path: str, key: str | None) -> None:
    response = call(client, method, path.format(case=CaseFactory().pk), key)
    assert error_of(response) == (401, "UNAUTHORIZED")
    assert response["WWW-Authenticate"] == "x-api-key"


def unusable() -> list[ApiKey]:
    now = timezone.now()
    return [
        ApiKeyFactory(is_active=False),
        ApiKeyFactory(client__is_active=False),
        ApiKeyFactory(expires_at=now - timedelta(seconds=1)),
        ApiKeyFactory(revoked_at=now),
    ]


@at_every_route
def test_a_key_that_was_good_once_is_forbidden(client: Client, method: str, path: str) -> None:
    for key in unusable():
        case = CaseFactory(client=key.client)
        response = call(client, method, path.format(case=case.pk), key.key)  # type: ignore[attr-defined]
        assert error_of(response) == (403, "FORBIDDEN")


@pytest.mark.parametrize(("method", "path"), ROUTES[1:])
def test_another_clients_case_is_forbidden_and_nothing_is_said_about_it(api: Api, method: str, path: str) -> None:
    case = CaseFactory(client_reference_id="secret-reference")
    response = getattr(api, method)(path.format(case=case.pk))
    assert response.json() == {"ok": False, "error": {"code": "FORBIDDEN", "message": "You may not see this case."}}
    assert response.status_code == 403
    case.refresh_from_db()
    assert (case.status, case.version) == ("CREATED", 1)


def test_another_key_of_the_same_client_sees_the_case(client: Client) -> None:
    case = CaseFactory()
    key = ApiKeyFactory(client=case.client, expires_at=timezone.now() + timedelta(hours=1))
    assert call(client, "get", f"/cases/{case.pk}", key.key).status_code == 200


def test_the_key_is_looked_up_by_one_query(api: Api, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        api.get("/cases/not-a-uuid")


def test_a_key_is_not_kept_in_clear() -> None:
    key = ApiKeyFactory()
    secret = key.key.rpartition("_")[2]
    for value in vars(ApiKey.objects.get(pk=key.pk)).values():
        assert secret not in str(value)
    assert len(key.prefix) == 17
    assert key.key.startswith(key.prefix)
