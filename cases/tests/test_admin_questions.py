"""The list of questions, and the page on which one is answered."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client as Browser
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from cases import claims, services, transitions, work
from cases.events import record
from cases.factories import AttachmentFactory, CaseFactory, InputRequestFactory, MessageFactory
from cases.models import Case, InputRequest, MessageStatus, RequestStatus, Status
from cases.tests.staff import HOSTILE, assert_harmless, staff, staff_user, told

LIST = "/admin/cases/inputrequest/"
QUEUE, DONE, NEXT = f"{LIST}queue/", f"{LIST}done/", f"{LIST}next/"
SCHEMA = {
    "type": "object",
    "required": ["total"],
    "properties": {"total": {"type": "number"}, "note": {"type": "string", "maxLength": 5}},
}


@pytest.fixture
def clerk(db: None) -> Browser:
    return staff("view_case", "change_case")


def page_of(question: InputRequest) -> str:
    return reverse("admin:cases_inputrequest_change", args=[question.pk])


def choices_on(response: Any) -> list[str]:
    return [choice["name"] for choice in response.context["choices"]]


def form_on(response: Any, name: str) -> Any:
    return next(choice["form"] for choice in response.context["choices"] if choice["name"] == name)


def decide(browser: Browser, question: InputRequest, name: str, **data: Any) -> Any:
    """Post one of the page's forms, as the page shows it."""
    version = Case.objects.get(pk=question.case_id).version
    url = reverse(f"admin:cases_inputrequest_{name}", args=[question.pk])
    return browser.post(url, {"version": version, **data})


def user(name: str) -> User:
    return User.objects.get(username=name)


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
    assert choices_on(response) == ["answer", "reply", "complete", "fail", "wait", "hand_over"]


def test_an_answer_is_stored_with_who_gave_it(clerk: Browser) -> None:
    question = InputRequestFactory()
    response = clerk.post(page_of(question), {"provided_context": " Yes.\r\nUp to 250. "})
    assert (response.status_code, response.headers["location"]) == (302, DONE)
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
    third.refresh_from_db()
    assert third.claimed_by == user("ann0")  # and is taken by whoever goes on
    assert clerk.post(page_of(third), answer).headers["location"] == page_of(first)
    assert clerk.post(page_of(first), answer).headers["location"] == DONE
    assert "No other question waits for you" in clerk.get(DONE).content.decode()


def test_of_two_people_the_second_is_told_who_was_faster(clerk: Browser) -> None:
    question = InputRequestFactory()
    clerk.post(page_of(question), {"provided_context": "Yes."})
    second = staff("view_case", "change_case").post(page_of(question), {"provided_context": "No, never."})
    assert told(second) == ["Your answer was not stored. Someone was faster: ann0 has answered this question."]
    question.refresh_from_db()
    assert (question.provided_context, question.answered_by) == ("Yes.", "staff ann0")
    html = second.content.decode()
    assert "No, never." in html  # what was typed can still be copied
    assert '<textarea name="provided_context"' not in html
    assert question.case.events.count() == LogEntry.objects.count() == 1


def test_whoever_answers_twice_was_not_faster_than_themselves(clerk: Browser) -> None:
    question = InputRequestFactory()
    clerk.post(page_of(question), {"provided_context": "Yes."})
    again = clerk.post(page_of(question), {"provided_context": "Yes."})
    assert told(again) == ["Your answer was not stored. You have already answered this question."]


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


def test_an_answer_that_is_too_long_is_said_so_and_not_cut(clerk: Browser) -> None:
    question = asked_ago(5)
    path = reverse("admin:cases_inputrequest_change", args=[question.pk])
    assert "maxlength" not in clerk.get(path).content.decode()
    html = clerk.post(path, {"provided_context": "x" * 20_001}).content.decode()
    assert "at most 20000 characters (it has 20001)" in html
    question.refresh_from_db()
    assert question.status == "PENDING"


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
    for question in questions:
        claims.claim(question, user("ann0"))
    with django_assert_max_num_queries(10):
        clerk.get(LIST)
    with django_assert_max_num_queries(10):
        clerk.get(QUEUE)
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


# --- The queue --------------------------------------------------------------------------------------


def rows_of(response: Any) -> list[InputRequest]:
    return list(response.context["rows"])


def test_the_queue_has_what_is_open_the_longest_waiting_on_top(clerk: Browser) -> None:
    newer, older = asked_ago(1), asked_ago(5)
    asked_ago(9, status=RequestStatus.RESOLVED)
    response = clerk.get(QUEUE)
    assert rows_of(response) == [older, newer]
    assert "5 hours" in response.content.decode()


def test_the_queue_is_narrowed_down(clerk: Browser) -> None:
    zoe = staff_user("zoe", "change_case")
    mine, hers, handed, free = (asked_ago(hours) for hours in (8, 7, 6, 5))
    live = asked_ago(4, case__is_test=False)
    claims.claim(mine, user("ann0"))
    claims.claim(hers, zoe)
    claims.hand_over(handed, user("ann0"), by=zoe, note="", actor="staff zoe")
    late = InputRequestFactory(
        requested_at=work.now() - timedelta(hours=3), case__input_overdue_at=work.now() - timedelta(hours=1)
    )
    reminded = asked_ago(2)
    reminded.case.now = work.now()
    record(reminded.case, "case.input_overdue", inputRequestId=str(reminded.pk), question="")

    def found(**query: str) -> list[InputRequest]:
        return rows_of(clerk.get(QUEUE, query))

    assert found(who="mine") == [mine, handed]
    assert found(who="free") == [handed, free, live, late, reminded]
    assert found(kind="live") == [live]
    assert live not in found(kind="test")
    assert found(client=str(free.case.client_id)) == [free]
    assert found(overdue="1") == [late, reminded]
    assert found(who="nonsense", client="x", kind="?") == found()


def test_the_queue_renews_itself_only_where_something_has_changed(clerk: Browser) -> None:
    asked_ago(5)
    digest = clerk.get(QUEUE).context["digest"]
    assert clerk.get(QUEUE, {"part": "rows", "seen": digest}).status_code == 204
    asked_ago(2)
    changed = clerk.get(QUEUE, {"part": "rows", "seen": digest})
    assert changed.status_code == 200
    assert len(rows_of(changed)) == 2
    assert "<html" not in changed.content.decode()


def test_a_get_takes_nothing(clerk: Browser) -> None:
    question = asked_ago(5)
    for url in (QUEUE, DONE, page_of(question)):
        assert clerk.get(url).status_code == 200
    for name in ("claim", "take_over", "release", "keep", "hand_over", "reply", "complete", "fail", "wait"):
        assert clerk.get(reverse(f"admin:cases_inputrequest_{name}", args=[question.pk])).status_code == 405, name
    assert clerk.get(NEXT).status_code == 405
    question.refresh_from_db()
    assert (question.claimed_by, question.is_pending) == (None, True)


def test_who_may_only_look_takes_nothing(db: None) -> None:
    question, viewer = asked_ago(5), staff("view_case")
    html = viewer.get(QUEUE).content.decode() + viewer.get(page_of(question)).content.decode()
    for hidden in ("Take it", "Next question", "hand_over", "Decide</h2>"):
        assert hidden not in html, hidden
    for name in ("claim", "take_over", "release", "keep", "hand_over", "reply", "complete", "fail", "wait"):
        assert decide(viewer, question, name).status_code == 403, name
    assert viewer.post(NEXT).status_code == 403
    assert staff("view_client").get(QUEUE).status_code == 403
    question.refresh_from_db()
    assert question.claimed_by is None


# --- One person at a time -----------------------------------------------------------------------------


def test_next_takes_the_one_that_has_waited_longest(clerk: Browser) -> None:
    newer, older = asked_ago(1), asked_ago(5)
    assert clerk.post(NEXT).headers["location"] == page_of(older)
    assert clerk.post(NEXT, {"after": str(older.pk)}).headers["location"] == page_of(newer)
    older.refresh_from_db()
    assert older.claimed_by is None
    assert clerk.post(NEXT, {"kind": "live"}).headers["location"] == DONE
    assert clerk.post(NEXT, {"overdue": "1", "after": "nonsense"}).headers["location"] == DONE


def test_what_a_colleague_has_taken_is_not_answered_unless_it_is_taken_over(clerk: Browser) -> None:
    question, zoe = asked_ago(5), staff_user("zoe", "change_case")
    claims.claim(question, zoe)
    page = clerk.get(page_of(question))
    assert "<strong>zoe</strong> has taken this question" in page.content.decode()
    assert page.context["choices"] == []
    refused = clerk.post(page_of(question), {"provided_context": "My own words."})
    [why] = told(refused)
    assert why.startswith("Your answer was not stored. zoe has taken it since")
    assert "My own words." in refused.content.decode()
    assert told(decide(clerk, question, "fail", why="failed_by_staff", reason="No.", sure="yes"))[0].startswith(
        "Nothing was done. zoe"
    )
    question.refresh_from_db()
    assert question.is_pending
    assert decide(clerk, question, "take_over").headers["location"] == page_of(question)
    assert clerk.post(page_of(question), {"provided_context": "Yes."}).status_code == 302
    assert [event.type for event in question.case.events.all()] == ["question.taken_over", "input.provided"]
    assert [str(entry.change_message) for entry in LogEntry.objects.order_by("id")] == ["Taken over", "Answered"]


def test_taking_what_is_taken_says_who_has_it(clerk: Browser) -> None:
    question = asked_ago(5)
    claims.claim(question, staff_user("zoe", "change_case"))
    assert told(decide(clerk, question, "claim"))[0].startswith("It was not taken. zoe has taken it since")
    part = clerk.post(reverse("admin:cases_inputrequest_claim", args=[question.pk]), headers={"HX-Request": "true"})
    assert part.status_code == 200
    assert "zoe has taken it since" in part.content.decode()


def test_the_bar_tells_who_has_it_and_what_has_become_of_it(clerk: Browser) -> None:
    question = asked_ago(5)
    bar = reverse("admin:cases_inputrequest_bar", args=[question.pk])
    assert "Nobody has taken this question." in clerk.get(bar).content.decode()
    decide(clerk, question, "claim")
    kept = decide(clerk, question, "keep").content.decode()
    assert "You have taken this question" in kept
    assert 'hx-trigger="keep"' in kept
    decide(clerk, question, "release")
    assert "Nobody has taken this question." in clerk.get(bar).content.decode()
    services.provide_input(
        case_id=question.case_id, input_request_id=question.pk, provided_context="Yes.", actor="staff zoe"
    )
    html = clerk.get(bar).content.decode()
    assert "Someone was faster: zoe has answered this question." in html
    assert "hx-" not in html  # nothing more to look for


def test_a_question_is_handed_to_a_colleague_with_a_note(clerk: Browser) -> None:
    first, second = asked_ago(5), asked_ago(3)
    zoe = staff_user("zoe", "change_case", "view_case")
    response = decide(clerk, first, "hand_over", colleague=zoe.pk, note="You know them.")
    assert response.headers["location"] == page_of(second)
    first.refresh_from_db()
    assert first.assigned_to == zoe
    html = clerk.get(reverse("admin:cases_case_change", args=[first.case_id])).content.decode()
    assert "The question was handed to zoe" in html
    hers = Browser()
    hers.force_login(zoe)
    assert rows_of(hers.get(QUEUE, {"who": "mine"})) == [first]
    assert "You know them." in hers.get(page_of(first)).content.decode()


def test_a_question_is_handed_only_to_somebody_who_can_decide_it(clerk: Browser) -> None:
    question = asked_ago(5)
    viewer = staff_user("viewer", "view_case")
    for person in (viewer.pk, user("ann0").pk, 4711, ""):
        response = decide(clerk, question, "hand_over", colleague=person)
        assert response.status_code == 200
        assert form_on(response, "hand_over").errors["colleague"]
    question.refresh_from_db()
    assert question.assigned_to is None


# --- Other choices than an answer ---------------------------------------------------------------------


def test_a_reply_is_looked_at_before_it_leaves(clerk: Browser) -> None:
    question = asked_ago(5)
    MessageFactory(case=question.case, subject="Invoice of March")
    first = decide(clerk, question, "reply", text="Dear Ann,\r\nyes.")
    assert (first.status_code, told(first)) == (200, [])
    mail = form_on(first, "reply").preview
    assert (mail["subject"], mail["text"]) == ("Re: Invoice of March", "Dear Ann,\nyes.")
    assert mail["from"] == f"Bob Buyer <{question.case.our_address}>"
    assert mail["to"] == "Ann Supplier <ann@supplier.example>"
    assert not question.case.messages.filter(status=MessageStatus.QUEUED).exists()
    other = decide(clerk, question, "reply", text="Dear Ann,\nno.", looked_at=mail["digest"])
    assert other.status_code == 200  # these are not the words that were looked at
    sent = decide(clerk, question, "reply", text="Dear Ann,\r\nyes.", looked_at=mail["digest"])
    assert sent.headers["location"] == DONE
    message = question.case.messages.get(status=MessageStatus.QUEUED)
    assert (message.text, message.subject, message.written_by) == (mail["text"], mail["subject"], "staff ann0")
    question.refresh_from_db()
    assert question.status == RequestStatus.CLOSED
    assert [str(entry.change_message) for entry in LogEntry.objects.all()] == ["Write to the counterparty"]


def test_a_reply_that_gives_something_away_is_not_even_shown(clerk: Browser) -> None:
    question = asked_ago(5, case__metadata={"ledger": "secret-ledger-4711"})
    response = decide(clerk, question, "reply", text="Our ledger is secret-ledger-4711.")
    form = form_on(response, "reply")
    assert form.errors["text"] == ["This must not stand in a mail: the value of metadata.ledger."]
    assert form.preview is None
    assert "Send this mail" not in response.content.decode()


def test_the_result_is_typed_into_fields_of_the_schema(clerk: Browser) -> None:
    question = asked_ago(5, case__result_schema=SCHEMA)
    wrong = decide(clerk, question, "complete", drawn="1", **{"result-0": "a lot", "result-1": "too long"})
    assert wrong.status_code == 200
    parts = form_on(wrong, "complete").tree.parts
    assert parts["total"].errors[0].startswith("Write a number")
    assert parts["note"].errors == ['"too long" is longer than 5 characters']
    assert form_on(wrong, "complete").non_field_errors() == ["2 fields to put right: see below."]
    done = decide(clerk, question, "complete", drawn="1", sure="yes", **{"result-0": "12.5", "result-1": ""})
    assert done.headers["location"] == DONE
    case = Case.objects.get(pk=question.case_id)
    assert (case.status, case.result) == (Status.COMPLETED, {"total": 12.5})
    assert case.sources == [{"path": "", "source_id": "staff ann0", "quote": ""}]


@pytest.mark.parametrize(
    ("name", "typed", "told_of"),
    [
        ("complete", {"drawn": "1", "result-0": "12.5", "result-1": ""}, "case.completed"),
        ("fail", {"why": "failed_by_staff", "reason": "No."}, "case.failed"),
    ],
)
def test_an_end_is_asked_about_once_more_as_on_the_page_of_the_case(
    clerk: Browser, name: str, typed: dict[str, str], told_of: str
) -> None:
    question = asked_ago(5, case__result_schema=SCHEMA, case__client_webhook_url="https://client.example/")
    asked = decide(clerk, question, name, **typed)
    confirmation = asked.context["confirmation"]
    assert (asked.status_code, confirmation.name) == (200, name)
    assert "The open question is closed without an answer." in confirmation.sentences
    assert any(sentence.endswith(f"is told {told_of}.") for sentence in confirmation.sentences)
    assert "Nothing is done yet." in asked.content.decode()
    question.refresh_from_db()
    assert question.is_pending
    assert not LogEntry.objects.exists()
    done = decide(clerk, question, name, **{**dict(confirmation.posted), "sure": "yes"})
    assert done.headers["location"] == DONE
    assert Case.objects.get(pk=question.case_id).is_terminal


def test_what_can_be_taken_back_is_asked_once(clerk: Browser) -> None:
    question = asked_ago(5)
    until = f"{work.now() + timedelta(days=3):%Y-%m-%dT%H:%M}"
    assert decide(clerk, question, "wait", moment=until, zone="UTC").status_code == 302


def test_beside_a_settled_question_stand_the_facts(clerk: Browser) -> None:
    question = asked_ago(5)
    html = clerk.get(page_of(question)).content.decode()
    assert html.index('class="below"') < html.index('id="facts"')
    clerk.post(page_of(question), {"provided_context": "Yes."})
    html = clerk.get(page_of(question)).content.decode()
    assert 'class="below"' not in html
    assert html.index('class="side side-column"') < html.index('id="facts"')


def test_nothing_filled_in_completes_nothing(clerk: Browser) -> None:
    question = asked_ago(5, case__result_schema={"type": "object", "properties": {"note": {"type": "string"}}})
    response = decide(clerk, question, "complete", drawn="1", **{"result-0": " "})
    assert form_on(response, "complete").non_field_errors()[0].startswith("Nothing is filled in.")
    question.refresh_from_db()
    assert question.is_pending
    assert decide(clerk, question, "complete", drawn="1", raw="1", result="{}", sure="yes").status_code == 302


def test_a_button_for_a_row_decides_nothing(clerk: Browser) -> None:
    rows = {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}}
    question = asked_ago(5, case__result_schema={"type": "object", "properties": {"lines": rows}})
    response = decide(
        clerk, question, "complete", drawn="1", add="result-0", **{"result-0-rows": "0", "result-0-0-0": "Bolt"}
    )
    form = form_on(response, "complete")
    assert (list(form.tree.parts["lines"].rows), form.errors, told(response)) == ([0, 1], {}, [])
    assert 'value="Bolt"' in response.content.decode() or ">\nBolt</textarea>" in response.content.decode()
    question.refresh_from_db()
    assert question.is_pending


def test_what_was_decided_on_another_case_than_there_is_now_is_not_done(clerk: Browser) -> None:
    question = asked_ago(5)
    response = decide(clerk, question, "fail", version=99, why="failed_by_staff", reason="No.", sure="yes")
    assert told(response)[0].startswith("Nothing was done. The case has changed since you opened the page.")
    question.refresh_from_db()
    assert question.is_pending


def test_of_two_who_decide_the_second_hears_what_the_first_has_done(clerk: Browser) -> None:
    question = asked_ago(5)
    services.fail_case(question.case_id, reason="They closed down.", actor="staff zoe")
    response = decide(clerk, question, "reply", text="Hello?")
    form = response.context["tried"]
    again = decide(clerk, question, "reply", text="Hello?", looked_at=form.preview["digest"])
    assert told(again)[0].startswith("Nothing was done. Someone was faster: zoe has decided for this case.")
    assert "Hello?" in again.content.decode()


def test_waiting_and_ending_go_on_with_the_next_one(clerk: Browser) -> None:
    first, second, third = asked_ago(5), asked_ago(4), asked_ago(3)
    ended = decide(clerk, first, "fail", why="failed_rejected", reason="They say no.", sure="yes")
    assert ended.headers["location"] == page_of(second)
    moment = f"{work.now() + timedelta(days=2):%Y-%m-%dT%H:%M}"
    assert decide(clerk, second, "wait", moment=moment, zone="UTC").headers["location"] == page_of(third)
    assert Case.objects.get(pk=first.case_id).result_status == "failed_rejected"
    assert Case.objects.get(pk=second.case_id).status == Status.RUNNING


def test_the_page_shows_what_the_agent_proposes_and_has_found(clerk: Browser) -> None:
    case = CaseFactory(status=Status.INPUT_NEEDED, result_schema=SCHEMA)
    mail = MessageFactory(case=case, direction="IN", text="It is 12.5 EUR.")
    proposal = {
        "reply": "Dear Ann, is that with tax?",
        "values": {"total": 12.5},
        "sources": [{"path": "/total", "source_id": str(mail.pk), "quote": "12.5 EUR"}],
    }
    question = InputRequestFactory(case=case, proposal=proposal)
    response = clerk.get(page_of(question))
    html = response.content.decode()
    for shown in ("What the agent would write", "Found so far", "<q><bdi>12.5 EUR</bdi></q>", f"#message-{mail.pk}"):
        assert shown in html, shown
    assert form_on(response, "reply")["text"].value() == "Dear Ann, is that with tax?"
    total = form_on(response, "complete").tree.parts["total"]
    assert (total.text, [origin.quote for origin in total.quotes]) == ("12.5", ["12.5 EUR"])


def test_a_question_that_is_asked_again_keeps_what_the_agent_proposed(db: None) -> None:
    question = InputRequestFactory(proposal={"reply": "Hello."})
    with work.transaction():
        case = Case.objects.locked(question.case_id)
        again = transitions.ask_again(case, question)
    assert InputRequest.objects.get(pk=again.pk).proposal == {"reply": "Hello."}


def test_an_answer_that_goes_out_word_for_word_says_so(clerk: Browser) -> None:
    question = asked_ago(5)
    question.case.now = work.now()
    warning = "Your answer goes to the counterparty word for word"
    assert warning not in clerk.get(page_of(question)).content.decode()
    record(question.case, "verdict", agent="form", decision="INPUT_NEEDED", reason="")
    assert warning in clerk.get(page_of(question)).content.decode()


def test_an_answer_can_be_seen_in_its_mail_and_is_not_given_by_that(clerk: Browser) -> None:
    question = asked_ago(5)
    MessageFactory(case=question.case)
    MessageFactory(case=question.case, direction="IN", text="May we add 20 EUR?", read_at=work.now())
    response = clerk.post(page_of(question), {"provided_context": "Yes, gladly.", "look": "1"})
    assert "Yes, gladly." in response.context["answer_preview"]["text"]
    assert response.context["answer_preview"]["to"] == "Ann Supplier <ann@supplier.example>"
    question.refresh_from_db()
    assert question.is_pending
    empty = clerk.post(page_of(question), {"provided_context": "", "look": "1"})
    assert "This field is required." in empty.content.decode()


def test_the_page_of_the_case_is_no_way_around_a_claim(clerk: Browser) -> None:
    question = asked_ago(5)
    case = Case.objects.get(pk=question.case_id)
    claims.claim(question, staff_user("zoe", "change_case"))

    def act(name: str, **data: str) -> Any:
        return clerk.post(reverse(f"admin:cases_case_{name}", args=[case.pk]), {"version": case.version, **data})

    refused = [
        act("reply", text="Hello."),
        act("complete", result="{}", sure="yes"),
        act("fail", why="failed_by_staff", reason="No.", sure="yes"),
    ]
    assert [told(response)[0][:12] for response in refused] == ["zoe has take"] * 3
    case.refresh_from_db()
    assert (case.status, case.messages.count()) == (Status.INPUT_NEEDED, 0)
    # To stop a case is never a colleague's to prevent.
    assert act("cancel", confirmed="on", sure="yes").status_code == 302
