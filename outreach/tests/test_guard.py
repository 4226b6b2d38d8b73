"""What must not stand in a mail."""

import base64
import codecs
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from pytest_django.fixtures import Settings

from cases import work
from cases.factories import ApiKeyFactory, CaseFactory, MessageFactory
from cases.models import Attachment, Direction, MessageStatus
from outreach.agents.base import Draft
from outreach.agents.guard import faults_of_draft, faults_of_reminder, leaks
from outreach.situation import Situation

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("metadata", "text", "found"),
    [
        ({"a": "secret-margin"}, "Our SECRET-margin.", ["the value of metadata.a"]),
        ({"a": "secret margin"}, "Our secret\n  margin.", ["the value of metadata.a"]),
        ({"a": {"b": ["x", "tenant-north"]}}, "For tenant-north:", ["the value of metadata.a.b[1]"]),
        ({"a": 1234567}, "No. 1234567", ["the value of metadata.a"]),
        ({"a": 12345.75}, "12345.75", ["the value of metadata.a"]),
        ({"a": "EUR"}, "5 EUR", []),
        ({"a": True, "b": None, "c": []}, "True", []),
        ({"secret-name": "x"}, "secret-name", []),
        ({"a": "secret-margin"}, "Nothing.", []),
        (None, "Nothing.", []),
    ],
)
def test_metadata(metadata: Any, text: str, found: list[str]) -> None:
    assert leaks(CaseFactory(metadata=metadata), text) == found


def test_what_the_client_or_the_counterparty_said_anyway_may_be_said() -> None:
    case = CaseFactory(
        metadata={"order": "order 4711", "company": "Supplier Ltd", "said": "blue-chairs", "mine": "only-ours"},
        goal={"objective": "Ask for Order 4711."},
        counterparty={"address": "ann@supplier.example", "name": "Ann", "company": "Supplier Ltd"},
    )
    MessageFactory(case=case, direction=Direction.IN, text="About the blue-chairs")
    MessageFactory(case=case, text="only-ours")
    text = "Supplier Ltd, order 4711: blue-chairs, only-ours"
    assert leaks(case, text) == ["the value of metadata.mine"]


def test_neighbouring_texts_do_not_allow_what_they_only_make_together() -> None:
    case = CaseFactory(metadata={"a": "march. ann@", "b": "buyer what"}, goal={"objective": "Invoice of March."})
    MessageFactory(case=case, direction=Direction.IN, text="What?")
    assert leaks(case, "march. ann@") == ["the value of metadata.a"]
    assert leaks(case, "Buyer what") == ["the value of metadata.b"]


def test_keys() -> None:
    found = ["something that looks like a secret key"]
    case = CaseFactory()
    assert leaks(case, f"Use {ApiKeyFactory().key}.") == found
    assert leaks(case, f"Use {ApiKeyFactory(is_test=True).key}.") == found
    assert leaks(case, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") == found
    assert leaks(case, "sk-proj-abcdefghijklmnopqrstuvwxyz") == found
    assert leaks(case, "offload_test_ is how keys begin; I am-not one, nor is task-manager.") == []


@pytest.mark.parametrize(
    "name", ["SECRET_KEY", "OPENAI_API_KEY", "AGENTMAIL_API_KEY", "AGENTMAIL_WEBHOOK_SECRET", "EMAIL_HOST_PASSWORD"]
)
def test_secrets_of_the_configuration(settings: Settings, name: str) -> None:
    settings.__setattr__(name, "plain-words-of-ours")
    assert leaks(CaseFactory(), "They are Plain Words of Ours.") == ["a secret of this service"]
    assert leaks(CaseFactory(), "They are plain words of yours.") == []


@pytest.mark.parametrize(
    "disguise",
    [
        str.upper,
        lambda value: " ".join(value),
        lambda value: value.replace("-", "\n"),
        lambda value: value[:9] + "\u200b" + value[9:],
        lambda value: value[::-1],
        lambda value: value.encode().hex(),
        lambda value: value.upper().encode().hex().upper(),
        lambda value: base64.b64encode(value.encode()).decode(),
        lambda value: base64.b64encode(f"It is {value} or so".encode()).decode(),
        lambda value: base64.urlsafe_b64encode(f"x{value}".encode()).decode(),
        lambda value: codecs.encode(value, "rot13"),
        lambda value: quote(value, safe="").replace("-", "%2D"),
    ],
)
def test_metadata_in_disguise(disguise: Callable[[str], str]) -> None:
    case = CaseFactory(metadata={"note": "canary-4711-do-not-tell"})
    assert leaks(case, f"By the way: {disguise('canary-4711-do-not-tell')}") == ["the value of metadata.note"]


def test_short_words_are_not_put_together_from_others() -> None:
    assert leaks(CaseFactory(metadata={"a": "margin"}), "The mar gin, a nigram.") == []


def test_what_a_constraint_or_a_humans_answer_says_is_not_said_to_them() -> None:
    case = CaseFactory(metadata={"project": "nightingale"}, constraints=["Never mention Nightingale."])
    assert leaks(case, "It is for Nightingale.") == ["the value of metadata.project"]


def test_what_their_file_says_may_be_said() -> None:
    case = CaseFactory(metadata={"order": "order-4711"})
    message = MessageFactory(case=case, direction=Direction.IN, text="See the file.")
    Attachment.objects.create(
        message=message, name="a.txt", type="text/plain", size=9, text="For order-4711", created_at=work.now()
    )
    assert leaks(case, "Is it order-4711?") == []


@pytest.mark.parametrize("form", [lambda id: id.hex, lambda id: id.hex.upper(), lambda id: " ".join(id.hex)])
def test_the_id_of_another_case_in_any_form(form: Callable[[uuid.UUID], str]) -> None:
    case, other = CaseFactory(), CaseFactory()
    assert leaks(case, f"As in abc{form(other.pk)}.") == ["the id of another case"]
    assert leaks(case, f"As in {form(case.pk)}.") == []


@pytest.mark.parametrize(
    "claim",
    ["I am a real person.", "I'm human.", "No, I am not a bot!", "Ich bin ein Mensch.", "Je ne suis pas un robot."],
)
def test_a_draft_does_not_claim_to_be_human(claim: str) -> None:
    case = Situation.of(CaseFactory()).view()
    assert faults_of_draft(case, Draft(f"Hello,\n\n{claim}")) == ["It claims to be written by a human."]


def test_a_draft_may_say_that_it_is_a_machine() -> None:
    case = Situation.of(CaseFactory()).view()
    assert faults_of_draft(case, Draft("I am not a person; this is an automated assistant.")) == []


def test_a_reminder_refers_to_the_mail_before_it_and_does_not_repeat_it() -> None:
    case = CaseFactory()
    first = "Hello Ann,\n\ncould you please send us the number and the total of your invoice?\n\nRegards"
    MessageFactory(case=case, direction=Direction.OUT, status=MessageStatus.SENT, text=first)
    view = Situation.of(case).view()
    assert len(faults_of_reminder(view, Draft(first))) == 1
    assert len(faults_of_reminder(view, Draft(f"A short reminder of my mail.\n\n{first}"))) == 1
    assert (
        faults_of_reminder(view, Draft("May I come back to my mail of Monday? Number and total are still open.")) == []
    )


def test_other_cases() -> None:
    case, other = CaseFactory(), CaseFactory()
    assert leaks(case, f"As in {str(other.pk).upper()}") == ["the id of another case"]
    assert leaks(case, f"As in {case.pk}, or 00000000-0000-4000-8000-000000000000") == []


def test_the_leak_is_not_repeated() -> None:
    case = CaseFactory(metadata={"a": "secret-margin"})
    assert "secret-margin" not in " ".join(leaks(case, "secret-margin"))
