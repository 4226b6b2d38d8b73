"""Who wrote: a person, or a machine, and which. Headers first, words second, and in doubt a person.

A reply taken for a machine's is the worst error, so no rule rests on one weak sign: those only count together.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from outreach.inbound import bounces, content, mime, quotes, reports
from outreach.inbound.absence import absent_until
from outreach.inbound.mime import Part
from outreach.inbound.reports import Outcome, Report

__all__ = ["InboundKind", "absent_until", "classify", "kind_of"]


class InboundKind(StrEnum):
    """What a mail is. BOUNCE is permanent, SOFT_BOUNCE is not or can't be told."""

    REPLY = "reply"
    AUTO_REPLY = "auto_reply"
    BOUNCE = "bounce"
    SOFT_BOUNCE = "soft_bounce"
    DELAY = "delay"
    COMPLAINT = "complaint"


@dataclass(frozen=True)
class _Evidence:
    tree: Part
    said: str

    @cached_property
    def subject(self) -> str:
        return mime.one_line(mime.decode_words(self.tree.get("subject")), 500)

    @cached_property
    def new_words(self) -> str:
        """What stands in a quote below is not the sender's."""
        return quotes.without_quotes(self.said[:20_000])

    @cached_property
    def opening(self) -> str:
        """The first new words, on one line."""
        return " ".join(self.new_words[:2000].split())

    @cached_property
    def has_null_return_path(self) -> bool:
        """Whether there is no way back; some servers write their own daemon in for it."""
        return (
            re.fullmatch(r"<\s*(?:mailer-daemon(?:@[^>]*)?)?>", self.tree.get("return-path").strip().lower())
            is not None
        )

    @cached_property
    def is_from_mail_system(self) -> bool:
        return _MAIL_SYSTEM.search(self._sender) is not None

    @cached_property
    def is_threaded(self) -> bool:
        return self.tree.has("in-reply-to") or self.tree.has("references")

    @cached_property
    def _sender(self) -> str:
        return self.tree.get("from").lower()

    @cached_property
    def is_hinted(self) -> bool:
        """Signs that many machines show and that some people's mail shows too."""
        return (
            self.has_null_return_path
            or self.tree.has("x-auto-response-suppress")
            or self.tree.has("x-ms-exchange-inbox-rules-loop")
            or self.tree.get("precedence").strip().lower() in ("bulk", "junk")
            or re.search(r"\b(?:no|do-?not)[-_.]?reply|\bautorespon|\bvacation@", self._sender) is not None
        )


@dataclass(frozen=True)
class _HeaderRule:
    """A header whose mere value says what the mail is."""

    header: str
    value: re.Pattern[str]
    kind: InboundKind = InboundKind.AUTO_REPLY


@dataclass(frozen=True)
class _TextRule:
    """Words in the subject, and in the opening where given; `applies` says what else has to speak for it."""

    subject: re.Pattern[str]
    opening: re.Pattern[str]
    applies: Callable[[_Evidence], bool]
    kind: InboundKind


def _matching(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_MAIL_SYSTEM = _matching(
    r"\b(?:mailer-daemon|mail-daemon|mdaemon|postmaster)\\?@|^\W*(?:mailer-daemon|postmaster)\b"
    r"|^\W*mail delivery (?:sub)?system\W"
    r"|<>\s*$"
)
_ANY = _matching("")
_YES = _matching(r"\s*(?!no\b|false\b|0\s*$)\S")
_AUTOMATIC = (
    r"automatic reply|auto(?:mated)?[- ]?(?:reply|response)|automatische (?:antwort|beantwortung)"
    r"|abwesenheits(?:notiz|"
    r"benachrichtigung|meldung|nachricht|assistent)|réponse automatique|reponse automatique|message d'absence"
    r"|respuesta"
    r" automática|respuesta automatica|risposta automatica|resposta automática|automatisch antwoord"
    r"|afwezigheidsbericht"
    r"|autosvar|automatiskt? svar|automaattinen vastaus|automatyczna odpowiedź|automatická odpověď|автоответ"
    r"|автоматический ответ|otomatik yanıt|自動返信|自动回复|自動回覆"
)
_AWAY_SUBJECT = (
    r"auto: .{0,60}(?:out of the office|abwesend|absent)"
    r"|out[ -]of[ -](?:the[ -])?office|ooo\b|on (?:vacation|leave|holiday)|away from|vacation|abwesen"
    r"|nicht im (?:büro|haus)"
    r"|urlaub|absen(?:t|ce)|en congé|vacances|fuera de (?:la )?oficina|ausente|ausencia|vacaciones|fuori (?:sede"
    r"|ufficio)"
    r"|assente|fora do escritório|afwezig|semester|ferie"
)
_AWAY_TEXT = (
    r"out of (?:the )?office|(?:currently|presently) (?:away|unavailable|not available|on)|on (?:annual |parental "
    r"|maternity )?"
    r"(?:vacation|leave|holiday)|limited access to (?:my )?e-?mail|i am away|will (?:reply|respond|get back) .{0,40}"
    r"(?:return|back)|nicht im (?:büro|haus)|(?:bin|ist) .{0,60}(?:abwesend|nicht erreichbar|im urlaub)|abwesen"
    r"|wird nicht weitergeleitet|absent|en congé|de retour|fuera de (?:la )?oficina|ausente|de vacaciones"
    r"|fuori (?:sede|"
    r"ufficio)|assente|fora do escritório|afwezig"
)
_RECEIPT = (
    r"(?:this is an|automated|automatic) (?:auto\w* )?(?:message|reply|response|e-?mail|confirmation)"
    r"|do not (?:reply|respond)"
    r"|(?:have|has been) received|we('ve| have)? received your|your (?:request|ticket|message"
    r"|case) .{0,60}(?:received|created"
    r"|registered|opened)|ticket .{0,40}(?:created|opened|erstellt)|(?:ihre|deine) (?:anfrage|nachricht"
    r"|e-?mail) .{0,60}"
    r"(?:erhalten|eingegangen)|automatisch (?:generiert|erstellt|versendet)|antworten sie (?:bitte )?nicht"
    r"|(?:nous avons|avons"
    r" bien) (?:bien )?reçu|ne pas répondre|hemos recibido|no responda"
)
_CHALLENGE = (
    r"(?:confirm|verify|prove) .{0,60}(?:you are (?:a )?(?:human|person|real)|your (?:e-?mail|address|message"
    r"|identity))"
    r"|(?:spam ?arrest|boxbe|tmda|challenge[- ]response)|click .{0,80}(?:deliver|release|approve)"
)
_DELAY_SUBJECT = (
    r"warning: (?:message|could not|mail)|delivery (?:status notification )?\(?(?:delay|temporar)|delayed|deferred"
    r"|delivery warning|zustellung .{0,40}verzögert|still being retried"
)
_BOUNCE_SUBJECT = (
    r"undeliver|(?:mail|message|delivery|e-?mail)\b.{0,40}(?:fail|return|rejected|could not be)|returned mail"
    r"|failure notice"
    r"|fail(?:ed|ure) (?:mail|deliver)|non[- ]?delivery|not delivered|(?:邮件|郵件).{0,10}(?:失败|失敗)|退信"
    r"|delivery status notification|non[- ]?remis|unzustellbar|nicht zugestellt|nicht zustellbar"
    r"|zustellung .{0,40}fehlgeschlagen"
    r"|échec|no se puede entregar|no entregado|mancato recapito|rejected mail"
)
_BOUNCE_TEXT = (
    r"qmail-send program|mail delivery system|could(?: not|n't) be delivered|(?:not|cannot) be delivered"
    r"|unable to deliver|(?:邮件|郵件).{0,5}(?:无法|無法)|delivery .{0,60}"
    r"(?:fail|has been delayed)|undeliver|permanent (?:fatal )?error|did not reach|konnte nicht zugestellt"
)
_PERMANENT = _matching(
    r"\b5\.\d{1,3}\.\d{1,3}\b|\b5[05]\d[ -]|(?:user|recipient|mailbox|address|account|domain|host) .{0,40}"
    r"(?:unknown|not found|does not exist|doesn't exist|unavailable|disabled|rejected)|no such (?:user|mailbox"
    r"|recipient|domain)"
    r"|(?:unknown|invalid) (?:user|recipient|mailbox|address)|permanent (?:fatal )?error"
)
_TEMPORARY = _matching(
    r"\b4\.\d{1,3}\.\d{1,3}\b|\b4[25]\d[ -]|(?:mailbox|quota) .{0,30}(?:full|exceeded)|over quota|temporar"
    r"|try(?:ing)? again"
    r"|will (?:be )?retr"
)
_REPLY_PREFIX = _matching(r"\s*(?:re|aw|antw|sv|vs|odp|tr|ref|rif|回复|答复)\s*(?:\[\d+\])?\s*[:：]")

_COMPLAINTS = frozenset({"", "abuse", "fraud", "virus", "miscategorized", "opt-out", "opt-out-list"})

# Of RFC 3834 §5 and of the programs that answered before it.
_HEADER_RULES = (
    _HeaderRule("auto-submitted", _YES),
    _HeaderRule("x-autoreply", _YES),
    _HeaderRule("x-autorespond", _YES),
    _HeaderRule("x-auto-reply", _YES),
    _HeaderRule("x-autoreply-from", _YES),
    _HeaderRule("x-mail-autoreply", _YES),
    _HeaderRule("x-autogenerated", _matching(r"\s*(?:reply|group|forward|mirror|redirect|yes)")),
    _HeaderRule("precedence", _matching(r"\s*auto[-_]?reply")),
    _HeaderRule("x-post-messageclass", _matching(r".*autoresponder")),
    _HeaderRule("x-ms-exchange-generated-message-source", _matching(r".*(?:rules|assistants?|oof|moderat|antispam)")),
    _HeaderRule("delivered-to", _matching(r"\s*autoresponder\s*$")),
)


def _is_from_daemon(evidence: _Evidence) -> bool:
    """A mail system's own message: nobody answers from such an address with "Re:"."""
    from_system = evidence.is_from_mail_system or evidence.has_null_return_path
    return from_system and not _REPLY_PREFIX.match(evidence.subject)


def _returns_our_mail(evidence: _Evidence) -> bool:
    """A goods-in department writes of failed deliveries too, but returns no mail."""
    return (
        reports.returns_original(evidence.tree)
        and not evidence.is_threaded
        and not _REPLY_PREFIX.match(evidence.subject)
    )


def _always(evidence: _Evidence) -> bool:
    return True


def _is_sent_by_program(evidence: _Evidence) -> bool:
    precedence = evidence.tree.get("precedence").strip().lower()
    return evidence.has_null_return_path and precedence in ("bulk", "junk")


def _is_hinted(evidence: _Evidence) -> bool:
    """Some people's mail shows the hints too, so a mail that says "Re:" needs more than them."""
    return evidence.is_hinted and not _REPLY_PREFIX.match(evidence.subject)


# Bounces that are not RFC 3464's (qmail, old Exim, gateways); before the headers, since they are auto-submitted too.
_DAEMON_RULES = (
    _TextRule(_matching(_DELAY_SUBJECT), _ANY, _is_from_daemon, InboundKind.DELAY),
    _TextRule(_matching(_BOUNCE_SUBJECT), _ANY, _is_from_daemon, InboundKind.BOUNCE),
    _TextRule(_ANY, _matching(_BOUNCE_TEXT), _is_from_daemon, InboundKind.BOUNCE),
    _TextRule(_matching(_BOUNCE_SUBJECT), _matching(_BOUNCE_TEXT), _returns_our_mail, InboundKind.BOUNCE),
)
_TEXT_RULES = (
    # A subject that only programs write; at its beginning, so that a person's "Re: Automatic reply: …" is none.
    _TextRule(
        _matching(rf"^\s*(?:\[[^\]]*\]\s*)?\[?(?:{_AUTOMATIC})\s*(?:[:：\-–\]]|$)"),
        _ANY,
        _always,
        InboundKind.AUTO_REPLY,
    ),
    # No person's mail is both sent in bulk and without a way back.
    _TextRule(_ANY, _ANY, _is_sent_by_program, InboundKind.AUTO_REPLY),
    # "Out of office" is also what people write about: it takes subject and words, or one of them and a hint.
    _TextRule(_matching(rf"^\s*(?:{_AWAY_SUBJECT})"), _matching(_AWAY_TEXT), _always, InboundKind.AUTO_REPLY),
    _TextRule(_matching(rf"^\s*(?:{_AUTOMATIC}|{_AWAY_SUBJECT})"), _ANY, _is_hinted, InboundKind.AUTO_REPLY),
    _TextRule(_ANY, _matching(_AWAY_TEXT), _is_hinted, InboundKind.AUTO_REPLY),
    _TextRule(_ANY, _matching(_RECEIPT), _is_hinted, InboundKind.AUTO_REPLY),
    _TextRule(_ANY, _matching(_CHALLENGE), _is_hinted, InboundKind.AUTO_REPLY),
)


def classify(raw: bytes) -> InboundKind:
    """The kind of the message `raw`; REPLY where nothing proves another. Never raises."""
    tree = mime.read(raw)
    return kind_of(tree, content.read(tree).said)


def kind_of(tree: Part, said: str) -> InboundKind:
    """As `classify`, for a message that is already read: its tree and its plain words."""
    evidence = _Evidence(tree, said)
    report = reports.find(tree)
    if report:
        kind = _kind_of_report(report)
        if kind:
            return kind
    return (
        _kind_of_daemon_mail(evidence)
        or _by_headers(tree)
        or next((rule.kind for rule in _TEXT_RULES if _holds(rule, evidence)), InboundKind.REPLY)
    )


def _kind_of_report(report: Report) -> InboundKind | None:
    if report.type == "feedback-report":
        feedback = report.field("feedback-type").lower().split(";")[0].strip()
        return InboundKind.COMPLAINT if feedback in _COMPLAINTS else InboundKind.AUTO_REPLY
    if report.type == "disposition-notification":
        # Dovecot's way to refuse a mail (RFC 8098's "automatic-action", "deleted"): its words decide.
        is_refusal = re.match(r"\s*automatic-action\b.*;\s*deleted\b", report.field("disposition").lower())
        return None if is_refusal else InboundKind.AUTO_REPLY
    worst = reports.worst_recipient(report)
    if worst:
        return {
            Outcome.FAILED: InboundKind.BOUNCE,
            Outcome.FAILED_FOR_NOW: InboundKind.SOFT_BOUNCE,
            Outcome.DELAYED: InboundKind.DELAY,
            Outcome.DELIVERED: InboundKind.AUTO_REPLY,
        }[worst[0]]
    return None  # a report that reports nothing: its words decide


def _kind_of_daemon_mail(evidence: _Evidence) -> InboundKind | None:
    if evidence.tree.has("x-failed-recipients") and evidence.is_from_mail_system:
        kind: InboundKind | None = InboundKind.BOUNCE  # Exim and Gmail name the addresses that they have given up
    else:
        kind = next((rule.kind for rule in _DAEMON_RULES if _holds(rule, evidence)), None)
    kind = kind or _kind_by_wording(evidence)
    if kind is InboundKind.BOUNCE:
        is_permanent = _PERMANENT.search(evidence.opening) and not _TEMPORARY.search(evidence.opening)
        return InboundKind.BOUNCE if is_permanent else InboundKind.SOFT_BOUNCE
    return kind


def _kind_by_wording(evidence: _Evidence) -> InboundKind | None:
    """A bounce from an address like any other, by a wording that a mail system is known for."""
    is_likely = _is_from_daemon(evidence) or (
        _matching(_BOUNCE_SUBJECT).search(evidence.subject) and not evidence.is_threaded
    )
    outcome = bounces.read(evidence.new_words, evidence.tree.get("from")) if is_likely else None
    if outcome is None:
        return None
    return InboundKind.DELAY if outcome is Outcome.DELAYED else InboundKind.BOUNCE


def _by_headers(tree: Part) -> InboundKind | None:
    for rule in _HEADER_RULES:
        for name, value in tree.headers:
            if name == rule.header and rule.value.match(re.sub(r"\([^()]*\)", "", value)):
                return rule.kind
    return None


def _holds(rule: _TextRule, evidence: _Evidence) -> bool:
    return bool(
        rule.applies(evidence) and rule.subject.search(evidence.subject) and rule.opening.search(evidence.opening)
    )
