"""What a reply says beside the lines of the form: mere courtesy, or something that a human has to read."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from outreach.agents import said

LEAST_ECHO = 4  # words: shorter lines of ours may be somebody's own words too
LONGEST_CLAUSE = 120  # characters; no courtesy is longer
LONGEST_SIGNATURE_LINE = 60  # characters

_CLAUSE_ENDS = re.compile(r"[.!;,:…]+(?:\s+|$)|\s+[–—-]+\s+")
_SMALL = re.compile(r"of|and|&|the|for|und|für|der|die|das|von|zu|et|de|des|du|l[ae]|y|e|i|en|van|a|o|w|d")
_CONTACT = re.compile(r"[\d@]|\w\.\w|\w:$")  # numbers, addresses, "tel:"
_WROTE = re.compile(r"\b(?:wrote|writes|schrieb|écrit|escribió|scritto|schreef|escreveu|pisze|napisał\w*|skrev)\b.*:$")


@dataclass(frozen=True)
class Context:
    """What a reply may repeat without saying anything by it."""

    names: frozenset[str]  # words of the names of both sides, folded
    ours: str  # the text of our mails, folded
    history: str  # the text of all earlier mails, folded


def context(names: Iterable[str], ours: Iterable[str], history: Iterable[str]) -> Context:
    """The context of a reply to these mails, between people and companies of these names."""
    words = (word for name in names for word in re.findall(r"\w+", name.casefold()))
    return Context(frozenset(words), fold("\n".join(map(_without_marks, ours))), _flat(history))


def _flat(texts: Iterable[str]) -> str:
    return fold("\n".join(map(_without_marks, texts)))


def prose(lines: Sequence[str], known: Context) -> list[str]:
    """Those of the lines that say more than courtesies and repetitions do; empty if nobody has to read them."""
    return list(_prose(list(lines), known))


def _prose(lines: list[str], known: Context) -> Iterator[str]:
    is_signature, skipped_to = False, 0
    for index, line in enumerate(lines):
        words = fold(_without_marks(line))
        if line.strip() in ("--", "—"):
            is_signature = True
        if index < skipped_to or not any(character.isalnum() for character in words):
            continue
        if is_quoted(line) or _is_echo(words, known):
            if is_quoted(line) and words not in known.history:
                yield line
            continue
        paragraph = _paragraph(lines, index)
        whole = " ".join(part.strip() for part in paragraph)
        if said.FOOTER.search(fold(whole)) and "?" not in whole:
            skipped_to = index + len(paragraph)
        elif _introduces_a_quote(lines, index, paragraph) or is_harmless(whole, known.names):
            skipped_to = index + len(paragraph)
            is_signature |= is_closing(paragraph[-1])
        elif is_harmless(line, known.names):
            is_signature |= is_closing(line)
        elif not (is_signature and _signs(line)):
            yield line


def is_quoted(line: str) -> bool:
    """Whether the line is marked as quoted from another mail."""
    return line.lstrip().startswith(">")


def fold(text: str) -> str:
    """The text without differences that do not matter: white space and case."""
    return " ".join(text.split()).casefold()


def _without_marks(text: str) -> str:
    return "\n".join(line.strip().lstrip("> \t") for line in text.splitlines())


def _is_echo(words: str, known: Context) -> bool:
    return len(words.split()) >= LEAST_ECHO and words in known.ours


def _paragraph(lines: list[str], index: int) -> list[str]:
    end = index
    while end < len(lines) and lines[end].strip() and not is_quoted(lines[end]):
        end += 1
    return lines[index:end]


def _introduces_a_quote(lines: list[str], index: int, paragraph: list[str]) -> bool:
    """`On 2 November 2026 Robin Ward wrote:`, above what is quoted."""
    following = next((line for line in lines[index + len(paragraph) :] if line.strip()), "")
    return is_quoted(following) and bool(_WROTE.search(fold(" ".join(paragraph))))


def is_harmless(text: str, names: Collection[str] = ()) -> bool:
    """Whether the text consists of greetings, thanks, closings and names, so that it needs no answer."""
    if "?" in text:
        return False
    return all(_is_harmless_clause(clause, names) for clause in _clauses(text))


def is_closing(line: str) -> bool:
    """Whether the line ends a mail: `Kind regards`. What stands below it is a signature."""
    return any(len(clause) <= LONGEST_CLAUSE and said.CLOSING.fullmatch(fold(clause)) for clause in _clauses(line))


def is_thanks(lines: Iterable[str]) -> bool:
    """Whether there are thanks in these lines."""
    clauses = (fold(clause) for line in lines for clause in _clauses(line))
    return any(len(clause) <= LONGEST_CLAUSE and said.THANKS.fullmatch(clause) for clause in clauses)


def is_doubtful(line: str) -> bool:
    """Whether the line has the words of a question or a condition."""
    return bool(said.DOUBTFUL.search(fold(line)))


def _clauses(text: str) -> list[str]:
    parts = (re.sub(r"^[^\w]+|[^\w]+$", "", part) for part in _CLAUSE_ENDS.split(_without_marks(text)))
    return [part for part in parts if part]


def _is_harmless_clause(clause: str, names: Collection[str]) -> bool:
    if len(clause) > LONGEST_CLAUSE:
        return False
    words = fold(clause)
    is_courtesy = said.COURTESY.fullmatch(words) is not None
    return is_courtesy or _is_greeting(clause, names) or _is_names(words, names)


def _is_greeting(clause: str, names: Collection[str]) -> bool:
    """A word of greeting and whom it greets: a name that is known, a title, or up to three capitalised words."""
    greeting = said.GREETING.match(clause)
    if not greeting:
        return False
    others = [word for word in re.findall(r"[^\s/&]+", clause[greeting.end() :]) if not _is_name(word, names)]
    return len(others) <= 3 and all(re.fullmatch(r"[^\W\d_a-zà-ÿ][\w'’.-]*", word) for word in others)


def _is_names(words: str, names: Collection[str]) -> bool:
    found = re.findall(r"\w+", words)
    return bool(found) and all(_is_name(word, names) for word in found) and any(word in names for word in found)


def _is_name(word: str, names: Collection[str]) -> bool:
    plain = fold(word).strip(".")
    return plain in names or plain in said.TITLES


def _signs(line: str) -> bool:
    """Whether a line below a closing looks like part of a signature: names, positions, addresses, numbers."""
    if len(line.strip()) > LONGEST_SIGNATURE_LINE or is_doubtful(line):
        return False
    words = re.findall(r"[^\s|,;/()·•]+", line.strip())
    return all(not word[:1].islower() or _SMALL.fullmatch(word) or _CONTACT.search(word) for word in words)
