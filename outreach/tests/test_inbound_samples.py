"""Whole mails as they come from the programs that people and companies use; written for these tests."""

from datetime import date

import pytest

from outreach.inbound.classify import InboundKind, absent_until, classify
from outreach.inbound.mail import parse
from outreach.inbound.quotes import reply_text

K = InboundKind
OUR_MAIL = "<case-1@offload.test>"
TODAY = date(2026, 12, 20)


def mail(text: str, *headers: str, sender: str = "Bob <bob@supplier.example>") -> bytes:
    return "\n".join([f"From: {sender}", "To: agent@offload.test", *headers, "", text]).encode()


# --- Out of office ---


@pytest.mark.parametrize(
    ("subject", "text", "until"),
    [
        ("Automatic reply: Offer", "I am out of the office until 5 January 2027.", date(2027, 1, 5)),
        ("Automatische Antwort: Angebot", "Ich bin bis einschließlich 05.01.2027 nicht im Büro.", date(2027, 1, 5)),
        ("Réponse automatique : Offre", "Je suis absent jusqu'au 5 janvier 2027.", date(2027, 1, 5)),
        ("Respuesta automática: Oferta", "Estaré fuera de la oficina hasta el 5 de enero.", date(2027, 1, 5)),
        ("Risposta automatica: Offerta", "Sono fuori ufficio fino al 5 gennaio 2027.", date(2027, 1, 5)),
        ("Resposta automática: Oferta", "Estarei ausente até 5 de janeiro de 2027.", date(2027, 1, 5)),
        ("Automatisch antwoord: Offerte", "Ik ben op maandag 11 januari 2027 terug.", None),
        ("Automatisch antwoord: Offerte", "Ik ben afwezig tot en met 5 januari 2027.", date(2027, 1, 5)),
        ("Autosvar: Erbjudande", "Jag är tillbaka den 7 januari 2027.", date(2027, 1, 7)),
        ("Automatisk svar: Tilbud", "Jeg holder ferie til og med 5. januar 2027.", date(2027, 1, 5)),
        ("Automatyczna odpowiedź: Oferta", "Wracam do pracy 6 stycznia 2027.", date(2027, 1, 6)),
        ("Automatická odpověď: Nabídka", "Do 5. ledna 2027 nejsem v kanceláři.", date(2027, 1, 5)),
        ("Automaattinen vastaus: Tarjous", "Olen lomalla 5.1.2027 asti.", date(2027, 1, 5)),
        ("Автоматический ответ: Предложение", "Меня нет в офисе до 5 января 2027 г.", date(2027, 1, 5)),
        ("Otomatik Yanıt: Teklif", "5 Ocak 2027 tarihine kadar ofis dışındayım.", date(2027, 1, 5)),
        ("自動返信: Offer", "只今休暇を頂いております。", None),
        ("AUTO: Bob is out of the office (returning 01/05/2027)", "I am out of the office.", None),
    ],
)
def test_out_of_office(subject: str, text: str, until: date | None) -> None:
    """By the subject alone: several servers send no Auto-Submitted."""
    raw = mail(text, f"Subject: {subject}", "Content-Type: text/plain; charset=utf-8")
    assert classify(raw) is K.AUTO_REPLY
    assert absent_until(parse(raw).reply_text, TODAY) == until


@pytest.mark.parametrize(
    "headers",
    [
        ["Subject: Re: Offer", "Auto-Submitted: auto-replied", "Precedence: bulk", "X-Autoreply: yes"],  # Gmail
        ["Subject: Automatic reply: Offer", "X-Auto-Response-Suppress: All", "Auto-Submitted: auto-generated"],
        ["Subject: Re: Offer", "X-MS-Exchange-Generated-Message-Source: Mailbox Rules Agent"],
        ["Subject: Away", "Auto-Submitted: auto-replied (vacation)", f"In-Reply-To: {OUR_MAIL}"],  # Sieve
        ["Subject: Offer", "Precedence: bulk", "Return-Path: <>"],
    ],
)
def test_vacation_programs(headers: list[str]) -> None:
    assert classify(mail("I read my mail again next week.", *headers)) is K.AUTO_REPLY


# --- Other machines ---


@pytest.mark.parametrize(
    ("headers", "text", "sender"),
    [
        (
            ["Subject: [Ticket #4711] Offer", "Auto-Submitted: auto-generated", f"In-Reply-To: {OUR_MAIL}"],
            "Your request has been received and a ticket has been created.",
            "Support <support@supplier.example>",
        ),
        (
            ["Subject: Eingangsbestätigung", "Precedence: bulk"],
            "Ihre Nachricht ist bei uns eingegangen. Dies ist eine automatisch erstellte Antwort.",
            "service@supplier.example",
        ),
        (
            ["Subject: Please confirm your message", "Precedence: bulk"],
            "Please click the link to prove that you are a human sender.",
            "no-reply@filter.example",
        ),
    ],
)
def test_receipts_and_challenges(headers: list[str], text: str, sender: str) -> None:
    assert classify(mail(text, *headers, sender=sender)) is K.AUTO_REPLY


def disposition(line: str, text: str) -> bytes:
    return mail(
        f"--x\nContent-Type: text/plain\n\n{text}\n--x\nContent-Type: message/disposition-notification\n\n"
        f"Final-Recipient: rfc822; bob@supplier.example\nOriginal-Message-ID: {OUR_MAIL}\nDisposition: {line}\n--x--",
        "Subject: Read: Offer",
        "Content-Type: multipart/report; report-type=disposition-notification; boundary=x",
    )


def test_read_receipts() -> None:
    assert classify(disposition("manual-action/MDN-sent-manually; displayed", "Your mail was read.")) is K.AUTO_REPLY
    unread = disposition("manual-action/MDN-sent-automatically; deleted", "Deleted without being read.")
    assert classify(unread) is K.AUTO_REPLY


@pytest.mark.parametrize(
    ("words", "kind"),
    [("Quota exceeded", K.SOFT_BOUNCE), ("No such user", K.BOUNCE)],
)
def test_a_refusal_in_the_form_of_a_read_receipt(words: str, kind: InboundKind) -> None:
    raw = disposition(
        "automatic-action/MDN-sent-automatically; deleted",
        f"Your message to <bob@supplier.example> was automatically rejected:\n{words}",
    )
    from_dovecot = raw.replace(b"Bob <bob@supplier.example>", b"Mail Delivery Subsystem <postmaster@supplier.example>")
    assert classify(from_dovecot.replace(b"Subject: Read: Offer", b"Subject: Rejected: Offer")) is kind


# --- Mail systems ---


@pytest.mark.parametrize(
    ("subject", "text", "kind"),
    [
        ("Permanent Delivery Failure", "Unable to deliver: <bob@supplier.example>: 550 no such user", K.BOUNCE),
        ("Mail Delivery Warning", "We will continue to try for three days.", K.DELAY),
        ("Non-Delivery Report", "The mailbox is full.", K.SOFT_BOUNCE),
        ("邮件发送失败", "邮件无法发送到您指定的地址。", K.SOFT_BOUNCE),
    ],
)
def test_bounces_in_words(subject: str, text: str, kind: InboundKind) -> None:
    raw = mail(text, f"Subject: {subject}", sender="MDaemon@mx.supplier.example")
    assert classify(raw) is kind


def test_a_known_wording_is_a_bounce_whoever_sends_it() -> None:
    text = "Your message could not be delivered to\nbob@supplier.example\n\n550 user unknown"
    assert classify(mail(text, "Subject: Non-delivery")) is K.BOUNCE
    # but not in a thread, nor under a subject of a person's
    assert classify(mail(text, "Subject: Non-delivery", f"In-Reply-To: {OUR_MAIL}")) is K.REPLY
    assert classify(mail(text, "Subject: Your mail to Bob")) is K.REPLY


def test_goods_are_not_mail() -> None:
    text = "The chairs could not be delivered, the address was unknown. Shall we try again on Monday?"
    assert classify(mail(text, "Subject: Delivery failed")) is K.REPLY
    assert classify(mail(text, "Subject: Undeliverable: order 4711")) is K.REPLY


def returned(subject: str, text: str, *headers: str) -> bytes:
    return mail(
        f"--x\n\n{text}\n--x\nContent-Type: message/rfc822\n\nFrom: a@b.test\nMessage-ID: {OUR_MAIL}\n\nHello\n--x--",
        f"Subject: {subject}",
        "Content-Type: multipart/mixed; boundary=x",
        *headers,
    )


def test_a_gateway_that_returns_our_mail() -> None:
    text = "Your mail could not be delivered. Not a valid user of the system."
    assert classify(returned("Mail delivery failed: returning message to sender", text)) is K.SOFT_BOUNCE
    # a person sends the bounce on
    assert classify(returned("Re: Mail delivery failed", text)) is K.REPLY
    assert classify(returned("Fwd: Mail delivery failed", "See below: 5 EUR")) is K.REPLY


# --- People ---


@pytest.mark.parametrize(
    ("headers", "sender"),
    [
        (["Subject: Re: Offer", "Precedence: bulk"], "bob@supplier.example"),
        (["Subject: Re: Offer", "X-Auto-Response-Suppress: DR, RN, NRN, OOF, AutoReply"], "bob@supplier.example"),
        (["Subject: Re: Offer"], "Supplier <no-reply@supplier.example>"),
        (["Subject: Re: Offer", "Return-Path: <>"], "bob@supplier.example"),
        (["Subject: Order 4711"], "Postmaster <postmaster@supplier.example>"),
        (
            ["Subject: [chairs] Offer", "List-Id: <chairs.supplier.example>", "Precedence: list"],
            "Bob via chairs <chairs@supplier.example>",
        ),
        (["Subject: AW: Automatische Antwort: Angebot"], "bob@supplier.example"),
    ],
)
def test_people_behind_odd_headers(headers: list[str], sender: str) -> None:
    text = "Thank you for your e-mail, we have received your request. The price is 5 EUR."
    assert classify(mail(text, *headers, sender=sender)) is K.REPLY


@pytest.mark.parametrize("answer", ["Accepted", "Declined", "Tentative"])
def test_an_answered_invitation_is_a_persons_reply(answer: str) -> None:
    """Somebody pressed the button; the model reads what that means for the case."""
    raw = mail(
        "--x\nContent-Type: text/plain\n\nFine with me.\n--x\nContent-Type: text/calendar; method=REPLY\n\n"
        "BEGIN:VCALENDAR\nMETHOD:REPLY\nEND:VCALENDAR\n--x--",
        f"Subject: {answer}: Delivery",
        "Content-Type: multipart/alternative; boundary=x",
    )
    assert classify(raw) is K.REPLY
    assert parse(raw).reply_text == "Fine with me."


# --- The new words ---


@pytest.mark.parametrize(
    "history",
    [
        "2027-01-04 10:00 GMT+01:00 Ann Lee <\nann@offload.test>:\n\n> Price?",
        '04.01.2027, 10:00, "Ann Lee" <ann@offload.test>:\n\nPrice?',
        "Mon, 4 Jan 2027 10:00:00 +0100 от Ann Lee <ann@offload.test>:\n\nPrice?",
        '04.01.2027 10:00 пользователь "Ann Lee" <\nann@offload.test> написал:\n\n> Price?',
        "Vào 10:00 4 tháng 1, 2027, Ann Lee <ann@offload.test> đã viết:\n\n> Price?",
        "W dniu 4 stycznia 2027 10:00 użytkownik Ann Lee <ann@offload.test>\nnapisał:\n\nPrice?",
        "On Jan 4, 2027, at 10:00 AM, Ann Lee <\nann.lee+case-4711-with-a-long-token@offload.test>\nwrote:\n\nPrice?",
        "On 4 Jan 2027, at 10:00, Ann Lee <ann@offload.test> sent:\n\n> Price?",
        "---- Ann Lee wrote ----\n\n> Price?\n> Colour?",
        "От: Ann Lee (mailto:ann@offload.test)\nОтправлено: 4 января 2027 г. 10:00\nКому: Bob\n\nPrice?",
        "差出人: Ann Lee <ann@offload.test>\n送信日時: 2027年1月4日 10:00\n宛先: Bob\n件名: Offer\n\nPrice?",
        "发件人： Ann Lee <ann@offload.test>\n发送时间： 2027年1月4日 10:00\n收件人： Bob\n主题： Offer\n\nPrice?",
        "보낸 사람: Ann Lee <ann@offload.test>\n보낸 날짜: 2027년 1월 4일\n받는 사람: Bob\n제목: Offer\n\nPrice?",
        "Od: Ann Lee <ann@offload.test>\nWysłano: 4 stycznia 2027\nDo: Bob\nTemat: Oferta\n\nPrice?",
    ],
)
def test_history_as_programs_write_it(history: str) -> None:
    assert reply_text(f"It is 5 EUR.\n\n{history}", None) == "It is 5 EUR."


@pytest.mark.parametrize(
    ("line", "own"),
    [
        ("It is 5 EUR. On Mon, Jan 4, 2027 at 10:00 AM, ann@offload.test wrote:", "It is 5 EUR."),
        ("It is 5 EUR - net--- On Mon, Jan 4, 2027 at 10:00 AM, ann@offload.test wrote:", "It is 5 EUR - net"),
    ],
)
def test_an_introducing_line_behind_the_senders_words(line: str, own: str) -> None:
    assert reply_text(f"{line}\n> Price?", None) == own


@pytest.mark.parametrize(
    "text",
    [
        "On 4 Jan 2027 at 10:00 please call our Bob <bob@supplier.example>:\nhe knows the price.",
        "4 Jan 2027 10:00 meeting with Bob <bob@supplier.example>:\nthe price",
        "Fine with us. Ann <ann@offload.test> wrote on 4 January 2027:\nthe price",
        "I accept. On 4 Jan 2027 at 10:00, Ann <ann@offload.test> sent:\n> Price?",
        "Contact on 4 Jan 2027, 10:00 is Bob (bob@supplier.example).\nThe price is 5 EUR.",
        "See this.\n\nDébut du message réexpédié :\n\nDe: C <c@d.test>\nDate: lundi\nÀ: Bob\nObjet: Offre\n\n5 EUR",
    ],
)
def test_what_only_looks_like_history_is_kept(text: str) -> None:
    assert reply_text(text, None) == text


def test_answers_between_the_lines_come_with_the_lines() -> None:
    text = (
        "See below.\n\nOn 4 Jan 2027 at 10:00, Ann <ann@offload.test> wrote:\n> What is the price?\n\n5 EUR\n\n"
        "> And the colour?\n\nRed\n\n> Regards\n> Ann"
    )
    assert reply_text(text, None) == text


@pytest.mark.parametrize("signature", ["Sent from my iPhone", "Von meinem iPhone gesendet", "-- \nBob\nSupplier Ltd"])
def test_signatures_are_kept(signature: str) -> None:
    """They name people, companies and telephone numbers, which a case may be about."""
    text = f"It is 5 EUR.\n\n{signature}"
    assert reply_text(f"{text}\n\nOn 4 Jan 2027 at 10:00, Ann <ann@offload.test> wrote:\n> Price?", None) == text


@pytest.mark.parametrize(
    "html",
    [
        '<div dir="ltr">It is 5 EUR.</div><br><div class="gmail_quote"><div dir="ltr" class="gmail_attr">On Mon, Jan 4,'
        ' 2027 at 10:00 AM Ann &lt;<a href="mailto:ann@offload.test">ann@offload.test</a>&gt; wrote:<br></div>'
        '<blockquote class="gmail_quote">Price?</blockquote></div>',
        "<p class=MsoNormal>It is 5 EUR.</p><div style='border:none;border-top:solid #E1E1E1 1.0pt'><p class=MsoNormal>"
        "<b>From:</b> Ann &lt;ann@offload.test&gt; <br><b>Sent:</b> Monday, January 4, 2027 10:00 AM<br><b>To:</b> Bob"
        "<br><b>Subject:</b> Offer</p></div><p class=MsoNormal>Price?</p>",
        '<div>It is 5 EUR.<br><div><br><blockquote type="cite"><div>On Jan 4, 2027, at 10:00, Ann &lt;<a href='
        '"mailto:ann@offload.test">ann@offload.test</a>&gt; wrote:</div><br><div>Price?</div></blockquote></div></div>',
        '<div class="yahoo-style-wrap"><div>It is 5 EUR.</div></div><div id="yahoo_quoted_1" class="yahoo_quoted"><div>'
        "<div> On Monday, January 4, 2027, 10:00:00 AM GMT+1, Ann &lt;ann@offload.test&gt; wrote: </div><div>Price?"
        "</div></div></div>",
    ],
    ids=["Gmail", "Outlook", "Apple", "Yahoo"],
)
def test_html_of_the_great_programs(html: str) -> None:
    assert reply_text(None, html) == "It is 5 EUR."
