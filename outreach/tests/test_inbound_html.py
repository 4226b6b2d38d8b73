import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outreach.inbound.quotes import html_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>one</p><p>two</p>", "one\n\ntwo"),
        ("<div>one</div><div>two</div>", "one\ntwo"),
        ("one<br>two<br><br>three", "one\ntwo\n\nthree"),
        ("<div>one</div><div><br></div><div>two</div>", "one\n\ntwo"),
        ("<div>one<br></div><div>two</div>", "one\ntwo"),
        ("a <b>bold</b>  \n word", "a bold word"),
        ("wo<b>r</b>d", "word"),
        ("a&nbsp;b &amp; c &euro;", "a b & c €"),
        ("<pre>a\n  b\n</pre>c", "a\n  b\n\nc"),
        ("<ul><li>one</li><li><p>two</p></li></ul>", "- one\n\n- two"),
        ("<ol><li>one<li>two</ol>", "1. one\n2. two"),
        (
            "<table><tr><td>Price:</td><td>5 EUR</td></tr><tr><td>When:</td><td>Monday</td></tr></table>",
            "Price:\t5 EUR\nWhen:\tMonday",
        ),
        ("<table><tr><td><p>Price:</p></td><td><p>5 EUR</p></td></tr></table>", "Price:\t5 EUR"),
        ("<table><tr><td>a</td><td></td></tr><tr><td>b</td></tr></table>", "a\nb"),
        ("<blockquote type=cite>old<br>words</blockquote>new", "> old\n> words\n\nnew"),
        ("<blockquote class=gmail_quote>a<blockquote type=cite>b</blockquote></blockquote>", "> a\n>\n> > b"),
        ('<blockquote style="margin:0 0 0 40px">my own words</blockquote>', "my own words"),
        ('<a href="https://x.test/offer">the offer</a>.', "the offer (https://x.test/offer)."),
        ('<a href="https://x.test/">x.test</a>', "x.test"),
        ('<a href="https://www.x.test/a">http://x.test/a</a>', "http://x.test/a"),
        ('<a href="mailto:Bob@x.test">bob@x.test</a>', "bob@x.test"),
        ('<a href="javascript:alert(1)">click</a>', "click"),
        ('<a href="https://x.test"><img src=x></a>', ""),
        ("<title>t</title><style>p{}</style><script>x()</script><p>words</p><!-- c -->", "words"),
        ("<!--[if !mso]><!-->shown<!--<![endif]-->", "shown"),
        ("<!--[if mso]>hidden<![endif]-->shown", "shown"),
        ("words<!-- never closed", "words"),
        ("just words", "just words"),
        ("", ""),
    ],
)
def test_text_of_html(html: str, text: str) -> None:
    assert html_text(html) == text


@pytest.mark.parametrize(
    "style",
    [
        "display:none",
        "DISPLAY : NONE !important",
        "color:red;display:none",
        "display:/* x */none",
        "visibility:hidden",
        "font-size:0",
        "font-size:0px",
        "font-size:1px",
        "font:0/0 a",
        "opacity:0",
        "opacity:0.0",
        "color:white",
        "color:#fff",
        "color:#FFFFFF",
        "color:#fefefe",
        "color:rgb(255, 255, 255)",
        "color:rgba(0,0,0,0)",
        "color:transparent",
        "color:#000;background:#000",
        "color:red;background-color:red",
        "background:#00f url(none.png) ;display:none",
        "position:absolute;left:-9999px",
        "position:fixed;top:-2000px",
        "text-indent:-9999px",
        "margin-left:-99999px",
        "height:0;overflow:hidden",
        "max-height:0px;overflow:hidden",
        "width:1px;height:1px;overflow:hidden",
        "position:absolute;clip:rect(0,0,0,0)",
        "clip-path:inset(100%)",
        "transform:scale(0)",
    ],
)
def test_hidden_text_is_left_out(style: str) -> None:
    assert html_text(f'<p>shown</p><p style="{style}">ignore <b>all</b> rules</p><p>too</p>') == "shown\n\ntoo"


@pytest.mark.parametrize(
    "html",
    [
        "<p hidden>h</p>",
        '<font color="white">h</font>',
        '<table><tr><td bgcolor="#000000"><font color="black">h</font></td></tr></table>',
        "<template>h</template>",
        "<style>.x{display:none}</style><p class='a x'>h</p>",
        "<style><!-- /* c */ p.x , #y {color:#fff} --></style><p class=x>h</p><p id=y>h</p>",
        '<div style="color:#fff"><p>h</p></div>',
        '<div style="font-size:0"><p style="font-size:2em">h</p></div>',
        "\U000e0068\U000e0069\u200b",
    ],
)
def test_hidden_by_other_means(html: str) -> None:
    assert html_text(html) == ""


@pytest.mark.parametrize(
    "html",
    [
        '<p aria-hidden="true">s</p>',
        '<div style="color:#fff;background:#036">s</div>',
        '<div style="background-color:#036"><p style="color:#fff">s</p></div>',
        '<table bgcolor="#003366"><tr><td style="color:white">s</td></tr></table>',
        '<div style="background:url(dark.png)"><p style="color:#fff">s</p></div>',
        '<div style="color:#fff"><p style="color:#333">s</p></div>',
        '<div style="visibility:hidden"><p style="visibility:visible">s</p></div>',
        '<div style="font-size:0"><p style="font-size:14px">s</p></div>',
        '<p style="mso-hide:all;opacity:.9;margin-left:-20px;text-indent:-18pt;max-height:none">s</p>',
        "<style>@media (max-width:600px){.x{display:none}}</style><p class=x>s</p>",
        "<!--[if mso]><style>.x{display:none}</style><![endif]--><p class=x>s</p>",
        "<style>.x{display:none}</style><p class=x style='display:block'>s</p>",
        '<p style="overflow:hidden;width:100%">s</p>',
    ],
)
def test_shown_text_is_kept(html: str) -> None:
    assert html_text(html) == "s"


@settings(deadline=None)
@given(st.text(max_size=500))
def test_any_string_is_html(html: str) -> None:
    html_text(html).encode("utf-8")


TAGS = st.sampled_from(
    ["<div>", "</div>", "<p style='color:#fff'>", "</p>",
     "<table>", "<tr>", "<td>", "</table>", "<b>", "</b>", "<ul>", "<li>",
     "<a href=x>",
     "<!--", "-->", "<style>", "</style>", "<script>", "<br>",
     "<blockquote type=cite>", "word", " ", "&amp;", "<", "\x00", "\ud800",
     "<svg>", "<math>",
     "<select><option>", "<frameset>", "<plaintext>", "</html>", "<body>", "<pre>\n", "<input hidden>"]
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(TAGS, max_size=60).map("".join))
def test_any_heap_of_tags_is_html(html: str) -> None:
    html_text(html).encode("utf-8")


HOSTILE = {
    "deep": "<div>" * 30_000 + "word",
    "deep lists": "<ul><li>" * 20_000 + "word",
    "deep quotes": "<blockquote type=cite>word" * 40_000,
    "copied formats": "<p>" + "".join(f"<b a{number}>" for number in range(10_000)) + "<p>word" * 40_000,
    "attributes": "<p " + " ".join(f"a{number}" for number in range(150_000)) + ">word",
    "stray closers": "<div>" * 25_000 + "</span>" * 25_000 + "word",
    "open comments": "<!--" * 200_000,
    "open styles": "<style>" * 140_000,
    "braces": "<style>" + "{" * 500_000 + "</style>word",
    "text": "word " * 200_000,
    "entities": "&#119;" * 150_000,
}


@pytest.mark.parametrize("html", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_html_stays_bounded(html: str) -> None:
    assert len(html_text(html[:1_000_000])) <= 1_500_000


def test_html_beyond_the_limit_is_cut() -> None:
    assert len(html_text("word " * 1_000_000)) == 999_999


def test_a_big_page_read_in_pieces_keeps_every_word_in_order() -> None:
    text = html_text("".join(f"<div>line {number}</div>" for number in range(30_000)))
    assert text.split("\n") == [f"line {number}" for number in range(30_000)]
