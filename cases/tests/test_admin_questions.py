"""The list of questions, and the page on which one is answered."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client as Browser
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from cases import services, work
from cases.factories import AttachmentFactory, CaseFactory, InputRequestFactory, MessageFactory
from cases.models import InputRequest, RequestStatus, Status
from cases.tests.staff import HOSTILE, assert_harmless, staff, told

LIST = "/admin/cases/inputrequest/"


@pytest.fixture
def clerk(db: None) -> Browser:
    return staff("view_case", "change_case")


def page_of(question: InputRequest) -> str:
    return reverse("admin:cases_inputrequest_change", args=[question.pk])


def asked_ago(hours: int, **fields: Any) -> InputRequest:
    return InputRequestFactory(requested_at=work.now() - timedelta(hours=hours), **fields)


def test_open_questions_come_first_and_the_longest_waiting_on_top(clerk: Browser) -> None:
    newer, older = asked_ago(1), asked_ago(5)
    answered = asked_ago(9, status=RequestStatus.RESOLVED)
    superseded = asked_ago(8, status=RequestStatus.SUPERSEDED)
    response = clerk.get(LIST)
    assert list(response.context["cl"].result_list) == [older, newer, superseded, answered]
    only_open = clerk.get(LIST, {"status__exact": "PENDING"})
    assert list(only_open.context["cl"].result_list) == [older, newer]
    assert "5 hours ago" in only_open.content.decode()


def test_the_page_has_all_that_an_answer_needs(clerk: Browser) -> None:
    case = CaseFactory(
        status=Status.INPUT_NEEDED, goal={"objective": "Get the total."}, constraints=["Never promise a date."]
    )
    question = InputRequestFactory(case=case, question="May we pay?", reason="They want 200 EUR.")
    AttachmentFactory(message=MessageFactory(case=case, direction="IN", text="200 EUR, please."), name="offer.pdf")
    response = clerk.get(page_of(question))
    html = response.content.decode()
    for shown in (
        "May we pay?",
        "They want 200 EUR.",
        "Get the total.",
        "Never promise a date.",
        "200 EUR, please.",
        "offer.pdf",
    ):
        assert shown in html, shown
    assert [form.name for form in response.context["actions"]] == [
        "reply",
        "complete",
        "wait",
        "pause",
        "fail",
        "cancel",
    ]


def test_an_answer_is_stored_with_who_gave_it(clerk: Browser) -> None:
    question = InputRequestFactory()
    response = clerk.post(page_of(question), {"provided_context": " Yes.\r\nUp to 250. "})
    assert (response.status_code, response.headers["location"]) == (302, LIST)
    question.refresh_from_db()
    assert (question.status, question.provided_context) == (RequestStatus.RESOLVED, "Yes.\nUp to 250.")
    assert question.answered_by == "staff ann0"
    event = question.case.events.get()
    assert (event.type, event.actor, event.data["answer"]) == ("input.provided", "staff ann0", "Yes.\nUp to 250.")
    assert LogEntry.objects.get().object_id == str(question.pk)


def test_after_an_answer_comes_the_next_open_question(clerk: Browser) -> None:
    first, second, third = asked_ago(3), asked_ago(2), asked_ago(1)
    answer = {"provided_context": "Yes."}
    assert clerk.post(page_of(second), answer).headers["location"] == page_of(third)
    assert clerk.post(page_of(third), answer).headers["location"] == page_of(first)
    assert clerk.post(page_of(first), answer).headers["location"] == LIST


def test_of_two_people_the_second_is_told_who_was_faster(clerk: Browser) -> None:
    question = InputRequestFactory()
    clerk.post(page_of(question), {"provided_context": "Yes."})
    second = staff("view_case", "change_case").post(page_of(question), {"provided_context": "No, never."})
    assert told(second) == ["Your answer was not stored. Someone was faster: staff ann0 has answered this question."]
    question.refresh_from_db()
    assert (question.provided_context, question.answered_by) == ("Yes.", "staff ann0")
    html = second.content.decode()
    assert "No, never." in html  # what was typed can still be copied
    assert '<textarea name="provided_context"' not in html
    assert question.case.events.count() == LogEntry.objects.count() == 1


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (RequestStatus.SUPERSEDED, "A later question has taken this one's place."),
        (RequestStatus.CLOSED, "The case has gone on without an answer, or has ended."),
    ],
)
def test_a_question_that_is_no_longer_asked_takes_no_answer(clerk: Browser, status: RequestStatus, why: str) -> None:
    question = InputRequestFactory(status=status)
    InputRequestFactory(case=question.case, requested_at=work.now() + timedelta(seconds=1))
    assert told(clerk.post(page_of(question), {"provided_context": "Yes."})) == [f"Your answer was not stored. {why}"]
    question.refresh_from_db()
    assert (question.status, question.provided_context) == (status, "")


def test_an_empty_answer_is_none(clerk: Browser) -> None:
    question = InputRequestFactory()
    response = clerk.post(page_of(question), {"provided_context": " \r\n "})
    assert "This field is required." in response.content.decode()
    question.refresh_from_db()
    assert question.is_pending


def test_a_get_never_answers(clerk: Browser) -> None:
    question = InputRequestFactory()
    assert clerk.get(page_of(question), {"provided_context": "Yes."}).status_code == 200
    question.refresh_from_db()
    assert question.is_pending


def test_who_may_only_look_can_not_answer(db: None) -> None:
    question, viewer = InputRequestFactory(), staff("view_case")
    html = viewer.get(page_of(question)).content.decode()
    assert "provided_context" not in html
    assert viewer.post(page_of(question), {"provided_context": "Yes."}).status_code == 403
    assert staff("view_client").get(page_of(question)).status_code == 403
    question.refresh_from_db()
    assert question.is_pending


def test_an_answer_without_its_token_is_refused(clerk: Browser) -> None:
    question = InputRequestFactory()
    clerk.handler.enforce_csrf_checks = True
    assert clerk.post(page_of(question), {"provided_context": "Yes."}).status_code == 403
    question.refresh_from_db()
    assert question.is_pending


def test_an_answer_through_the_api_is_shown_with_its_key(clerk: Browser) -> None:
    question = InputRequestFactory()
    services.provide_input(
        case_id=question.case_id,
        input_request_id=question.pk,
        provided_context="Yes.",
        actor="client offload_live_abcd",
    )
    assert "Answered by client offload_live_abcd" in clerk.get(page_of(question)).content.decode()


def test_markup_from_outside_stays_text(clerk: Browser) -> None:
    question = InputRequestFactory(
        question=HOSTILE,
        reason=f"Why: {HOSTILE}",
        case__counterparty={"address": "a@b.example", "name": HOSTILE},
        case__client__name=HOSTILE,
        case__goal={"objective": HOSTILE},
    )
    MessageFactory(case=question.case, direction="IN", text=HOSTILE, subject=HOSTILE, from_name=HOSTILE)
    assert_harmless(clerk.get(page_of(question)).content.decode())
    assert_harmless(clerk.get(LIST).content.decode())
    clerk.post(page_of(question), {"provided_context": HOSTILE})
    assert_harmless(clerk.post(page_of(question), {"provided_context": HOSTILE}).content.decode())


def test_pages_take_as_many_queries_for_many_rows(
    clerk: Browser, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    questions = [InputRequestFactory() for _ in range(8)]
    for _ in range(8):
        AttachmentFactory(message__case=questions[0].case)
    clerk.get(LIST)
    with django_assert_max_num_queries(10):
        clerk.get(LIST)
    with django_assert_max_num_queries(15):
        clerk.get(page_of(questions[0]))


def test_offered_answers_are_buttons_that_fill_the_field(clerk: Browser) -> None:
    question = InputRequestFactory(options=["Yes", HOSTILE])
    html = clerk.get(page_of(question)).content.decode()
    assert_harmless(html)
    assert '<button type="button" class="button" data-fills="id_provided_context">Yes</button>' in html
    assert 'id="id_provided_context"' in html
    assert '<script src="/static/cases/options.js" defer></script>' in html
    assert "data-fills" not in clerk.get(page_of(InputRequestFactory())).content.decode()
