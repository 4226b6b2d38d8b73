"""When two addresses are one mailbox or of one organisation, and when two subjects are one."""

import pytest

from outreach.inbound.addresses import canonical, organisation
from outreach.inbound.subjects import possible_topics, topic


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ann@Supplier.Example", "ann@supplier.example"),
        ("ann+offers@supplier.example", "ann@supplier.example"),
        ("ann@müller.example", "ann@xn--mller-kva.example"),
        ("ann@MÜLLER.example", "ann@xn--mller-kva.example"),
        ("ann@ｓupplier.example", "ann@supplier.example"),
        ("ann@supplier.example.", "ann@supplier.example"),
        ("a\u0308nn@supplier.example", "\u00e4nn@supplier.example"),
        ("ann@a_b.example", "ann@A_b.example"),
    ],
)
def test_one_mailbox(one: str, other: str) -> None:
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ann@supplier.example", "anna@supplier.example"),
        ("ann@supplier.example", "ann@suppIier.example"),
        ("ann@supplier.example", "ann@suррlier.example"),  # Cyrillic
        ("ann@supplier.example", "аnn@supplier.example"),
        ("ann@straße.example", "ann@strasse.example"),
        ("ann@supplier.example", "ann@mail.supplier.example"),
        ("a.nn@supplier.example", "ann@supplier.example"),
        ("+ann@supplier.example", "+bob@supplier.example"),
    ],
)
def test_two_mailboxes(one: str, other: str) -> None:
    assert canonical(one) != canonical(other)


@pytest.mark.parametrize(
    ("address", "domain"),
    [
        ("ann@supplier.example", "supplier.example"),
        ("ann@mail.eu.supplier.example", "supplier.example"),
        ("ann@mail.supplier.co.uk", "supplier.co.uk"),
        ("ann@mail.MÜLLER.de", "xn--mller-kva.de"),
        ("ann@supplier.example.evil.com", "evil.com"),
        ("ann@evil-supplier.example", "evil-supplier.example"),
        ("ann@one.github.io", "one.github.io"),
        ("ann@gmail.com", None),
        ("ann@GoogleMail.com", None),
        ("ann@outlook.de", None),
        ("ann@gmx.de", None),
        ("ann@mailbox.org", None),
        ("ann@tenant.onmicrosoft.com", None),
        ("ann@co.uk", None),
        ("ann@localhost", None),
        ("ann@[192.0.2.1]", None),
        ("ann@192.0.2.1", None),
        ("", None),
    ],
)
def test_organisation(address: str, domain: str | None) -> None:
    assert organisation(address) == domain


@pytest.mark.parametrize(
    ("subject", "core"),
    [
        ("Re: Invoice", "invoice"),
        ("Re: AW: Fwd:  Invoice  of\tMarch", "invoice of march"),
        ("RE[3]: SV: Invoice", "invoice"),
        ("[PO-1] Delivery", "[po-1] delivery"),
        ("Regarding: Invoice", "regarding: invoice"),
        ("Re:", ""),
        ("Ｒｅ： Größe", "grösse"),
        ("In\u200bvoice", "invoice"),
    ],
)
def test_topic(subject: str, core: str) -> None:
    assert topic(subject) == core


def test_replies_and_forwards_in_many_languages() -> None:
    prefixes = "Re Aw Antw SV VS Odp Rif RES TR WG Fwd FW ENC RV Ynt İLT Vá ΑΠ Σχετ НА Отв 回复 返信 转发 답장 השב رد"
    for prefix in prefixes.split():
        assert (prefix, topic(f"{prefix}: Invoice")) == (prefix, "invoice")


def test_a_tag_may_be_a_lists_or_our_own() -> None:
    assert possible_topics("[EXTERNAL] Re: [PO-1] Delivery") == {
        "[external] re: [po-1] delivery",
        "re: [po-1] delivery",
        "[po-1] delivery",
        "delivery",
    }
    assert topic("[PO-2] Delivery") not in possible_topics("Re: [PO-1] Delivery")


def test_long_subjects_cost_little() -> None:
    assert "x" in possible_topics("Re: " * 20 + "x")
    assert "x" not in possible_topics("Re: " * 200 + "x")
    assert possible_topics("[" * 10_000) == {"[" * 10_000}
