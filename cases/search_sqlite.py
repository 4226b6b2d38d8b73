"""The search on SQLite: a full-text table (FTS5, https://sqlite.org/fts5.html) for cases and one for mails.

Triggers fill them. They hold no text of their own ("contentless"), so a row is taken out by naming the words that it
was put in with. Rows are numbered by a table beside each: the numbers that SQLite itself gives to rows with other keys
change with a VACUUM.

Django alters most tables on SQLite by copying them, and the triggers of the old table go with it. So what is missing is
made anew after each `migrate`, and what has come in meanwhile is indexed then.
"""
# ruff: noqa: S608 (the statements are made of constants)

import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from cases.database import transaction as work_transaction

MOST_CHARS = 30_000  # of one mail; as in search_postgresql.py
PAGES_AT_ONCE = 500  # of an index, merged within one transaction
TOKENS = "unicode61 remove_diacritics 2"


@dataclass(frozen=True)
class Source:
    """A table whose rows are found by words, with the expression for these; `{row}` stands for the row."""

    table: str
    kind: str
    case: str  # the column with the case's id
    columns: tuple[str, ...]  # that the words come from
    words: str

    @property
    def numbers(self) -> str:
        return f"cases_search_{self.kind}_number"

    @property
    def index(self) -> str:
        return f"cases_search_{self.kind}_words"

    def words_of(self, row: str) -> str:
        return f"substr({self.words.format(row=row)}, 1, {MOST_CHARS})"

    def tables(self) -> dict[str, str]:
        """What has to exist, by name."""
        return {
            self.numbers: f"CREATE TABLE {self.numbers} (id INTEGER PRIMARY KEY, row_id char(32) NOT NULL UNIQUE, "
            "case_id char(32) NOT NULL)",
            self.index: f"CREATE VIRTUAL TABLE {self.index} USING fts5(words, content='', columnsize=0, "
            f'tokenize="{TOKENS}")',
        }

    def triggers(self) -> dict[str, str]:
        """What has to exist, too."""
        number = f"(SELECT id FROM {self.numbers} WHERE row_id = {{row}}.id)"
        old, new = number.format(row="old"), number.format(row="new")
        put_in = f"INSERT INTO {self.index} (rowid, words) VALUES ({new}, {self.words_of('new')});"
        take_out = (
            f"INSERT INTO {self.index} ({self.index}, rowid, words) VALUES ('delete', {old}, {self.words_of('old')});"
        )
        add = f"INSERT INTO {self.numbers} (row_id, case_id) VALUES (new.id, new.{self.case});"
        name = f"cases_search_{self.kind}"
        return {
            f"{name}_added": f"CREATE TRIGGER {name}_added AFTER INSERT ON {self.table} BEGIN {add} {put_in} END",
            f"{name}_changed": f"CREATE TRIGGER {name}_changed AFTER UPDATE OF {', '.join(self.columns)} "
            f"ON {self.table} WHEN {self.words_of('old')} <> {self.words_of('new')} BEGIN {take_out} {put_in} END",
            f"{name}_removed": f"CREATE TRIGGER {name}_removed AFTER DELETE ON {self.table} "
            f"BEGIN {take_out} DELETE FROM {self.numbers} WHERE row_id = old.id; END",
        }

    def catch_up(self) -> Iterator[str]:
        """Statements that index the rows that are not, the oldest first: a list gives the newest first."""
        yield (
            f"INSERT INTO {self.numbers} (row_id, case_id) SELECT id, {self.case} FROM {self.table} AS t "
            f"WHERE NOT EXISTS (SELECT 1 FROM {self.numbers} WHERE row_id = t.id) ORDER BY created_at, id"
        )
        yield (
            f"INSERT INTO {self.index} (rowid, words) SELECT n.id, {self.words_of('t')} FROM {self.numbers} AS n "
            f"JOIN {self.table} AS t ON t.id = n.row_id WHERE n.id > %s ORDER BY n.id"
        )


CASES = Source(
    table="cases_case",
    kind="case",
    case="id",
    columns=("client_reference_id", "counterparty", "counterparty_address"),
    words="coalesce({row}.client_reference_id, '') || ' ' || {row}.counterparty_address"
    " || ' ' || coalesce(json_extract({row}.counterparty, '$.name'), '')"
    " || ' ' || coalesce(json_extract({row}.counterparty, '$.company'), '')",
)
MAILS = Source(
    table="cases_message",
    kind="mail",
    case="case_id",
    columns=("direction", "from_name", "from_address", "subject", "text"),
    words="CASE {row}.direction WHEN 'IN' THEN {row}.from_name || ' ' || {row}.from_address || ' ' ELSE '' END"
    " || {row}.subject || ' ' || {row}.text",
)


def in_one_go() -> AbstractContextManager[None]:
    """For searches that belong together; a transaction would keep writers waiting here."""
    return nullcontext()


def cases(wanted: Sequence[Any], most: int) -> list[uuid.UUID]:
    """Ids of the newest cases with all of these phrases."""
    return [case_pk for _, case_pk in _rows(CASES, wanted, most)]


def mails(wanted: Sequence[Any], most: int) -> list[tuple[uuid.UUID, uuid.UUID]]:
    """Ids of the newest mails with all of these phrases, and of their cases."""
    return _rows(MAILS, wanted, most)


def _rows(source: Source, wanted: Sequence[Any], most: int) -> list[tuple[uuid.UUID, uuid.UUID]]:
    if not wanted:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT n.row_id, n.case_id FROM {source.index} AS w JOIN {source.numbers} AS n ON n.id = w.rowid "
            f"WHERE w.{source.index} MATCH %s ORDER BY w.rowid DESC LIMIT %s",
            [_query(wanted), most],
        )
        return [(uuid.UUID(row), uuid.UUID(case)) for row, case in cursor.fetchall()]


def _query(wanted: Sequence[Any]) -> str:
    """In the language of FTS5. The words hold letters and digits only, so nothing in them is an operator."""
    return " AND ".join(f'"{" ".join(phrase.words)}"{" *" if phrase.is_open else ""}' for phrase in wanted)


def forget() -> None:
    """Rewrite the indexes without the words of rows that are gone: FTS5 keeps these until it merges by itself.

    In short transactions, so that the service goes on meanwhile.
    """
    for source in (CASES, MAILS):
        pages = -PAGES_AT_ONCE  # negative: take in all parts of the index
        while _merge(source, pages):
            pages = PAGES_AT_ONCE


def _merge(source: Source, pages: int) -> bool:
    """Whether there was something left to merge; see "merge" in FTS5's documentation for how that is told."""
    with work_transaction(), connection.cursor() as cursor:
        before = _changes(cursor)
        cursor.execute(f"INSERT INTO {source.index} ({source.index}, rank) VALUES ('merge', %s)", [pages])
        return _changes(cursor) - before >= 2


def _changes(cursor: Any) -> int:
    cursor.execute("SELECT total_changes()")
    return int(cursor.fetchone()[0])


def install(connection: Any) -> None:
    """Make what is missing and index what is not; all anew where a part was made by another version of this file."""
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor))
        for source in (CASES, MAILS):
            if source.table in tables:
                _install(cursor, source)


def _install(cursor: Any, source: Source) -> None:
    cursor.execute("SELECT name, sql FROM sqlite_master WHERE name LIKE %s", [f"cases_search_{source.kind}_%"])
    existing = dict(cursor.fetchall())
    expected = {**source.tables(), **source.triggers()}
    if all(existing.get(name) == sql for name, sql in expected.items()):
        return
    is_whole = all(existing.get(name) == sql for name, sql in source.tables().items())
    if not is_whole or any(existing.get(name, sql) != sql for name, sql in source.triggers().items()):
        remove(cursor, source)
        existing = {}
    for name, sql in expected.items():
        if name not in existing:
            cursor.execute(sql)
    cursor.execute(f"SELECT coalesce(max(id), 0) FROM {source.numbers}")
    (last,) = cursor.fetchone()
    add, index = source.catch_up()
    cursor.execute(add)
    cursor.execute(index, [last])


def remove(cursor: Any, source: Source) -> None:
    """Take away the index of one table."""
    for name in source.triggers():
        cursor.execute(f"DROP TRIGGER IF EXISTS {name}")
    for name in source.tables():
        cursor.execute(f"DROP TABLE IF EXISTS {name}")
