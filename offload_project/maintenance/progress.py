"""How far long work has come: a bar on a terminal, a line every now and then elsewhere. To stderr, never to stdout."""

import sys
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self, TextIO, TypeVar

from tqdm import tqdm

T = TypeVar("T")


class Progress:
    """Counts what is done. `total` is how much there is, None where nobody knows."""

    def __init__(self, what: str, total: int | None, *, every: int = 1000, stream: TextIO | None = None) -> None:
        self.what, self.total, self.every = what, total, every
        self.done = 0
        self._stream = stream or sys.stderr
        shows_bar = self._stream.isatty() and total != 0
        self._bar = tqdm(total=total, desc=what, file=self._stream, dynamic_ncols=True) if shows_bar else None

    def advance(self, count: int = 1) -> None:
        """So many more are done."""
        before, self.done = self.done, self.done + count
        if self._bar is not None:
            self._bar.update(count)
        elif before // self.every != self.done // self.every:
            of = f" of {self.total}" if self.total is not None else ""
            self._stream.write(f"{self.what}: {self.done}{of}\n")
            self._stream.flush()

    def over(self, items: Iterable[T]) -> Iterator[T]:
        """The items, each counted once the next one is asked for."""
        for item in items:
            yield item
            self.advance()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()
