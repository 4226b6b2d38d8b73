"""GET /cases: a client's own cases, newest first, page by page."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core import signing
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cases.factories import ApiKeyFactory, AttachmentFactory, CaseFactory, InputRequestFactory, MessageFactory
from cases.models import Case, RequestStatus, Status
from cases.tests.conftest import VALID, Api, error_of

NOON = datetime(2026, 3, 1, 12, 0, 0, 123000, tzinfo=UTC)
NOON_MS = 1772366400123


def cases_of(api: Api, count: int, **fields: Any) -> list[Case]:
    """So many cases, a minute apart, the newest first."""
    at = [NOON - timedelta(minutes=number) for number in range(count)]
    return [CaseFactory(client=api.key.client, **{"created_at": moment, **fields}) for moment in at]


def listed(api: Api, **query: Any) -> list[str]:
    return [case["caseId"] for case in page(api, **query)["cases"]]


def page(api: Api, **query: Any) -> Any:
    response = api.get("/cases", **query)
    assert response.status_code == 200, response.content
    data = response.json()["data"]
    assert data.keys() == {"cases", "nextCursor"}
    return data


def ids(cases: list[Case]) -> list[str]:
    return [str(case.pk) for case in cases]


def test_own_cases_come_newest_first_and_each_as_by_itself(api: Api) -> None:
    CaseFactory()  # somebody else's
    older = InputRequestFactory(case__client=api.key.client, case__created_at=NOON).case
    newer_id = api.post("/cases", VALID).json()["data"]["caseId"]
    AttachmentFactory(message__case=older)
    assert page(api) == {
        "cases": [api.get(f"/cases/{case_id}").json()["data"] for case_id in (newer_id, older.pk)],
        "nextCursor": None,
    }
    [_, shown] = page(api)["cases"]
    assert (shown["inputRequest"]["status"], len(shown["attachments"])) == ("PENDING", 1)


def test_without_cases_the_list_is_empty(api: Api) -> None:
    assert page(api) == {"cases": [], "nextCursor": None}


def test_pages_follow_each_other_without_gap_and_without_overlap(api: Api) -> None:
    expected = ids(cases_of(api, 7))
    first = page(api, limit=3)
    second = page(api, limit=3, cursor=first["nextCursor"])
    third = page(api, limit=3, cursor=second["nextCursor"])
    found = [[case["caseId"] for case in each["cases"]] for each in (first, second, third)]
    assert found == [expected[:3], expected[3:6], expected[6:]]
    assert third["nextCursor"] is None


def test_cases_of_one_moment_are_all_listed_once(api: Api) -> None:
    expected = set(ids(cases_of(api, 5, created_at=NOON)))
    found, cursor = [], {}
    while True:
        data = page(api, limit=2, **cursor)
        found += [case["caseId"] for case in data["cases"]]
        if data["nextCursor"] is None:
            break
        cursor = {"cursor": data["nextCursor"]}
    assert len(found) == 5
    assert set(found) == expected


def test_a_case_that_comes_meanwhile_moves_no_page(api: Api) -> None:
    expected = ids(cases_of(api, 4))
    first = page(api, limit=2)
    newer = CaseFactory(client=api.key.client)
    assert listed(api, limit=2, cursor=first["nextCursor"]) == expected[2:]
    assert listed(api, limit=1) == [str(newer.pk)]


def test_a_page_that_is_just_full_is_the_last(api: Api) -> None:
    cases_of(api, 2)
    assert page(api, limit=2)["nextCursor"] is None


def test_fifty_are_a_page_unless_asked_otherwise(api: Api) -> None:
    expected = ids(cases_of(api, 51))
    assert listed(api) == expected[:50]
    assert listed(api, limit=100) == expected


def test_filters(api: Api) -> None:
    newest, middle, oldest = cases_of(api, 3)
    Case.objects.filter(pk=middle.pk).update(client_reference_id="order-1")
    Case.objects.filter(pk=oldest.pk).update(client_reference_id="order-12", status=Status.RUNNING)
    assert listed(api, status="RUNNING") == ids([oldest])
    assert listed(api, status="CREATED") == ids([newest, middle])
    assert listed(api, clientReferenceId="order-1") == ids([middle])
    assert listed(api, clientReferenceId="order-1", status="RUNNING") == []
    assert listed(api, createdAfter=NOON_MS - 60_000) == ids([newest])
    assert listed(api, createdBefore=NOON_MS) == ids([middle, oldest])
    assert listed(api, createdAfter=NOON_MS - 120_000, createdBefore=NOON_MS) == ids([middle])
    assert listed(api, status="RUNNING", unknown="1") == ids([oldest])


WHOLE = "A valid integer is required."


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"status": "OPEN"}, '"OPEN" is not a valid choice.'),
        ({"status": ""}, '"" is not a valid choice.'),
        ({"limit": "0"}, "Ensure this value is greater than or equal to 1."),
        ({"limit": "101"}, "Ensure this value is less than or equal to 100."),
        ({"limit": "ten"}, WHOLE),
        ({"limit": ""}, WHOLE),
        ({"limit": " 5"}, WHOLE),
        ({"limit": "٣"}, WHOLE),
        ({"createdAfter": "2026-03-01"}, WHOLE),
        ({"createdAfter": "-1"}, WHOLE),
        ({"createdBefore": "1.5"}, WHOLE),
        ({"createdBefore": "253402300800000"}, "Ensure this value is less than or equal to 253402300799999."),
        ({"limit": ["1", "2"]}, "Must be given once."),
        ({"cursor": "nonsense"}, "Not a nextCursor of this list with these filters."),
        ({"cursor": ""}, "This field may not be blank."),
    ],
)
def test_a_wrong_parameter_is_refused(api: Api, query: dict[str, Any], message: str) -> None:
    response = api.get("/cases", **query)
    assert error_of(response) == (400, "INVALID_REQUEST")
    [name] = query
    assert response.json()["error"]["details"] == [{"path": name, "message": message}]


def test_a_cursor_is_good_for_its_own_list_only(api: Api) -> None:
    cases_of(api, 3)
    cursor = page(api, limit=1)["nextCursor"]
    assert error_of(api.get("/cases", cursor=cursor, status="CREATED")) == (400, "INVALID_REQUEST")
    other = Api(ApiKeyFactory(), api.client)
    assert error_of(other.get("/cases", cursor=cursor)) == (400, "INVALID_REQUEST")
    forged = signing.Signer(salt="another").sign_object(["", []])
    assert error_of(api.get("/cases", cursor=forged)) == (400, "INVALID_REQUEST")


def test_a_list_takes_as_many_queries_for_many_cases_as_for_one(api: Api) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as found:
            page(api)
        return len(found)

    def add() -> None:
        question = InputRequestFactory(case__client=api.key.client, status=RequestStatus.RESOLVED)
        InputRequestFactory(case=question.case)
        AttachmentFactory(message__case=question.case)
        MessageFactory(case=question.case)

    add()
    few = queries()
    for _ in range(9):
        add()
    assert queries() == few == 4  # key, cases, questions, attachments
