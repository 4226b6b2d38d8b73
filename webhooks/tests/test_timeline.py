"""What the page of a case tells of its webhooks."""

from datetime import timedelta
from typing import Any

import pytest

from cases import work
from cases.events import record
from cases.factories import CaseFactory
from cases.models import Case
from webhooks import timeline
from webhooks.models import Attempt, Delivery, DeliveryState, Endpoint

pytestmark = pytest.mark.django_db
URL = "https://client.example/hook?token=secret"


def told(**fields: Any) -> Delivery:
    """A delivery of a case that has just failed."""
    case: Case = CaseFactory(status="FAILED", client_webhook_url=URL)
    case.now = work.now()
    record(case, "case.failed", resultStatus="cancelled", reason="")
    Delivery.objects.filter(case=case).update(**fields)
    delivery: Delivery = Delivery.objects.get(case=case)
    return delivery


def attempt(delivery: Delivery, number: int, **fields: Any) -> Attempt:
    started_at = delivery.created_at + timedelta(minutes=number)
    return Attempt.objects.create(
        delivery=delivery, number=number, **{"started_at": started_at, "duration_ms": 120, **fields}
    )


def test_deliveries_and_attempts_are_told_in_words() -> None:
    delivery = told(state=DeliveryState.DELIVERED, attempt_count=3)
    attempt(delivery, 1, error="ConnectTimeout")
    attempt(delivery, 2, status=503, response_body="<b>busy</b>")
    attempt(delivery, 3, status=204, response_body="not to be read")
    part = timeline.of_case(delivery.case, 10)
    lines = sorted(part.lines, key=lambda line: line.at)
    assert [(line.words, line.said, line.who) for line in lines] == [
        ("The client is to hear that the case has failed: delivered, after 3 attempts", "", ""),
        (
            "Attempt 1 to tell that the case has failed: no answer, after 0.1 s",
            "ConnectTimeout",
            "https://client.example",
        ),
        (
            "Attempt 2 to tell that the case has failed: answered 503 after 0.1 s",
            "<b>busy</b>",
            "https://client.example",
        ),
        ("Attempt 3 to tell that the case has failed: answered 204 after 0.1 s", "", "https://client.example"),
    ]
    assert {line.kind for line in lines} == {"webhooks"}
    assert {link.permission for line in lines for link in line.links} == {"webhooks.view_delivery"}
    assert "secret" not in str(part)  # the URL may hold one


@pytest.mark.parametrize(
    ("state", "words", "is_urgent"),
    [
        (DeliveryState.WAITING, "to be delivered", False),
        (DeliveryState.EXHAUSTED, "given up after the last attempt", True),
        (DeliveryState.FAILED, "could not be attempted", True),
        (DeliveryState.PARKED, "kept, since its endpoint is parked", False),
    ],
)
def test_what_has_not_arrived_says_why(state: str, words: str, is_urgent: bool) -> None:
    delivery = told(state=state, note="Nobody is there.", due_at=None)
    [line] = timeline.of_case(delivery.case, 10).lines
    assert line.words == f"The client is to hear that the case has failed: {words}"
    assert (line.said, line.is_urgent) == ("Nobody is there.", is_urgent)


def test_the_endpoint_is_named_with_how_it_is() -> None:
    case = told().case
    [link] = timeline.of_case(case, 10).links
    assert link.words == "The endpoint https://client.example"
    Endpoint.objects.update(parked_at=work.now())
    [link] = timeline.of_case(case, 10).links
    assert link.words == "The endpoint https://client.example, parked: it gets nothing"
    assert link.permission == "webhooks.view_endpoint"


def test_a_case_without_webhooks_adds_nothing() -> None:
    part = timeline.of_case(CaseFactory(), 10)
    assert (part.lines, part.links) == ([], [])
    other = told()  # another client's endpoint of the same address
    assert timeline.of_case(CaseFactory(client_webhook_url=URL), 10).links == []
    assert Endpoint.objects.get().client_id == other.client_id


def test_only_so_many_lines_and_queries(django_assert_num_queries: Any) -> None:
    delivery = told()
    for number in range(1, 6):
        attempt(delivery, number, status=500)
    case = delivery.case
    with django_assert_num_queries(2):
        part = timeline.of_case(case, 3)
    assert [line.words[:9] for line in part.lines[1:]] == ["Attempt 5", "Attempt 4", "Attempt 3"]
