"""The floor of the pipeline: the statements of a case, recorded once, and carried out again by psycopg alone."""

import json
import multiprocessing
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

Statement = tuple[str, tuple[Any, ...]]
Script = list[list[Statement]]  # transactions

# What is another one for each case: UUIDs in both spellings, digests, Message-IDs that are none of these.
_OWN = re.compile(r"[0-9a-f]{64}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}|(?<=<)\d{10,}[\d.]+(?=@)")


@dataclass
class Recorder:
    """Notes what the default connection is asked while `recording`, transaction by transaction."""

    script: Script = field(default_factory=list)
    _open: list[Statement] = field(default_factory=list)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """For code that runs in this thread."""
        from django.db import connection

        commit = connection.commit

        def note_commit() -> None:
            self._close()
            commit()

        connection.commit = note_commit  # type: ignore[method-assign]
        try:
            with connection.execute_wrapper(self._note):
                yield
        finally:
            connection.commit = commit  # type: ignore[method-assign]

    def _note(self, execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        assert not many
        self._open.append((sql, tuple(_plain(param) for param in params or ())))
        if not context["connection"].in_atomic_block:
            self._close()
        return execute(sql, params, many, context)

    def _close(self) -> None:
        if self._open:
            self.script.append(self._open)
            self._open = []

    @property
    def statements(self) -> int:
        return sum(map(len, self.script))


def _plain(param: Any) -> Any:
    """The parameter as psycopg alone can take it, in another process."""
    if isinstance(param, Jsonb):
        return json.dumps(param.obj)
    if isinstance(param, str):  # a word of an enumeration, too
        return str(param)
    return bytes(param) if isinstance(param, memoryview) else param


def afresh(script: Script, fixed: set[str]) -> tuple[Script, dict[str, str]]:
    """The script for another case: all ids in it are new ones but the `fixed`. And which took whose place."""
    names: dict[str, str] = {one: one for one in fixed}

    def renewed(param: Any) -> Any:
        if isinstance(param, str):
            return _OWN.sub(lambda found: _another(found[0], names), param)
        if isinstance(param, uuid.UUID):
            return uuid.UUID(renewed(param.hex))
        if isinstance(param, bytes):
            return renewed(param.decode()).encode()
        return [renewed(one) for one in param] if isinstance(param, list | tuple) else param

    fresh = [[(sql, tuple(renewed(param) for param in params)) for sql, params in block] for block in script]
    return fresh, names


def _another(name: str, names: dict[str, str]) -> str:
    """The same one each time for the same; a UUID is one in both spellings."""
    bare = name.replace("-", "")
    if bare not in names:
        names[bare] = str(uuid.uuid4().int)[:20] if "." in bare else (uuid.uuid4().hex * 2)[: len(bare)]
    return str(uuid.UUID(names[bare])) if "-" in name else names[bare]


def carry_out(connection: psycopg.Connection[Any], script: Script) -> None:
    """Each block in a transaction; a single statement is one by itself. Rows are fetched, as whoever asked would."""
    for block in script:
        if len(block) == 1:
            _execute(connection, *block[0])
            continue
        with connection.transaction():
            for sql, params in block:
                _execute(connection, sql, params)


def _execute(connection: psycopg.Connection[Any], sql: str, params: tuple[Any, ...]) -> None:
    cursor = connection.execute(sql, params)
    if cursor.description:
        cursor.fetchall()


class Replayers:
    """Processes that carry out scripts, each over so many connections at once. Started once, for all rounds."""

    def __init__(self, url: str, processes: int, connections: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes = []
        for _ in range(processes):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(url, connections, theirs), daemon=True)
            process.start()
            self._pipes.append(ours)
            self._processes.append(process)

    def seconds(self, scripts: list[Script]) -> float:
        """How long all of them take."""
        for number, pipe in enumerate(self._pipes):
            pipe.send(scripts[number :: len(self._pipes)])
        self._wait()
        began_at = time.perf_counter()
        for pipe in self._pipes:
            pipe.send("begin")
        self._wait()
        return time.perf_counter() - began_at

    def _wait(self) -> None:
        for pipe in self._pipes:
            if (answer := pipe.recv()) is not None:
                raise RuntimeError(answer)

    def close(self) -> None:
        for pipe, process in zip(self._pipes, self._processes, strict=True):
            pipe.close()
            process.join(10)


def _serve(url: str, count: int, pipe: Connection) -> None:
    connections = [psycopg.connect(url, autocommit=True) for _ in range(count)]
    while True:
        try:
            scripts = pipe.recv()
        except EOFError:
            return
        pipe.send(None)
        pipe.recv()
        left, faults = iter(scripts), list[str]()
        threads = [threading.Thread(target=_carry_out_all, args=(one, left, faults.append)) for one in connections]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        pipe.send("; ".join(faults) or None)


def _carry_out_all(
    connection: psycopg.Connection[Any], scripts: Iterator[Script], complain: Callable[[str], None]
) -> None:
    try:
        for script in scripts:
            carry_out(connection, script)
    except Exception as error:  # noqa: BLE001 (told to the process that waits)
        complain(repr(error))
