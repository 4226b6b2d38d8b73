"""What the lines of the log are about: request, client, case, step. Ids and our own words, never what people wrote.

Bound for as long as a request is answered or a step lasts, in the thread that does it; the formatters read it
(offload_project/logs.py).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

FIELDS = ("request_id", "client_id", "case_id", "kind", "row_id", "step")

_EMPTY: Mapping[str, str] = MappingProxyType({})
_bound: ContextVar[Mapping[str, str]] = ContextVar("log_context", default=_EMPTY)


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Put these on each line that is logged inside; what is added inside ends with it, too."""
    token = _bound.set({**_bound.get(), **_as_text(fields)})
    try:
        yield
    finally:
        _bound.reset(token)


def add(**fields: Any) -> None:
    """Put these on the lines that follow, until the `bound` around ends. Does nothing outside of one."""
    if _bound.get() is not _EMPTY:
        _bound.set({**_bound.get(), **_as_text(fields)})


def current() -> Mapping[str, str]:
    """What is bound here, in the order of FIELDS."""
    fields = _bound.get()
    return {name: fields[name] for name in FIELDS if name in fields}


def _as_text(fields: dict[str, Any]) -> dict[str, str]:
    unknown = fields.keys() - set(FIELDS)
    if unknown:
        raise ValueError(f"not a field of the log: {', '.join(sorted(unknown))}")
    return {name: str(value) for name, value in fields.items() if value is not None}
