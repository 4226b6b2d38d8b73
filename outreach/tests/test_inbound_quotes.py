import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outreach.inbound.quotes import reply_text

QUOTED = "> Hello Bob,\n> what does it cost?\n> Regards"


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("Price: 5 EUR\nMonday\n", "Price: 5 EUR\nMonday"),
        (f"5 EUR\n\nOn Mon, 4 Jan 2027 at 10:00, Ann <a@b.test> wrote:\n{QUOTED}\n", "5 EUR"),
        (f"5 EUR\n\nOn Mon, Jan 4, 2027 at 10:00 AM Ann Very Long Name <\na@b.test> wrote:\n\n{QUOTED}\n", "5 EUR"),
        (f"5 EUR\n\nAm 04.01.2027 um 10:00 schrieb Ann:\n{QUOTED}", "5 EUR"),
        (f"5 EUR\n\nLe lun. 4 janv. 2027 à 10:00, Ann <a@b.test> a écrit :\n{QUOTED}", "5 EUR"),
        (f"5 EUR\n\nEl lun, 4 ene 2027 a las 10:00, Ann (<a@b.test>) escribió:\n{QUOTED}", "5 EUR"),
        (f"5 EUR\n\nIl giorno lun 4 gen 2027 alle ore 10:00 Ann <a@b.test> ha scritto:\n{QUOTED}", "5 EUR"),
        (f"5 EUR\n\nAnn <a@b.test> wrote on 4 January 2027:\n{QUOTED}", "5 EUR"),
        (f"5 EUR\n\n{QUOTED}", "5 EUR"),
        ("5 EUR\n\nOn 4 Jan 2027 at 10:00, Ann wrote:\n> one line", "5 EUR"),
        # below the quote, and on both sides of it
        (f"On 4 Jan 2027 at 10:00, Ann wrote:\n{QUOTED}\n\n5 EUR", "5 EUR"),
        (f"Hello!\n\nOn 4 Jan 2027 at 10:00, Ann wrote:\n{QUOTED}\n\n5 EUR", "Hello!\n\n5 EUR"),
        # not marked line by line
        ("5 EUR\n\nOn 4 Jan 2027 at 10:00, Ann <a@b.test> wrote:\n\nHello Bob,\nprice?", "5 EUR"),
        ("5 EUR\n\n-----Original Message-----\nFrom: Ann\nSent: Monday\nTo: Bob\n\nHello Bob", "5 EUR"),
        (
            f"5 EUR\n\n{'_' * 32}\nFrom: Ann <a@b.test>\nSent: Monday\nTo: Bob\nSubject: Offer\n\nHello",
            "5 EUR",
        ),
        ("5 EUR\n\nVon: Ann <a@b.test>\nGesendet: Montag\nAn: Bob\nBetreff: Angebot\n\nHallo", "5 EUR"),
        ("5 EUR\n\n*De:* Ann <a@b.test>\n*Envoyé:* lundi\n*À:* Bob\n*Objet:* Offre\n\nBonjour", "5 EUR"),
        (
            f"5 EUR\n\n-----Original Message-----\nFrom: Ann\nTo: Bob\nSubject: x\n\n{QUOTED}\n\nalso Monday",
            "5 EUR\n\nalso Monday",
        ),
    ],
)
def test_history_is_removed(text: str, reply: str) -> None:
    assert reply_text(text, None) == reply


@pytest.mark.parametrize(
    "text",
    [
        "From: Berlin\nTo: Paris\nDate: 5 January 2027\nPrice: 200 EUR",
        "Our trip:\n\nFrom: Berlin\nTo: Paris\nDate: 5 January 2027\nPrice: 200 EUR",
        "On Monday he wrote:\n> one\nwhich is wrong",
        "On Monday you wrote:\nplease send the price\nIt is 5 EUR.",
        "On Monday I will answer what he\nwrote:\nIt is 5 EUR.",
        "> 100 units cost 5 EUR\nand fewer cost 6",
        "I agree -----\nto all",
        "We sent this on 4 Jan 2027 at 10:00 and he wrote:\nyes",
        "See what our accountant says.\n\n---------- Forwarded message ---------\nFrom: C <c@d.test>\n\nIt is 5 EUR.",
        "Subject: chairs\nTo: whom it may concern",
        # answers between the lines
        "On 4 Jan 2027 at 10:00, Ann wrote:\n> Price?\n5 EUR\n> When?\nMonday",
        "On 4 Jan 2027 at 10:00, Ann wrote:\n> Hello,\n> Price?\n> of one\n\n5 EUR\n\n> Colour?\n> of it\n> all\n\nRed",
        # no new words anywhere: they may stand inside the quote
        f"On 4 Jan 2027 at 10:00, Ann wrote:\n{QUOTED}",
        "-----Original Message-----\nFrom: Ann\n\nHello\n\nmy answer: 5 EUR",
    ],
)
def test_in_doubt_everything_is_kept(text: str) -> None:
    assert reply_text(text, None) == text


def test_a_sentence_above_the_introducing_line_is_not_taken_for_its_first_half() -> None:
    text = f"Fine.\nOn Monday we deliver 100 chairs.\nOn 4 Jan 2027 at 10:00, Ann <a@b.test> wrote:\n{QUOTED}"
    assert reply_text(text, None) == "Fine.\nOn Monday we deliver 100 chairs."


def test_signatures_stay() -> None:
    assert reply_text("5 EUR\n\n-- \nBob\nSent from my phone", "") == "5 EUR\n\n-- \nBob\nSent from my phone"


def test_html_is_read_where_there_is_no_text() -> None:
    gmail = (
        '<div dir="ltr">Price: 5 EUR<br>Monday</div><br><div class="gmail_quote">'
        '<div class="gmail_attr">On Mon, Jan 4, 2027 at 10:00 AM Ann &lt;'
        '<a href="mailto:a@b.test">a@b.test</a>&gt; wrote:<br></div>'
        '<blockquote class="gmail_quote" style="margin:0"><div>Hello Bob</div></blockquote></div>'
    )
    assert reply_text("", gmail) == "Price: 5 EUR\nMonday"
    assert reply_text(None, gmail) == "Price: 5 EUR\nMonday"


def test_an_outlook_reply_in_html() -> None:
    outlook = (
        '<p class="MsoNormal">Price: 5 EUR</p><p class="MsoNormal">Monday</p><div style="border-top:solid">'
        '<p class="MsoNormal"><b>From:</b> Ann &lt;a@b.test&gt;<br><b>Sent:</b> Monday<br><b>To:</b> Bob<br>'
        '<b>Subject:</b> Offer</p></div><p class="MsoNormal">Hello Bob</p>'
    )
    assert reply_text("", outlook) == "Price: 5 EUR\nMonday"


def test_nothing_is_nothing() -> None:
    assert reply_text(None, None) == ""
    assert reply_text("", "<div></div>") == ""


@settings(deadline=None)
@given(st.text(max_size=500), st.text(max_size=200))
def test_any_text_is_read(text: str, html: str) -> None:
    reply_text(text, html)


WORDS = st.sampled_from(["Price:", "5", "EUR", "On", "Monday", "from", "us.", "Grüße", "2027-01-04", "Yes,", "(all)"])
QUOTE_LINES = st.sampled_from(["> a", "> b c", ">", ">> d", "On 4 Jan 2027 at 10:00, A <a@b.test> wrote:", ""])


@settings(deadline=None)
@given(st.lists(st.one_of(st.lists(WORDS, min_size=1, max_size=6).map(" ".join), QUOTE_LINES), max_size=25))
def test_no_word_outside_of_the_quotes_is_lost(lines: list[str]) -> None:
    """Whatever is mixed with ">" quotes; an introducing line itself is no word, and unmarked history needs one."""
    marked = [line for index, line in enumerate(lines) if not line.endswith("wrote:") or _is_quote_next(lines, index)]
    kept = reply_text("\n".join(marked), None).split("\n")
    for line in marked:
        assert not line or line.startswith(">") or line.endswith("wrote:") or line in kept


def _is_quote_next(lines: list[str], index: int) -> bool:
    return next((line.startswith(">") for line in lines[index + 1 :] if line), False)


@pytest.mark.parametrize(
    "text",
    [
        "x" * 2_000_000,
        "a:\n" * 100_000,
        "2027/01/04 " + " <a@b>" * 50_000,
        ("2027/01/04 " + " <a@b>" * 60 + "\n") * 2000,
        "On " + "On wrote: " * 50_000,
        "> \n" * 200_000,
        "Am " + " schrieb " * 50 + "\n" + ("Am " + " schrieb " * 50 + "\n") * 2000,
    ],
    ids=range(7),
)
def test_hostile_text_keeps_its_words(text: str) -> None:
    assert reply_text(text, None) == text.strip()
