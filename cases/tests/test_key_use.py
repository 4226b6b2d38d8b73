"""When a key was last used."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from cases import database, key_use
from cases.factories import ApiKeyFactory

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def writer(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> ThreadPoolExecutor:
    settings.OFFLOAD_KEY_USE_SECONDS = 60.0
    monkeypatch.setattr(key_use, "_writer", ThreadPoolExecutor(1))
    monkeypatch.setattr(key_use, "_noted_at", {})
    return key_use._writer


def test_a_request_says_when_its_key_was_used_without_waiting_for_it(
    client: Client, writer: ThreadPoolExecutor, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    key, other = ApiKeyFactory(), ApiKeyFactory()
    before = database.now()
    with django_assert_num_queries(1):
        client.get("/cases/unknown", headers={"x-api-key": key.key})
    writer.shutdown()
    key.refresh_from_db()
    other.refresh_from_db()
    assert before <= key.last_used_at <= database.now()
    assert other.last_used_at is None


def test_a_key_that_is_used_all_the_time_is_written_once_a_minute(writer: ThreadPoolExecutor) -> None:
    key = ApiKeyFactory()
    assert [key_use._is_news(key.pk, at) for at in (1000.0, 1000.1, 1059.9, 1060.0, 1061.0)] == [
        True,
        False,
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(("seconds_ago", "is_written"), [(59, False), (61, True)])
def test_what_another_process_has_just_written_is_left(
    writer: ThreadPoolExecutor, seconds_ago: int, is_written: bool
) -> None:
    at = database.now() - timedelta(seconds=seconds_ago)
    key = ApiKeyFactory(last_used_at=at)
    key_use.write(key.pk)
    key.refresh_from_db()
    assert (key.last_used_at != at) is is_written


def test_a_key_that_is_refused_was_not_used(client: Client, writer: ThreadPoolExecutor) -> None:
    key = ApiKeyFactory(is_active=False)
    client.get("/cases/unknown", headers={"x-api-key": key.key})
    writer.shutdown()
    key.refresh_from_db()
    assert key.last_used_at is None
