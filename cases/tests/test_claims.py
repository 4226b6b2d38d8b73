"""One person at a time works at a question or a draft, and nothing that clients see changes by it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections

from cases import claims, correspondence, services, work
from cases.claims import ClaimedByAnother, NotOpen
from cases.errors import CaseError
from cases.factories import CaseFactory, InputRequestFactory
from cases.models import Case, Draft, InputRequest, Message, Purpose, RequestStatus
from cases.tests.staff import staff_user

pytestmark = [pytest.mark.engine, pytest.mark.django_db(transaction=True)]
PEOPLE = 6


@pytest.fixture
def ann() -> User:
    return staff_user("ann", "change_case")


@pytest.fixture
def zoe() -> User:
    return staff_user("zoe", "change_case")


def asked_ago(minutes: int, **fields: Any) -> InputRequest:
    question: InputRequest = InputRequestFactory(requested_at=work.now() - timedelta(minutes=minutes), **fields)
    return question


def waiting_draft() -> Draft:
    case = CaseFactory(review_mode="all")
    with work.transaction():
        locked = Case.objects.locked(case.pk)
        message = correspondence.queue(locked, purpose=Purpose.OUTREACH, subject="Invoice", text="Hi.", is_draft=True)
    draft: Draft = Draft.objects.get(pk=message.pk)
    return draft


def item_of(kind: str) -> Any:
    return asked_ago(5) if kind == "question" else waiting_draft()


def holder(item: Any) -> str:
    found = type(item).objects.get(pk=item.pk).holder(work.now())
    return found.username if found else ""


@pytest.mark.parametrize("kind", ["question", "draft"])
def test_what_one_person_has_taken_nobody_else_takes(kind: str, ann: User, zoe: User) -> None:
    item = item_of(kind)
    claims.claim(item, ann)
    with pytest.raises(ClaimedByAnother, match=r"^ann has taken it since"):
        claims.claim(item, zoe)
    claims.claim(item, ann)  # again does no harm
    claims.release(item, zoe)  # it is not theirs to let go of
    assert holder(item) == "ann"
    claims.release(item, ann)
    claims.claim(item, zoe)
    assert holder(item) == "zoe"


@pytest.mark.parametrize("kind", ["question", "draft"])
def test_clients_see_nothing_of_claims(kind: str, ann: User, zoe: User) -> None:
    item = item_of(kind)
    case = Case.objects.get(pk=item.case_id)
    claims.claim(item, ann)
    claims.keep(item, ann)
    claims.take_over(item, zoe, actor="staff zoe")
    claims.hand_over(item, ann, by=zoe, note="Yours.", actor="staff zoe")
    claims.release(item, ann)
    after = Case.objects.get(pk=item.case_id)
    assert (after.version, after.updated_at, after.due_at) == (case.version, case.updated_at, case.due_at)
    assert kind == "question" or Draft.objects.waiting().count() == 1  # a draft that outlives all that


def test_a_claim_ends_when_nobody_has_been_at_it_for_a_while(ann: User, zoe: User) -> None:
    question = asked_ago(60)
    claims.claim(question, ann)
    InputRequest.objects.update(claimed_at=work.now() - timedelta(minutes=30))
    assert claims.keep(question, ann)
    since = InputRequest.objects.get().claimed_at
    assert since is not None  # a sign of life does not begin it anew
    assert work.now() - since > timedelta(minutes=29)
    InputRequest.objects.update(claimed_until=work.now() - timedelta(seconds=1))
    assert holder(question) == ""
    assert not claims.keep(question, ann)  # too late: it may be somebody else's in a moment
    claims.claim(question, zoe)
    assert holder(question) == "zoe"


def test_taking_over_stands_on_the_timeline_and_needs_somebody_to_take_it_from(ann: User, zoe: User) -> None:
    question = asked_ago(5)
    claims.take_over(question, ann, actor="staff ann")
    assert not question.case.events.exists()
    claims.take_over(question, zoe, actor="staff zoe")
    event = question.case.events.get()
    assert (event.type, event.actor) == ("question.taken_over", "staff zoe")
    assert event.data == {"inputRequestId": str(question.pk), "from": "staff ann"}


def test_what_is_handed_over_is_for_the_colleague_alone(ann: User, zoe: User) -> None:
    question = asked_ago(5)
    claims.claim(question, ann)
    claims.hand_over(question, zoe, by=ann, note="You know them.", actor="staff ann")
    row = InputRequest.objects.get()
    assert (row.assigned_to, row.assignment_note, row.claimed_by) == (zoe, "You know them.", None)
    event = question.case.events.get()
    assert (event.type, event.actor) == ("question.handed_over", "staff ann")
    assert event.data == {
        "inputRequestId": str(question.pk),
        "to": "zoe",
        "toUserId": zoe.pk,
        "note": "You know them.",
    }
    assert claims.claim_next(InputRequest, ann) is None
    assert claims.claim_next(InputRequest, zoe) == question


def test_what_a_colleague_works_at_is_not_handed_over(ann: User, zoe: User) -> None:
    question = asked_ago(5)
    claims.claim(question, ann)
    with pytest.raises(ClaimedByAnother):
        claims.hand_over(question, zoe, by=zoe, note="", actor="staff zoe")
    assert InputRequest.objects.get().assigned_to is None


def test_the_next_one_is_the_longest_waiting_that_is_free(ann: User, zoe: User) -> None:
    oldest, older, newer = asked_ago(30), asked_ago(20), asked_ago(10)
    asked_ago(40, status=RequestStatus.RESOLVED)
    claims.claim(oldest, zoe)
    assert claims.claim_next(InputRequest, ann) == older
    assert claims.claim_next(InputRequest, ann, after=older) == newer
    assert holder(older) == ""  # what is left is let go of
    assert claims.claim_next(InputRequest, ann, after=newer) == older  # from the beginning
    claims.hand_over(newer, ann, by=ann, note="", actor="staff ann")
    claims.release(older, ann)
    assert claims.claim_next(InputRequest, ann) == newer  # what is handed to them comes first


def test_what_is_settled_can_not_be_taken(ann: User) -> None:
    question = asked_ago(5)
    services.provide_input(case_id=question.case_id, input_request_id=question.pk, provided_context="Yes.")
    with pytest.raises(NotOpen):
        claims.claim(question, ann)
    with pytest.raises(NotOpen):
        claims.take_over(question, ann, actor="staff ann")
    with pytest.raises(NotOpen):
        claims.hand_over(question, ann, by=ann, note="", actor="staff ann")
    assert [event.type for event in question.case.events.all()] == ["input.provided"]


def test_colleagues_are_active_staff_who_may_act(ann: User, zoe: User) -> None:
    staff_user("viewer", "view_case")
    User.objects.create_user("gone", is_staff=True, is_superuser=True, is_active=False)
    boss = User.objects.create_superuser("boss")
    assert list(claims.colleagues(ann, "cases.change_case")) == [boss, zoe]


# --- Races ------------------------------------------------------------------------------------------


def at_once(act: Any, people: list[User]) -> list[Any]:
    """What `act` gives or raises for each of them, begun at the same moment."""
    barrier = Barrier(len(people))

    def one(person: User) -> Any:
        barrier.wait(timeout=20)
        try:
            return act(person)
        except CaseError as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(people)) as pool:
        return list(pool.map(one, people))


def people() -> list[User]:
    return [staff_user(f"p{number}", "change_case") for number in range(PEOPLE)]


def test_of_many_who_take_it_at_once_one_has_it() -> None:
    question = asked_ago(5)
    outcomes = at_once(lambda person: claims.claim(question, person), people())
    lost = [outcome for outcome in outcomes if isinstance(outcome, ClaimedByAnother)]
    assert (outcomes.count(None), len(lost)) == (1, PEOPLE - 1)
    assert {error.holder.username for error in lost} == {holder(question)}


def test_many_who_ask_for_the_next_one_at_once_get_different_ones() -> None:
    questions = [asked_ago(minutes) for minutes in range(1, PEOPLE)]  # one too few
    got = at_once(lambda person: claims.claim_next(InputRequest, person), people())
    assert got.count(None) == 1
    assert {question.pk for question in got if question} == {question.pk for question in questions}


def test_an_answer_and_a_claim_at_once_leave_one_answer(ann: User, zoe: User) -> None:
    question = asked_ago(5)

    def act(person: User) -> Any:
        if person == ann:
            return claims.claim(question, ann)
        return services.provide_input(
            case_id=question.case_id, input_request_id=question.pk, provided_context="Yes.", actor="client key"
        )

    outcomes = at_once(act, [ann, zoe])
    assert not isinstance(outcomes[1], CaseError)  # a claim keeps colleagues away, not the client
    assert outcomes[0] is None or isinstance(outcomes[0], NotOpen)
    question.refresh_from_db()
    assert (question.status, question.answered_by) == (RequestStatus.RESOLVED, "client key")
    assert Message.objects.count() == 0
