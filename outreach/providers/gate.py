"""The way in to a service: a call asks for its turn before, and tells afterwards what became of it.

A service that does well costs a look at its row once a second and process, and no write. Where the database does not
answer, calls are let through: it is for a service that is busy, not for ours.
"""

import logging
import os
import threading
import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar, Protocol

from django.conf import settings

from cases import work
from cases.database import UNAVAILABLE
from outreach.models import Provider
from outreach.providers import names, rules
from outreach.providers.trouble import Trouble

logger = logging.getLogger(__name__)

SEEN_FOR_SECONDS = 1.0
PATIENCE_SECONDS = 2.0  # a thread waits so long for its turn; a row that has to wait longer comes again
PATIENCE_WITHIN_SECONDS = 15.0  # the same of a step that has been let in before: what it has got so far would be lost


class ProviderWaits(work.StepWaits):
    """The service is left alone for now, or it is not this row's turn."""


class Entry(Protocol):
    """One call that may be made now."""

    def report(self, trouble: Trouble | None) -> None:
        """Tell what came of it; None: the service has answered. Never raises. Without a word nothing is known."""


class Gate(Protocol):
    """The way in, for one step."""

    @property
    def is_shared(self) -> bool:
        """Whether what is reported makes later calls wait."""

    def enter(self, within_seconds: float) -> Entry:
        """Wait for a turn that comes within this time and soon. Raises ProviderWaits."""


class OpenGate:
    """Of what nobody has to spare."""

    is_shared = False

    def enter(self, within_seconds: float) -> Entry:
        return self

    def report(self, trouble: Trouble | None) -> None:
        """There is nobody to tell."""


@dataclass
class SharedGate:
    """By the row that all processes share. `call_seconds`: how long a call may take."""

    name: str
    call_seconds: float
    has_been_in: bool = False
    is_shared: ClassVar = True

    def enter(self, within_seconds: float) -> Entry:
        patience = min(within_seconds, PATIENCE_WITHIN_SECONDS if self.has_been_in else PATIENCE_SECONDS)
        is_probe = not _is_at_rest(self.name) and self._wait_for_turn(patience)
        self.has_been_in = True
        return SharedEntry(self.name, is_probe, time.monotonic())

    def _wait_for_turn(self, patience_seconds: float) -> bool:
        """Whether it is that of a probe. Whoever has waited asks again where the service has said more meanwhile."""
        give_up_at = time.monotonic() + patience_seconds
        while True:
            turn = self._ask(max(0.0, give_up_at - time.monotonic()))
            time.sleep(turn.in_seconds)
            if turn.in_seconds == 0 or _look(self.name).ramp_from in (None, turn.ramp_from):
                return turn.is_probe

    def _ask(self, patience_seconds: float) -> rules.Turn:
        try:
            with work.transaction():
                row = Provider.objects.locked(self.name)
                turn = rules.admit(row, patience_seconds=patience_seconds, call_seconds=self.call_seconds)
                row.save()
        except (*UNAVAILABLE, Provider.DoesNotExist):
            logger.warning("%s: called without asking whether it may be", self.name, exc_info=True)
            return rules.Turn(0.0, is_ours=True)
        finally:
            work.let_go_of_connection()
        _remember(self.name, row)
        if turn.is_ours:
            return turn
        raise ProviderWaits(why(row), retry_after_seconds=turn.in_seconds)


@dataclass(frozen=True)
class SharedEntry:
    """A call that was let through."""

    name: str
    is_probe: bool
    began_at: float  # monotonic seconds

    def report(self, trouble: Trouble | None) -> None:
        if trouble is None and not self.is_probe and not _has_failed(self.name):
            return
        try:
            self._write(trouble)
        except (*UNAVAILABLE, Provider.DoesNotExist):
            logger.warning("%s: what became of a call was not noted", self.name, exc_info=True)
        finally:
            work.let_go_of_connection()

    def _write(self, trouble: Trouble | None) -> None:
        with work.transaction():
            if trouble is not None:
                Provider.objects.bulk_create([Provider(name=self.name)], ignore_conflicts=True)
            row = Provider.objects.locked(self.name)
            was_down = row.is_down
            if trouble is None:
                rules.note_answer(row, is_probe=self.is_probe)
            else:
                began_at = row.now - timedelta(seconds=time.monotonic() - self.began_at)
                rules.note_trouble(row, trouble, began_at=began_at, is_probe=self.is_probe)
            row.save()
        _remember(self.name, row)
        if row.is_down != was_down:
            logger.warning("%s %s", self.name, f"is left alone: {row.last_error}" if row.is_down else "is back")


def of_model(base_url: str) -> Gate:
    """The way to the server of a model, for one step."""
    return SharedGate(names.of_model(base_url), settings.OFFLOAD_MODEL_SECONDS)


def of_transport(transport: str) -> Gate:
    """The way to whoever takes the mail of that transport, for one step."""
    name = names.of_transport(transport)
    return SharedGate(name, settings.OFFLOAD_TRANSPORT_SECONDS) if name else OpenGate()


def call_again(name: str) -> None:
    """Staff know that it is back: no pause and no limit, until it says otherwise."""
    with work.transaction():
        row = Provider.objects.locked(name)
        rules.lift(row)
        row.save()
    _remember(name, row)


def why(row: Provider) -> str:
    """Why a row waits, in words for staff."""
    if row.is_down and row.failing_since:
        since = f"{row.failing_since:%Y-%m-%d %H:%M} UTC"
        return f"{row.name} is left alone, as it has failed since {since}: {row.last_error}"
    return f"{row.name} takes fewer calls for now ({row.last_error}), and others come first"


# --- What this process has seen -------------------------------------------------------------------


@dataclass(frozen=True)
class _Seen:
    at: float  # monotonic seconds
    pid: int
    is_at_rest: bool
    has_failed: bool
    ramp_from: datetime | None


_seen: dict[str, _Seen] = {}
_first_look = threading.Lock()


def _is_at_rest(name: str) -> bool:
    """Whether anybody may call it, as far as was known a second ago."""
    seen = _seen_here(name)
    if seen is None:
        with _first_look:  # one thread looks, and hundreds that begin with it wait for what it sees
            seen = _seen_here(name) or _look(name)
    elif time.monotonic() - seen.at >= SEEN_FOR_SECONDS:
        _seen[name] = replace(seen, at=time.monotonic())  # the others go by this meanwhile
        seen = _look(name)
    return seen.is_at_rest


def _seen_here(name: str) -> _Seen | None:
    seen = _seen.get(name)
    return seen if seen is not None and seen.pid == os.getpid() else None


def _look(name: str) -> _Seen:
    """For who is about to call: nobody keeps a connection to the database meanwhile."""
    try:
        row = Provider.objects.filter(name=name).first()
    except UNAVAILABLE:
        logger.warning("%s: how it does can't be read", name, exc_info=True)
        row = None
    finally:
        work.let_go_of_connection()
    return _remember(name, row)


def _remember(name: str, row: Provider | None) -> _Seen:
    is_at_rest = row is None or not (row.is_down or row.ramp_from)
    has_failed = row is not None and row.failures > 0 and not row.is_down
    seen = _Seen(time.monotonic(), os.getpid(), is_at_rest, has_failed, row.ramp_from if row else None)
    _seen[name] = seen
    return seen


def _has_failed(name: str) -> bool:
    return name in _seen and _seen[name].has_failed


def forget() -> None:
    """What this process has seen; for tests, which move the rows."""
    _seen.clear()
