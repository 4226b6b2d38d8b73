"""Limits on requests: of a key, and of an address without one."""

from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from cases.client_address import counted_as
from cases.factories import ApiKeyFactory, CaseFactory
from cases.models import Case
from cases.tests.conftest import VALID, Api, error_of

pytestmark = pytest.mark.django_db
LIMITS = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")


@pytest.fixture(autouse=True)
def limits(settings: Settings) -> None:
    settings.OFFLOAD_RATE_PER_MINUTE, settings.OFFLOAD_RATE_BURST = 60, 2


def headers_of(response: Any) -> list[str]:
    return [response[name] for name in LIMITS]


def test_beyond_its_rate_a_key_is_told_when_to_come_again(api: Api) -> None:
    case = CaseFactory(client=api.key.client)
    assert headers_of(api.get(f"/cases/{case.pk}")) == ["2", "1", "1"]
    assert headers_of(api.get("/cases/unknown")) == ["2", "0", "2"]
    refused = api.post("/cases", VALID)
    assert error_of(refused) == (429, "RATE_LIMITED")
    assert headers_of(refused) == ["2", "0", "2"]
    assert refused["Retry-After"] == "1"
    assert Case.objects.count() == 1


def test_each_key_has_its_own_rate(api: Api, client: Client) -> None:
    other = Api(ApiKeyFactory(client=api.key.client), client)
    assert [api.get("/cases/unknown").status_code for _ in range(3)] == [404, 404, 429]
    assert other.get("/cases/unknown").status_code == 404


def test_a_burst_is_a_minutes_worth_unless_it_is_set(api: Api, settings: Settings) -> None:
    settings.OFFLOAD_RATE_BURST = 0
    assert api.get("/cases/unknown")["RateLimit-Limit"] == "60"


def test_without_a_limit_nothing_is_said_of_one(api: Api, settings: Settings) -> None:
    settings.OFFLOAD_RATE_PER_MINUTE = 0
    response = [api.get("/cases/unknown") for _ in range(5)][-1]
    assert response.status_code == 404
    assert not [name for name in LIMITS if name in response]


def test_counting_asks_no_database(api: Api, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1):  # the key
        api.get("/cases/unknown")


def test_routes_without_a_key_know_no_limit(client: Client) -> None:
    assert [client.get("/healthz").status_code for _ in range(4)] == [200] * 4
    assert "RateLimit-Limit" not in client.get("/schema")


def test_an_address_that_guesses_keys_is_stopped_and_locks_nobody_out(api: Api, settings: Settings) -> None:
    settings.OFFLOAD_FAILED_KEYS_PER_MINUTE = 3
    good: Any = api.key

    def statuses(address: str, key: str, times: int) -> list[int]:
        headers = {"x-api-key": key}
        get = api.client.get
        return [get("/cases/unknown", headers=headers, REMOTE_ADDR=address).status_code for _ in range(times)]

    revoked: Any = ApiKeyFactory(is_active=False)
    assert statuses("198.51.100.1", "offload_live_guess", 2) == [401, 401]
    assert statuses("198.51.100.1", revoked.key, 1) == [403]
    assert statuses("198.51.100.1", "", 2) == [429, 429]
    assert statuses("198.51.100.1", good.key, 1) == [404]
    assert statuses("198.51.100.2", "offload_live_guess", 1) == [401]
    refused = api.client.get("/cases/unknown", REMOTE_ADDR="198.51.100.1")
    assert error_of(refused) == (429, "RATE_LIMITED")
    assert 1 <= int(refused["Retry-After"]) <= 20


def test_behind_a_proxy_the_address_is_the_one_it_has_seen(client: Client, settings: Settings) -> None:
    settings.OFFLOAD_FAILED_KEYS_PER_MINUTE = 1

    def status(forwarded: str) -> int:
        headers = {"x-forwarded-for": forwarded}
        return client.get("/cases/unknown", headers=headers, REMOTE_ADDR="192.0.2.77").status_code

    assert [status("198.51.100.8"), status("198.51.100.9")] == [401, 429]  # anybody can send the header
    settings.OFFLOAD_BEHIND_PROXY = True
    assert [status("203.0.113.5, 198.51.100.8"), status("203.0.113.6, 198.51.100.8")] == [401, 429]
    assert status("198.51.100.8, 203.0.113.6") == 401
    assert status("no address") == 429  # that of the proxy itself, as before


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("198.51.100.8", "198.51.100.8"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("", ""),
        ("unix:", "unix:"),
    ],
)
def test_an_address_is_counted_by_who_holds_it(address: str, name: str) -> None:
    assert counted_as(address) == name
