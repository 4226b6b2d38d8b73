"""Addresses that say whose case an answer belongs to."""

from uuid import UUID, uuid4

import pytest
from pytest_django import Settings

from cases.models import Case
from outreach.inbound.reply_address import MAX_INBOX_CHARS, address_for, case_id_in, inbox

CASE_ID = UUID("0190a6f2-1c3d-7e4f-8a5b-6c7d8e9f0a1b")


@pytest.fixture(autouse=True)
def ours(settings: Settings) -> None:
    settings.OFFLOAD_REPLY_ADDRESS = "Replies@Ours.example"


def address() -> str:
    return address_for(Case(pk=CASE_ID))


def test_the_address_carries_the_case() -> None:
    local, domain = address().split("@")
    assert (local[:8], len(local), domain) == ("replies+", 48, "ours.example")
    assert address() == address().lower()
    assert case_id_in(address()) == CASE_ID


def test_any_case_and_any_inbox_will_do_since_the_tag_counts() -> None:
    assert case_id_in(address().upper()) == CASE_ID
    assert case_id_in(address().replace("replies+", "formerly+").replace("ours", "theirs")) == CASE_ID


def test_every_changed_character_of_the_token_is_noticed() -> None:
    whole = address()
    start, end = whole.index("+") + 1, whole.index("@")
    for place in range(start, end):
        other = "a" if whole[place] != "a" else "b"
        assert case_id_in(whole[:place] + other + whole[place + 1 :]) is None
    for other_address in (
        whole.replace("+", ""),
        whole.replace("+", "+a"),
        f"{whole}@x",
        whole[: end - 1] + whole[end:],
    ):
        assert case_id_in(other_address) is None


@pytest.mark.parametrize("odd", ["", "a@b.example", "+@", "x+1@b", "\x00", f"r+{'1' * 40}@ours.example", "x+" * 5000])
def test_what_we_have_not_made_names_no_case(odd: str) -> None:
    assert case_id_in(odd) is None


def test_no_id_can_be_signed_without_the_key(settings: Settings) -> None:
    ours = address()
    settings.SECRET_KEY = "another"
    assert address() != ours
    assert case_id_in(ours) is None
    settings.SECRET_KEY_FALLBACKS = ["not-a-secret:the-key-of-every-test-run-and-of-nothing-else"]
    assert case_id_in(ours) == CASE_ID
    assert case_id_in(address()) == CASE_ID


def test_the_inbox_defaults_to_the_sender(settings: Settings) -> None:
    settings.OFFLOAD_REPLY_ADDRESS, settings.OFFLOAD_MAIL_FROM = "", "Offload <Hello@ours.example>"
    assert inbox() == "hello@ours.example"
    assert address().startswith("hello+")


def test_servers_without_plus_addressing_get_none(settings: Settings) -> None:
    ours, settings.OFFLOAD_REPLY_ADDRESS = address(), "off"
    assert (inbox(), address()) == ("", "")
    assert case_id_in(ours) == CASE_ID  # sent before it was switched off


def test_a_local_part_has_at_most_64_characters(settings: Settings) -> None:
    settings.OFFLOAD_REPLY_ADDRESS = f"{'x' * MAX_INBOX_CHARS}@ours.example"
    assert len(address_for(Case(pk=uuid4())).partition("@")[0]) == 64
