"""The search on PostgreSQL: two functions that make words (tsvector) of a row, and a GIN index on what each gives.

PostgreSQL's own parser would keep an address such as ann@supplier.example as one word, of which no part is found. So
marks are taken off the letters and signs become spaces first, as search.py does with what is looked for. No extension
is needed, and nothing but `simple` of the text search's configurations.
"""
# ruff: noqa: S608 (the statements are made of constants)

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import OperationalError, connection, transaction

MOST_CHARS = 30_000  # of one mail: a tsvector holds 1 MB, and a longer one would keep the mail from being stored
MOST_SEEN = 2000  # matches that are put in order; of more, the newest are looked for among
NEWEST = 2000  # mails
MOST_MILLISECONDS = 3000  # a phrase of frequent words, all of whose mails have to be read

_WORDS = (
    "to_tsvector('pg_catalog.simple', regexp_replace(regexp_replace(left(lower(normalize(left({text}, {most}), NFKD)), "
    "{most}), '[\u0300-\u036f]', '', 'g'), '[\u0001-/:-@\\[-`{{-\u00bf\u2000-\u206f]+', ' ', 'g'))"
)
_FUNCTION = (
    "CREATE OR REPLACE FUNCTION {name}({arguments}) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS "
    "$words$ SELECT {body} $words$"
)
CASE_WORDS = "cases_words_of_case(client_reference_id, counterparty_address, counterparty)"
MAIL_WORDS = "cases_words_of_mail(direction, from_name, from_address, subject, text)"


def functions() -> list[str]:
    """The statements that make the two functions."""
    known = "coalesce(reference, '') || ' ' || address || ' ' || coalesce(counterparty->>'name', '')"
    known += " || ' ' || coalesce(counterparty->>'company', '')"
    said = (
        "CASE direction WHEN 'IN' THEN from_name || ' ' || from_address || ' ' ELSE '' END || subject || ' ' || content"
    )
    return [
        _FUNCTION.format(
            name="cases_words_of_case",
            arguments="reference text, address text, counterparty json",
            body=_WORDS.format(text=known, most=MOST_CHARS),
        ),
        _FUNCTION.format(
            name="cases_words_of_mail",
            arguments="direction text, from_name text, from_address text, subject text, content text",
            body=_WORDS.format(text=said, most=MOST_CHARS),
        ),
    ]


def indexes() -> dict[str, str]:
    """What is built without keeping anybody from writing, by name."""
    create = "CREATE INDEX CONCURRENTLY {name} ON {table} USING gin (({words}))"
    tables = {"case_words": ("cases_case", CASE_WORDS), "message_words": ("cases_message", MAIL_WORDS)}
    return {name: create.format(name=name, table=table, words=words) for name, (table, words) in tables.items()}


@contextmanager
def in_one_go() -> Iterator[None]:
    """One transaction for searches that belong together. Raises TookTooLong where one of them does."""
    try:
        with transaction.atomic():
            yield
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) == QUERY_CANCELED:
            raise TookTooLong from error
        raise


def cases(wanted: Sequence[Any], most: int) -> list[uuid.UUID]:
    """Ids of the newest cases with all of these phrases. Within `in_one_go`."""
    sql = f"SELECT id FROM cases_case WHERE {CASE_WORDS} @@ %s::tsquery ORDER BY created_at DESC, id DESC LIMIT %s"
    return [pk for (pk,) in _rows(sql, wanted, [_query(wanted), most])]


def mails(wanted: Sequence[Any], most: int) -> list[tuple[uuid.UUID, uuid.UUID]]:
    """Ids of the newest mails with all of these phrases, and of their cases. Within `in_one_go`.

    An index of words knows no order. Where more match than are worth sorting, the newest mails are read, too, and come
    before the others.
    """
    words = _query(wanted)
    rows = _rows(MAIL_SQL, wanted, [words, MOST_SEEN, MOST_SEEN, words, most])
    newest_first = sorted(rows, key=lambda row: (row[3], row[2]), reverse=True)
    return list(dict.fromkeys((pk, case_pk) for pk, case_pk, *_ in newest_first))[:most]


MAIL_SQL = (
    "WITH matched AS MATERIALIZED "
    f"(SELECT id, case_id, created_at, 0 AS is_newest FROM cases_message WHERE {MAIL_WORDS} @@ %s::tsquery LIMIT %s), "
    "newest AS (SELECT id, case_id, created_at, direction, from_name, from_address, subject, text FROM cases_message "
    f"WHERE (SELECT count(*) FROM matched) = %s ORDER BY created_at DESC, id DESC LIMIT {NEWEST}) "
    f"(SELECT id, case_id, created_at, 1 AS is_newest FROM newest WHERE {MAIL_WORDS} @@ %s::tsquery LIMIT %s) "
    "UNION ALL SELECT * FROM matched"
)


class TookTooLong(Exception):
    """Too many mails would have to be read to answer."""


def _rows(sql: str, wanted: Sequence[Any], parameters: list[Any]) -> list[Any]:
    """What the statement gives. The limit of its time goes along with it and ends with it, to save round trips."""
    if not wanted:
        return []
    with connection.cursor() as cursor:
        limited = f"SET LOCAL statement_timeout = {MOST_MILLISECONDS}; {sql}; SET LOCAL statement_timeout TO DEFAULT"
        cursor.execute(limited, parameters)
        cursor.nextset()
        rows: list[Any] = cursor.fetchall()
        return rows


QUERY_CANCELED = "57014"


def _query(wanted: Sequence[Any]) -> str:
    """As the text of a tsquery. The words hold letters and digits only, so nothing in them is an operator."""
    return " & ".join(f"({' <-> '.join(_operands(phrase))})" for phrase in wanted)


def _operands(phrase: Any) -> list[str]:
    words = [f"'{word}'" for word in phrase.words]
    return [*words[:-1], f"{words[-1]}:*"] if phrase.is_open else words
