"""Whose mail may act on a case, and what is kept from it."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from cases.factories import CaseFactory, MessageFactory
from cases.models import Admission, Case, Correspondent, Event, Purpose, Status
from cases.payload_parts import attachment_metadata
from cases.testing import run_due
from cases.transcript import transcript
from outreach import sandbox
from outreach.factories import Played
from outreach.inbound import counterparty, doors, intake
from outreach.inbound.arrival import Arrival, Envelope, Standing
from outreach.inbound.content import InboundAttachment
from outreach.inbound.mail import InboundMail, parse
from outreach.inbound.matching import Evidence
from outreach.inbound.trust import Circle, Judgement, Newcomer, circle_of, judge
from outreach.models import InboundPayload, PayloadState

NAMED = frozenset({Evidence.MESSAGE_ID})
CIRCLE = Circle(
    counterparty="ann@supplier.example",
    ours=frozenset({"us@ours.example"}),
    admitted=frozenset({"dora@agency.example"}),
    copied=frozenset({"carl@gmail.com"}),
    words="my colleague erika mustermann will see to it kind regards ann supplier",
    names=(frozenset({"ann", "supplier"}), frozenset({"robin", "buyer"})),
)


def mail_from(sender: str, body: str = "Hello", **headers: str) -> InboundMail:
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return parse(f"From: {sender}\r\nTo: us@ours.example\r\n{head}\r\n{body}".encode())


def judged(sender: str, circle: Circle = CIRCLE, **envelope: Any) -> Judgement:
    return judge(mail_from(sender), Envelope(**envelope), NAMED, lambda: circle)


def stranger(address: str) -> Judgement:
    return Judgement(f"Its sender {address} is not known on this case.")


# --- Who is who ---


@pytest.mark.parametrize(
    "sender",
    [
        "ann@supplier.example",
        "Somebody Else <ANN@Supplier.Example>",
        "ann+offers@supplier.example",
        "Group: ann@supplier.example;",
        "dora@agency.example",
        "Dora <dora+x@agency.example>",
    ],
)
def test_the_counterparty_and_those_admitted_act(sender: str) -> None:
    assert judged(sender) == Judgement()


@pytest.mark.parametrize(
    ("sender", "address", "name", "how"),
    [
        ("Bob <bob@supplier.example>", "bob@supplier.example", "Bob", Admission.SAME_ORGANISATION),
        ("bob@mail.supplier.example", "bob@mail.supplier.example", "", Admission.SAME_ORGANISATION),
        ("Carl <Carl+work@gmail.com>", "carl@gmail.com", "Carl", Admission.COPIED),
        ("Erika Mustermann <em@web.de>", "em@web.de", "Erika Mustermann", Admission.NAMED),
        ('"Mustermann, Erika" <em@web.de>', "em@web.de", "Mustermann, Erika", Admission.NAMED),
    ],
)
def test_a_colleague_is_admitted(sender: str, address: str, name: str, how: Admission) -> None:
    assert judged(sender) == Judgement(newcomers=(Newcomer(address, name, how),))


@pytest.mark.parametrize(
    ("sender", "address"),
    [
        ("eve@evil.example", "eve@evil.example"),
        ('"ann@supplier.example" <eve@evil.example>', "eve@evil.example"),
        ("Ann Supplier <eve@evil.example>", "eve@evil.example"),
        ('"Supplier, Ann" <eve@evil.example>', "eve@evil.example"),
        ("Robin Buyer <eve@evil.example>", "eve@evil.example"),
        ("Erika <eve@evil.example>", "eve@evil.example"),
        ("Rika Mustermann <eve@evil.example>", "eve@evil.example"),
        ("ann@suppIier.example", "ann@suppiier.example"),
        ("ann@supplier.example.evil.example", "ann@supplier.example.evil.example"),
        ("ann@evil-supplier.example", "ann@evil-supplier.example"),
        ("ann@xsupplier.example", "ann@xsupplier.example"),
        ("=?utf-8?q?Ann?= <ann@xn--supplier-cyb.example>", "ann@xn--supplier-cyb.example"),
        ("carla@gmail.com", "carla@gmail.com"),
        ("Carl <carl@googlemail.com>", "carl@googlemail.com"),
        ("ann@supplier.example <eve@evil.example>", "eve@evil.example"),
        ("ann@supplier.example, eve@evil.example", "eve@evil.example"),
        ("eve@evil.example, ann@supplier.example", "eve@evil.example"),
        ("Group: ann@supplier.example, eve@evil.example;", "eve@evil.example"),
        ("Erika Mustermann <eve@evil.example>, ann@supplier.example", "eve@evil.example"),
        ("ann@supplier.example\r\nFrom: eve@evil.example", "eve@evil.example"),
    ],
)
def test_a_stranger_stays_one(sender: str, address: str) -> None:
    assert judged(sender) == stranger(address)


@pytest.mark.parametrize(
    "sender",
    [
        "",
        "Ann",
        "Group:;",
        '"ann@supplier.example"@evil.example',
        "ann@supplier.example\0@evil.example",
        "ann@supplier.example, Eve",
        "ann@supplier.example, " + ", ".join(f"a{number}@supplier.example" for number in range(100)),
    ],
)
def test_a_sender_that_can_not_be_read_without_doubt_does_not_act(sender: str) -> None:
    assert judged(sender).why_not == "Its From names no sender, or none that can be read without doubt."


def test_who_is_to_be_answered_says_nothing_of_who_wrote() -> None:
    for header in ("Reply_To", "Sender", "Return_Path", "Resent_From"):
        mail = mail_from("eve@evil.example", **{header: "ann@supplier.example"})
        assert judge(mail, Envelope(), NAMED, lambda: CIRCLE) == stranger("eve@evil.example")
        nameless = mail_from("", **{header: "ann@supplier.example"})
        assert judge(nameless, Envelope(), NAMED, lambda: CIRCLE).why_not != ""


def test_unicode_and_punycode_are_one_domain() -> None:
    circle = replace(CIRCLE, counterparty="ann@xn--mller-kva.example")
    for sender in ("ann@müller.example", "ann@MÜLLER.example", "ann@xn--mller-kva.example"):
        assert judged(sender, circle) == Judgement()
    assert judged("ann@muller.example", circle) == stranger("ann@muller.example")
    assert judged("bob@post.müller.example", circle).newcomers[0].how == Admission.SAME_ORGANISATION


def test_sharing_a_mailbox_provider_makes_nobody_a_colleague() -> None:
    circle = replace(CIRCLE, counterparty="ann@gmx.de")
    assert judged("ann@gmx.de", circle) == Judgement()
    assert judged("bob@gmx.de", circle) == stranger("bob@gmx.de")


def test_our_own_mail_does_not_come_back_as_an_answer() -> None:
    circle = replace(CIRCLE, ours=frozenset({"us@supplier.example"}))
    for sender in ("us@supplier.example", "us+token@supplier.example", "us@supplier.example, ann@supplier.example"):
        assert judged(sender, circle) == Judgement("It comes from an address of our own.")


def test_several_authors_act_if_each_may() -> None:
    assert judged("ann@supplier.example, bob@supplier.example") == Judgement(
        newcomers=(Newcomer("bob@supplier.example", "", Admission.SAME_ORGANISATION),)
    )


# --- What our own server says ---


@pytest.mark.parametrize(
    ("standing", "acts"), [(Standing.PASSED, True), (Standing.UNKNOWN, True), (Standing.FAILED, False)]
)
def test_a_sender_whose_domain_disowns_the_mail_does_not_act(standing: Standing, acts: bool) -> None:
    for sender in ("ann@supplier.example", "dora@agency.example", "bob@supplier.example"):
        assert (judged(sender, standing=standing).why_not == "") is acts


@pytest.mark.parametrize("label", ["spam", "blocked", "unauthenticated"])
def test_what_the_provider_has_filed_away_does_not_act(label: str) -> None:
    assert judged("ann@supplier.example", label=label).why_not == f"The provider has filed it under “{label}”."


# --- Reports ---

SENT_AT = datetime(2026, 5, 5, tzinfo=UTC)
ORIGINAL = counterparty.OriginalMail(
    "<sent@ours.example>", (), "Invoice", "us@ours.example", "", "ann@supplier.example", "", "Hello", SENT_AT
)


@pytest.mark.parametrize("make", [counterparty.bounce, counterparty.complaint])
@pytest.mark.parametrize(
    ("evidence", "sender", "acts"),
    [
        ({Evidence.MESSAGE_ID}, "bounce@mx.example", True),
        ({Evidence.ADDRESS}, "", True),
        ({Evidence.ADDRESS}, "eve@evil.example", False),
        ({Evidence.THREAD}, "", False),
        ({Evidence.SUBJECT}, "", False),
    ],
)
def test_who_reports_must_show_to_have_had_our_mail(make: Any, evidence: Any, sender: str, acts: bool) -> None:
    judgement = judge(parse(make(ORIGINAL)), Envelope(sender=sender), frozenset(evidence), lambda: CIRCLE)
    assert (judgement.why_not == "") is acts
    assert judgement.newcomers == ()


# --- Introductions ---


def received(case: Case, text: str, **fields: Any) -> None:
    MessageFactory(case=case, direction="IN", text=text, **fields)


@pytest.mark.django_db
def test_the_counterparty_introduces_whom_it_writes_to_or_about() -> None:
    case = CaseFactory(status=Status.RUNNING)
    received(case, "Please ask Erika Mustermann.", cc=["Carl@Other.example"], to_address="fred@other.example")
    received(case, "Or <mailto:gina+x@other.example>.", purpose=Purpose.MACHINE)
    received(case, "Ask Hans Wurst, hans@evil.example", from_address="eve@evil.example", cc=["ida@evil.example"])
    circle = circle_of(case)
    assert circle.copied >= {"carl@other.example", "fred@other.example", "gina@other.example"}
    assert "erika mustermann" in circle.words
    assert "hans" not in circle.words
    assert not circle.copied & {"hans@evil.example", "ida@evil.example"}
    assert circle.ours >= {case.our_address}


@pytest.mark.django_db
@pytest.mark.parametrize("header", [b"\nCc: carl@other.example\nTo: ", b"\nTo: carl@other.example, ", b"\nTo: "])
def test_a_colleague_who_was_copied_in_takes_part_and_is_told_of(header: bytes) -> None:
    played = Played.begin()
    raw = counterparty.reply(sandbox._newest_mail(played.case), text="Carl will answer.")
    raw = raw.replace(b"\nTo: ", header, 1)
    if header == b"\nTo: ":
        raw = raw.replace(b"sandbox.invalid>", b"sandbox.invalid>, carl@other.example", 1)
    played.take(raw)
    played.reply("Here it is.", from_address="carl@other.example", from_name="Carl")
    assert [mail.text for mail in played.received] == ["Carl will answer.", "Here it is."]
    [carl] = Correspondent.objects.all()
    assert (carl.case, carl.address, carl.name, carl.how) == (played.case, "carl@other.example", "Carl", "COPIED")
    told = Event.objects.get(type="mail.sender_admitted")
    assert told.data == {"sender": "carl@other.example", "how": "COPIED"}
    played.reply("And once more.", from_address="carl@other.example", from_name="Carl")
    assert (Correspondent.objects.count(), len(played.received)) == (1, 3)
    assert {mail.to_address for mail in played.sent} == {"ann@supplier.example"}


@pytest.mark.django_db
def test_a_colleague_may_be_faster_than_what_introduces_them() -> None:
    played = Played.begin()
    played.reply("Here it is.", from_address="carl@other.example")
    played.reply("Hello", from_address="eve@evil.example")
    played.reply("I am copying in Carl, carl@other.example.")
    assert sorted(mail.text for mail in played.received) == [
        "Here it is.",
        "I am copying in Carl, carl@other.example.",
    ]
    assert Correspondent.objects.get().address == "carl@other.example"
    assert InboundPayload.objects.get(state=PayloadState.QUARANTINED).summary["from"] == "eve@evil.example"
    assert played.timeline.count("mail.quarantined") == 2


@pytest.mark.django_db
def test_what_fails_at_our_server_stays_in_quarantine_whoever_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played.begin()
    raw = counterparty.reply(sandbox._newest_mail(played.case), text="Forged")
    failed = Arrival(mail=parse(raw), envelope=Envelope(standing=Standing.FAILED))
    monkeypatch.setitem(doors.READERS, "smtp", lambda payload, seconds: failed)
    intake.accept("smtp", raw, "key")
    run_due()
    played.reply("Real")
    assert [mail.text for mail in played.received] == ["Real"]
    assert InboundPayload.objects.get(source="smtp").state == PayloadState.QUARANTINED
    assert played.timeline.count("mail.quarantined") == 1


@pytest.mark.django_db
def test_whom_a_colleague_copies_in_stays_a_stranger() -> None:
    played = Played.begin()
    ours = sandbox._newest_mail(played.case)
    bob = replace(ours, to_address="bob@supplier.example", to_name="Bob")
    played.take(counterparty.reply(bob, text="See Carl.").replace(b"\nTo: ", b"\nCc: carl@other.example\nTo: ", 1))
    played.reply("Here it is.", from_address="carl@other.example")
    assert [mail.text for mail in played.received] == ["See Carl."]


# --- Quarantine ---


def seen_by_client(case: Case) -> tuple[Any, ...]:
    case = Case.objects.get(pk=case.pk)
    return (
        case.status,
        case.version,
        case.updated_at,
        case.due_at,
        case.next_action_at,
        transcript(case),
        attachment_metadata(case),
    )


@pytest.mark.django_db
def test_a_strangers_mail_is_kept_and_changes_nothing() -> None:
    played = Played.begin()
    before = seen_by_client(played.case)
    file = InboundAttachment("a.txt", "text/plain", b"secret")
    played.reply("Invoice number: 1\nTotal: 2", from_address="eve@evil.example", from_name="Ann", attachments=[file])
    payload = InboundPayload.objects.get()
    assert (payload.state, payload.case, payload.due_at) == (PayloadState.QUARANTINED, played.case, None)
    assert payload.note == "Its sender eve@evil.example is not known on this case."
    assert payload.summary["from"] == "eve@evil.example"
    assert payload.summary["text"] == "Invoice number: 1\nTotal: 2"
    assert payload.summary["files"] == [{"name": "a.txt", "type": "text/plain", "size": 6}]
    assert seen_by_client(played.case) == before
    assert (played.received, len(played.mails)) == ([], 1)
    assert played.timeline[-1] == "mail.quarantined"
    assert "verdict" not in played.timeline
    assert not Correspondent.objects.exists()


@pytest.mark.django_db
def test_mail_that_fails_at_our_server_is_kept_though_it_names_the_counterparty(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    played = Played.begin()
    raw = counterparty.reply(sandbox._newest_mail(played.case), text="Total: 2")
    failed = Arrival(mail=parse(raw), envelope=Envelope(standing=Standing.FAILED))
    monkeypatch.setitem(doors.READERS, "smtp", lambda payload, seconds: failed)
    intake.accept("smtp", raw, "key")
    run_due()
    assert InboundPayload.objects.get().state == PayloadState.QUARANTINED
    assert (played.received, played.reload().status) == ([], Status.RUNNING)


@pytest.mark.django_db
@pytest.mark.parametrize("make", [counterparty.bounce, counterparty.complaint])
def test_a_forged_report_ends_no_case(make: Any) -> None:
    """It is sent to the case's address by somebody, and names no mail of ours."""
    played = Played.begin()
    ours = sandbox._newest_mail(played.case)
    raw = make(replace(ours, message_id="<guessed@ours.example>"))
    intake.accept("sandbox", raw, "key", envelope={"sender": "eve@evil.example"})
    run_due()
    assert InboundPayload.objects.get().state == PayloadState.QUARANTINED
    assert (played.reload().status, played.received) == (Status.RUNNING, [])


@pytest.mark.django_db
def test_a_stranger_does_not_keep_the_real_reply_out_by_being_first() -> None:
    played = Played.begin()
    ours = sandbox._newest_mail(played.case)
    real = counterparty.reply(ours, text="Here it is.")
    start = real.index(b"Message-ID: ")
    theirs = real[start : real.index(b"\n", start) + 1]
    forged = counterparty.reply(replace(ours, to_address="eve@evil.example"), text="No.")
    start = forged.index(b"Message-ID: ")
    played.take(forged[:start] + theirs + forged[forged.index(b"\n", start) + 1 :])
    assert played.received == []
    played.take(real)
    assert [mail.text for mail in played.received] == ["Here it is."]


@pytest.mark.django_db
def test_two_different_mails_under_one_message_id_are_both_kept_and_each_once() -> None:
    played = Played.begin()
    first = counterparty.reply(sandbox._newest_mail(played.case), text="Here it is.")
    second = first.replace(b"Here it is.", b"No, take this one.")
    for door in ("sandbox", "pipe", "imap"):
        for number, raw in enumerate((first, second)):
            intake.accept(door, raw, f"{door}{number}")
    run_due()
    assert InboundPayload.objects.filter(state=PayloadState.DONE).count() == 6
    assert sorted(mail.text for mail in played.received) == ["Here it is.", "No, take this one."]
    assert sum(mail.message_id.endswith("@reused.invalid>") for mail in played.received) == 1
