"""What a case would be on django-q2 alone: each step a task, which does it and enqueues the next one.

A step is the service's own, with all that it reads and writes; only that nobody claims a row, renews a lease or looks
for due rows. What is lost by that is not measured: a task that is lost, or done twice, is a case that is stuck, or a
mail that goes out twice.
"""

import math
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from django.db.models.signals import post_save
from django_q.brokers import Broker, get_broker
from django_q.tasks import async_task

from cases import pump, work
from outreach.models import InboundPayload

pump._at_work.set()  # so nobody rings for the pump, of which there is none

_answers: list[uuid.UUID] = []  # payloads that have come in during the step


def _note(instance: InboundPayload, created: bool, **_: Any) -> None:
    if created:
        _answers.append(instance.pk)


post_save.connect(_note, sender=InboundPayload)


class Unleased(work.Claim[Any]):
    """Stands for a claim where there is none: whoever has the task has the row."""

    @contextmanager
    def write(self) -> Iterator[Any]:
        with work.transaction():
            yield self.kind.model._default_manager.locked(self.pk)


def _do(kind: str, pk: str) -> None:
    deadline = time.monotonic() + 120
    row = uuid.UUID(pk)
    held = Unleased(work.kinds()[kind], row, uuid.uuid4(), lost_leases=0, held_until=math.inf, deadline=deadline)
    held.kind.step(held)


@cache
def _broker() -> Broker:
    return get_broker()


def _then(task: Any, *arguments: str) -> None:
    async_task(f"{__name__}.{task.__name__}", *arguments, broker=_broker())


def compose(case: str) -> None:
    """The first task of a case."""
    _do("case", case)
    _then(send, case)


def send(case: str) -> None:
    _do("case", case)
    _then(take_in, str(_answers.pop()), case)


def take_in(payload: str, case: str) -> None:
    _do("payload", payload)
    _then(evaluate, case)


def evaluate(case: str) -> None:
    """The last one."""
    _do("case", case)
