import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outreach.inbound import bounces
from outreach.inbound.classify import InboundKind, classify
from outreach.inbound.reports import Outcome

FAILED = "Your message could not be delivered to\nbob@supplier.example\n"
DELAYED = (
    "Your message with Subject: Offer\ncould not be delivered to the following recipients:\n\nbob@supplier.example\n\n"
    "Please do not resend your original message.\n"
)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        (FAILED, Outcome.FAILED),
        (DELAYED, Outcome.DELAYED),
        ("Your message could not be delivered.", None),
        ("The price is 5 EUR, ask bob@supplier.example", None),
        ("", None),
    ],
)
def test_known_wordings(text: str, outcome: Outcome | None) -> None:
    assert bounces.read(text, "anybody@supplier.example") is outcome


@pytest.mark.parametrize("sender", ["", "<>", "<", "a@b.test, , c@d.test", "\n"])
def test_the_sender_may_be_anything(sender: str, caplog: pytest.LogCaptureFixture) -> None:
    assert bounces.read(FAILED, sender) is Outcome.FAILED
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_only_the_beginning_is_read() -> None:
    assert bounces.read("x" * bounces.MAX_CHARS + "\n" + FAILED, "a@b.test") is None
    assert bounces.read("x\n" * bounces.MAX_LINES + FAILED, "a@b.test") is None
    assert bounces.read("x" * bounces.MAX_LINE_CHARS + FAILED.replace("\n", " "), "a@b.test") is None


def test_an_error_of_the_library_is_not_the_mails(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(message: object) -> None:
        raise AttributeError("get_payload")

    monkeypatch.setattr(bounces, "all_failures", broken)
    raw = f"From: a@b.test\nSubject: Non-delivery\n\n{FAILED}".encode()
    assert classify(raw) is InboundKind.REPLY


@settings(deadline=None)
@given(st.text(max_size=300), st.text(max_size=40))
def test_any_text_is_read(text: str, sender: str) -> None:
    assert bounces.read(FAILED + text, sender) in (None, Outcome.FAILED, Outcome.DELAYED)
