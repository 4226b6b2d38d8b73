"""`Idempotency-Key`: one case for one key, whatever happens at the same time or midway."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from cases import idempotency, services, work
from cases.factories import ApiKeyFactory, ClientFactory
from cases.models import ApiKey, Case, Event, IdempotencyKey
from cases.tests.conftest import VALID, Api, body_with, error_of
from cases.tests.engine import in_threads

KEY = "order-4711"
DAY = timedelta(hours=24)


@pytest.fixture
def key(transactional_db: None) -> ApiKey:
    return ApiKeyFactory(is_test=True)


def post(key: ApiKey, body: Any = None, idempotency_key: str = KEY, path: str = "/cases") -> Any:
    headers = {"x-api-key": key.key, "Idempotency-Key": idempotency_key}  # type: ignore[attr-defined]
    return Client().post(path, VALID if body is None else body, content_type="application/json", headers=headers)


def at_once(count: int, act: Callable[[], Any]) -> list[Any]:
    """The answers to so many requests at once; more than the pool has connections, as it is in the service."""

    def attempt(number: int) -> Any:
        try:
            return act()
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(attempt, range(count)))


def is_replayed(response: Any) -> bool:
    replayed: str | None = response.headers.get("Idempotent-Replayed")
    assert replayed in {None, "true"}
    return replayed == "true"


@pytest.mark.engine
def test_of_fifty_at_once_one_makes_the_case_and_the_others_get_its_answer(key: ApiKey) -> None:
    answers = at_once(50, lambda: post(key))
    case = Case.objects.get()
    for answer in answers:
        if answer.status_code == 201:
            assert answer.json() == {"ok": True, "data": {"caseId": str(case.pk)}}
        else:  # the machine is slow, and the first was still under way
            assert error_of(answer) == (409, "IDEMPOTENCY_KEY_IN_USE")
    assert Counter(is_replayed(answer) for answer in answers if answer.status_code == 201)[False] == 1
    assert (Event.objects.count(), IdempotencyKey.objects.count()) == (1, 1)
    assert is_replayed(again := post(key))  # whoever got 409 gets the answer a moment later
    assert again.json()["data"] == {"caseId": str(case.pk)}


@pytest.mark.engine
def test_the_first_is_waited_for_two_seconds_and_then_the_key_is_in_use(
    key: ApiKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slowly(*arguments: Any, **data: Any) -> Any:
        begun.set()
        assert go_on.wait(timeout=20)
        return record(*arguments, **data)

    record = services.record
    monkeypatch.setattr(services, "record", slowly)
    monkeypatch.setattr(idempotency, "WAIT_SECONDS", 0.5)

    def act(number: int) -> Any:
        if number == 0:
            return post(key)
        assert begun.wait(timeout=20)
        before = time.monotonic()
        answer = post(key)
        go_on.set()
        return answer, time.monotonic() - before

    first, (second, seconds) = in_threads(2, act)
    assert (first.status_code, is_replayed(first)) == (201, False)
    assert error_of(second) == (409, "IDEMPOTENCY_KEY_IN_USE")
    assert seconds >= 0.5
    assert is_replayed(third := post(key))
    assert third.json() == first.json()
    assert Case.objects.count() == 1


def test_it_is_waited_for_two_seconds() -> None:
    assert idempotency.WAIT_SECONDS == 2.0


@pytest.mark.engine
def test_a_crash_midway_leaves_nothing_behind(key: ApiKey, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any, **data: Any) -> None:
        assert IdempotencyKey.objects.count() == Case.objects.count() == 1  # both are inserted by now
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(services, "record", fail)
        assert error_of(post(key)) == (500, "INTERNAL_ERROR")
    assert (Case.objects.count(), IdempotencyKey.objects.count()) == (0, 0)
    answer = post(key)
    assert (answer.status_code, is_replayed(answer)) == (201, False)


@pytest.mark.engine
def test_after_a_day_the_key_makes_a_new_case(key: ApiKey) -> None:
    first = post(key)
    IdempotencyKey.objects.update(created_at=work.now() - DAY + timedelta(minutes=1))
    assert post(key).json() == first.json()
    IdempotencyKey.objects.update(created_at=work.now() - DAY)
    answers = at_once(10, lambda: post(key))
    assert len({answer.json()["data"]["caseId"] for answer in answers}) == 1
    assert (Case.objects.count(), IdempotencyKey.objects.count()) == (2, 1)


def test_another_body_under_the_same_key_is_refused(key: ApiKey) -> None:
    post(key)
    assert error_of(post(key, body_with("goal.objective", "Another one."))) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert Case.objects.count() == 1


def test_bodies_are_compared_by_what_they_say(key: ApiKey) -> None:
    first = post(key, b'{"maxAttempts": 3, "metadata": {"a": 1, "b": [2]}, %s' % _rest())
    same = post(key, b'{"metadata": {"b": [2.0],\n "a": 1e0}, "maxAttempts": 3.0, %s' % _rest())
    assert is_replayed(same)
    assert same.json() == first.json()
    ordered = post(key, b'{"maxAttempts": 3, "metadata": {"a": 1, "b": [true]}, %s' % _rest())
    assert error_of(ordered) == (422, "IDEMPOTENCY_KEY_REUSED")


def _rest() -> bytes:
    return (
        b'"channel": "EMAIL", "goal": {"objective": "Get it."}, "senderPersona": {"name": "Bob"},'
        b' "counterparty": {"address": "ann@supplier.example", "name": "Ann"}}'
    )


def test_a_request_that_fails_is_not_kept(key: ApiKey) -> None:
    assert error_of(post(key, body_with("counterparty.name", ""))) == (400, "INVALID_REQUEST")
    assert IdempotencyKey.objects.count() == 0
    assert post(key).status_code == 201


@pytest.mark.django_db
def test_clients_do_not_share_their_keys_nor_do_test_and_live(settings: Any) -> None:
    settings.OFFLOAD_LIVE_CASES = True
    owner = ClientFactory()
    test, live = ApiKeyFactory(client=owner, is_test=True), ApiKeyFactory(client=owner)
    assert post(test).status_code == post(ApiKeyFactory(is_test=True)).status_code == 201
    assert error_of(post(live)) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert post(ApiKeyFactory(client=owner, is_test=True)).json() == post(test).json()
    assert Case.objects.count() == 2


@pytest.mark.parametrize("name", ["", "a b", "é", "x" * 256, "a\tb"])
def test_a_malformed_key_is_refused(key: ApiKey, name: str) -> None:
    answer = post(key, idempotency_key=name)
    assert error_of(answer) == (400, "INVALID_REQUEST")
    fault = {"path": "Idempotency-Key", "message": "Must be 1 to 255 visible ASCII characters."}
    assert answer.json()["error"]["details"] == [fault]
    assert Case.objects.count() == 0


@pytest.mark.parametrize("name", ["!", "~" * 255])
def test_any_visible_characters_will_do(key: ApiKey, name: str) -> None:
    assert post(key, idempotency_key=name).status_code == 201
    assert is_replayed(post(key, idempotency_key=name))


def test_without_a_key_each_request_makes_a_case(api: Api) -> None:
    assert "Idempotent-Replayed" not in api.post("/cases", VALID).headers
    api.post("/cases", VALID)
    assert (Case.objects.count(), IdempotencyKey.objects.count()) == (2, 0)


@pytest.mark.engine
def test_expired_keys_go_a_few_at_a_time(key: ApiKey) -> None:
    old = work.now() - DAY
    for number in range(idempotency.CLEARED_AT_ONCE + 5):
        at = old - timedelta(minutes=number)
        IdempotencyKey.objects.create(
            client=key.client, key=str(number), fingerprint="", status=201, answer={}, created_at=at
        )
    post(key)
    assert sorted(IdempotencyKey.objects.values_list("key", flat=True)) == ["0", "1", "2", "3", "4", KEY]
