"""Search: what is found, what is not, and that the index follows the rows, whatever becomes of them."""

import pytest
from django.db import connection, transaction

from cases import search, search_postgresql, search_sqlite
from cases.factories import CaseFactory, MessageFactory
from cases.models import Case, Message
from cases.search import Phrase, look_for, phrases

pytestmark = [pytest.mark.django_db, pytest.mark.engine]


def places(text: str) -> dict[Case, Message | None]:
    """The cases that are found, with the mail."""
    return {
        Case.objects.get(pk=case_pk): Message.objects.get(pk=message_pk) if message_pk else None
        for case_pk, message_pk in look_for(text).places.items()
    }


@pytest.fixture
def case() -> Case:
    CaseFactory(client_reference_id="OTHER-1", counterparty={"address": "zoe@other.example", "name": "Zoe Other"})
    made: Case = CaseFactory(
        client_reference_id="INV-2031/b",
        counterparty={"address": "Ann.Müller@supplier-ag.example", "name": "Änne Müller", "company": "Größe & Söhne"},
    )
    return made


@pytest.mark.parametrize(
    "text",
    [
        "INV-2031/b",
        "inv 2031",
        "2031",
        "ann.müller@supplier-ag.example",
        "Ann.Muller@supplier",
        "ann.mül",
        "supplier-ag.example",
        "müller",
        "MULLER",
        "anne mull",
        '"anne muller"',
        "größe söhne",
        "muller inv",
    ],
)
def test_a_case_is_found_by_what_is_known_of_it(case: Case, text: str) -> None:
    assert places(text) == {case: None}


@pytest.mark.parametrize(
    "text", ["INV-2032", "nn.müller", "müller zoe", '"muller anne"', '"anne mull"', "supplier-zz", "in"]
)
def test_a_case_is_not_found_by_something_else(case: Case, text: str) -> None:
    assert places(text) == {}


def test_a_case_is_found_by_its_id_and_by_its_beginning(case: Case) -> None:
    for text in (str(case.pk), case.pk.hex, str(case.pk).upper(), str(case.pk)[:8], f" {str(case.pk)[:13]} "):
        assert places(text) == {case: None}, text
    assert places("00000000-0000-0000-0000-000000000000") == {}


def test_words_that_look_like_an_id_are_words(case: Case) -> None:
    Case.objects.filter(pk=case.pk).update(client_reference_id="20260301")
    assert places("20260301") == {case: None}


def test_a_case_is_found_by_its_mail(case: Case) -> None:
    sent = MessageFactory(case=case, subject="Overdue: the café", text="Please send us\nthe invoice of March.")
    reply = MessageFactory(
        case=case, direction="IN", subject="Re: it", text="Here it is.", from_address="boss@firm.example"
    )
    assert places("cafe") == {case: sent}
    assert places('"invoice of march"') == {case: sent}
    assert places('"march of invoice"') == {}
    assert places("overdue march") == {case: sent}
    assert places("overdue here") == {}  # not in one mail
    assert places("boss@firm.example") == {case: reply}


def test_our_own_address_is_not_in_our_mail(case: Case) -> None:
    MessageFactory(case=case, from_address="offload@us.example", from_name="Bob Buyer")
    assert places("offload@us.example") == {}


def test_of_several_mails_the_newest_is_named(case: Case) -> None:
    mails = [MessageFactory(case=case, text="Ananas!") for _ in range(3)]
    assert places("ananas") == {case: mails[-1]}


@pytest.mark.parametrize(
    "text",
    [
        '"',
        '""',
        "'",
        "%",
        "_",
        "\\",
        "\x00",
        "a\x00b",
        "*",
        "AND",
        "OR NOT",
        "NEAR(a b)",
        "a:b",
        "col:x",
        "(",
        ")",
        "(()",
        "^x",
        "-x",
        "x*",
        "& | !",
        "<->",
        "a:*",
        "'; DROP TABLE cases_case; --",
        '" OR 1',
        "\ud800",
        "\u0301",
        "😀",
        "日本語",
        "x" * 10_000,
        "x " * 5_000,
        '"x ' * 3_000,
        "é" * 10_000,
        "\ufdfa" * 600,
        "0" * 64,
    ],
)
def test_no_search_is_an_error(case: Case, text: str) -> None:
    MessageFactory(case=case, text="Nothing of the kind.")
    assert look_for(text).places == {}
    assert search.cases_known_by(text) == search.cases_and_mails(text)[1] == []


def test_what_is_looked_for_is_taken_apart() -> None:
    assert phrases('Ann@Supplier.example "two Words" of "open end') == [
        Phrase(("ann", "supplier", "example"), is_open=True),
        Phrase(("two", "words"), is_open=False),
        Phrase(("of",), is_open=False),
        Phrase(("open", "end"), is_open=False),
    ]


def test_a_change_is_found_and_what_it_replaced_is_not(case: Case) -> None:
    message = MessageFactory(case=case, text="apricot")
    Message.objects.filter(pk=message.pk).update(text="banana")
    Case.objects.filter(pk=case.pk).update(client_reference_id="NEW-7")
    assert places("apricot") == places("2031") == {}
    assert places("banana") == {case: message}
    assert places("new-7") == {case: None}
    message.refresh_from_db()
    message.save()  # all fields, none of them changed
    assert places("banana") == {case: message}


def test_what_is_deleted_is_not_found(case: Case) -> None:
    MessageFactory(case=case, text="apricot").delete()
    assert places("apricot") == {}
    MessageFactory(case=case, text="banana")
    case.delete()
    assert places("banana") == places("2031") == {}


def test_what_is_rolled_back_is_not_found(case: Case) -> None:
    with transaction.atomic():
        MessageFactory(case=case, text="apricot")
        Case.objects.filter(pk=case.pk).update(client_reference_id="NEW-7")
        assert places("apricot")
        transaction.set_rollback(True)
    assert places("apricot") == places("new-7") == {}
    assert places("inv-2031") == {case: None}


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_with_its_whole_transaction_is_not_found() -> None:
    case = CaseFactory(client_reference_id="INV-2031")
    with transaction.atomic():
        MessageFactory(case=case, text="apricot")
        transaction.set_rollback(True)
    message = MessageFactory(case=case, text="banana")
    assert places("apricot") == {}
    assert places("banana") == {case: message}


def test_the_longest_and_oddest_mails_are_kept(case: Case) -> None:
    for text in ("word " * 200_000, "x" * 1_000_000, "\ufdfa" * 40_000, "".join(map(chr, range(1, 0xD800)))):
        MessageFactory(case=case, subject="Odd", text=text)
    MessageFactory(case=case, text=" ".join(f"w{number}" for number in range(100_000)))
    assert len(search.cases_and_mails("odd")[1]) == 4
    assert len(search.cases_and_mails("w17")[1]) == 1
    assert search.cases_and_mails("w99999")[1] == []  # beyond what is looked at of a mail


def test_more_than_is_looked_through_is_said(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MOST_FOUND", 2)
    newest = [MessageFactory(text="ananas") for _ in range(3)][1:]
    found = look_for("ananas")
    assert found.has_more
    assert set(found.places.values()) == {message.pk for message in newest}
    monkeypatch.setattr(search, "MOST_FOUND", 3)
    assert not look_for("ananas").has_more


@pytest.mark.django_db(transaction=True)
def test_a_search_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite's index holds the places of words")
    message = MessageFactory(text="ananas")
    monkeypatch.setattr(search_postgresql, "MOST_MILLISECONDS", 50)
    monkeypatch.setattr(search_postgresql, "MAIL_SQL", "SELECT pg_sleep(5), %s, %s, %s, %s, %s")
    found = look_for("ananas")
    assert (found.places, found.has_more) == ({}, True)
    assert search.cases_and_mails("ananas")[1] == []
    monkeypatch.undo()
    assert places("ananas") == {message.case: message}


# --- SQLite ---------------------------------------------------------------------------------------


@pytest.fixture
def sqlite() -> None:
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL keeps its indexes itself")


def lose_triggers() -> None:
    """As when Django alters the table by copying it."""
    with connection.cursor() as cursor:
        for name in search_sqlite.MAILS.triggers():
            cursor.execute(f"DROP TRIGGER {name}")


def test_a_migration_makes_lost_triggers_anew_and_indexes_what_came_meanwhile(case: Case, sqlite: None) -> None:
    early = MessageFactory(case=case, text="apricot")
    lose_triggers()
    late = MessageFactory(case=case, text="banana")
    assert places("banana") == {}
    search.install()
    assert places("apricot") == {case: early}
    assert places("banana") == {case: late}
    assert len(search.cases_and_mails("apricot")[1]) == 1
    MessageFactory(case=case, text="cherry")
    assert len(search.cases_and_mails("cherry")[1]) == 1


def test_another_version_of_the_index_is_made_anew(case: Case, sqlite: None, monkeypatch: pytest.MonkeyPatch) -> None:
    message = MessageFactory(case=case, subject="", text="apricot")
    monkeypatch.setattr(search_sqlite, "MOST_CHARS", 20)
    search.install()
    assert places("apricot") == {case: message}
    late = MessageFactory(case=case, subject="", text=f"{'x ' * 10} banana")
    assert places("banana") == {}
    monkeypatch.undo()
    search.install()
    assert places("banana") == {case: late}


@pytest.mark.django_db(transaction=True)
def test_django_may_alter_the_tables(sqlite: None) -> None:
    """It copies them, and the triggers go with the old one."""
    early = MessageFactory(text="apricot")
    with connection.schema_editor() as editor:
        editor._remake_table(Message)  # type: ignore[attr-defined]
        editor._remake_table(Case)  # type: ignore[attr-defined]
    search.install()
    late = MessageFactory(text="banana")
    assert places("apricot") == {early.case: early}
    assert places("banana") == {late.case: late}
    early.delete()
    assert places("apricot") == {}
