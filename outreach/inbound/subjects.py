"""When two subjects are one: what mail programs, lists and gateways put before a subject is taken off."""

import re
import unicodedata

MAX_PREFIXES = 20

# What programs write before the subject of a reply or a forward, by language; after Wikipedia's "List of email subject
# abbreviations" and what Outlook, Thunderbird and the large webmailers write. Folded, without the colon.
_PREFIXES = (
    "re|r|res|resp|ref|rép|réf|aw|antw|antwort|sv|vs|vb|bls|odp|odg|ynt|yan|rif|rv|tr|atb|"
    "ang|va|vá|răsp|απ|σχετ|πρθ|на|отв|ответ|відп|回复|答复|回覆|答覆|返信|답장|회신|השב|תגובה|رد|tl|"
    "fw|fwd|wg|wtr|weitergeleitet|i|enc|rv|renv|doorst|vl|fs|továbbítás|pd|ilt|i̇lt|"
    "redir|пер|переслать|转发|轉寄|轉發|転送|전달|הועבר|إعادة توجيه|ct|trs|"
    "automatic reply|auto reply|autoreply|auto|automatische antwort|abwesenheitsnotiz|réponse automatique|"
    "respuesta automática|risposta automatica|resposta automática|automatisch antwoord|autosvar|automatiskt svar|"
    "automaattinen vastaus|automatyczna odpowiedź|out of office|out of office autoreply|自動返信|自动回复|自動回覆|"
    "undelivered mail returned to sender|undeliverable|unzustellbar"
)
_PREFIX = re.compile(rf"(?:{_PREFIXES})\s*(?:\[\d+\]|\(\d+\)|\^\d+|\*\d+)?\s*[:：]\s*")
_TAG = re.compile(r"(?:\[[^\[\]]{0,80}\]|\((?:ext|extern|external)\)|\*{1,5}\w{1,20}\*{1,5})\s*:?\s*")


def topic(subject: str) -> str:
    """A subject of ours to be recognised by: without "Re:", folded; "" where that leaves nothing."""
    folded = _folded(subject)
    for _ in range(MAX_PREFIXES):
        shorter = _PREFIX.sub("", folded, count=1) if _PREFIX.match(folded) else folded
        if shorter == folded:
            break
        folded = shorter
    return folded


def possible_topics(subject: str) -> frozenset[str]:
    """The topics that a received subject may be about: as it stands, and without one more prefix or tag each time.

    A tag in brackets may be a list's or a gateway's, or our own subject's; so both readings count.
    """
    folded = _folded(subject)
    found = {folded}
    for _ in range(MAX_PREFIXES):
        taken = _PREFIX.match(folded) or _TAG.match(folded)
        if not taken:
            break
        folded = folded[taken.end() :]
        found.add(folded)
    return frozenset(found - {""})


def _folded(subject: str) -> str:
    """Case, white space, full width and invisible characters do not count."""
    text = unicodedata.normalize("NFKC", subject).casefold()
    text = "".join(" " if char.isspace() else char for char in text if unicodedata.category(char) != "Cf")
    return " ".join(text.split())
