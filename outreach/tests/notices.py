"""What several tests of notices share: things that staff are told of, and a worker's steps."""

from datetime import timedelta
from typing import Any

from cases import correspondence, events, pump, transitions, work
from cases.factories import CaseFactory
from cases.models import Case, Draft, Event, InputRequest, Purpose, ReviewMode, Status
from outreach.models import StaffNotice


def case_with(name: str = "Ann", client: str = "Acme", **fields: Any) -> Case:
    counterparty = {"address": "ann@supplier.example", "name": name}
    case: Case = CaseFactory(status=Status.RUNNING, client__name=client, counterparty=counterparty, **fields)
    return case


def ask(case: Case | None = None, question: str = "May we pay 200 EUR?", **more: Any) -> InputRequest:
    case = case or case_with()
    with work.transaction():
        return transitions.ask(Case.objects.locked(case.pk), question=question, reason="They ask for it.", **more)


def draft(case: Case | None = None, text: str = "Dear Ann,\n\nplease send the invoice.") -> Draft:
    case = case or case_with(review_mode=ReviewMode.ALL)
    with work.transaction():
        locked = Case.objects.locked(case.pk)
        mail = correspondence.queue(
            locked, purpose=Purpose.OUTREACH, subject="Invoice of March", text=text, is_draft=True
        )
    written: Draft = Draft.objects.get(pk=mail.pk)
    return written


def park(case: Case) -> Event:
    with work.transaction():
        facts = {"origin": "https://hooks.example:443", "reason": "It answered 410 Gone.", "page": "/admin/endpoint/7/"}
        return events.record(Case.objects.locked(case.pk), "webhook.parked", **facts)


def step() -> list[BaseException | None]:
    """What a pump does with the notices that are due; the errors of their steps."""
    outcomes: dict[work.Claim[Any], BaseException | None] = {}
    for held in work.claim("notice", 10):
        try:
            pump.run_step(held)
            outcomes[held] = None
        except Exception as error:  # noqa: BLE001 (as the pump's threads do)
            outcomes[held] = error
    pump.settle(outcomes)
    return list(outcomes.values())


def steps() -> None:
    """Steps until nothing is due; none of them may fail."""
    while outcomes := step():
        assert outcomes == [None] * len(outcomes)


def states() -> list[str]:
    return sorted(StaffNotice.objects.values_list("state", flat=True))


def let_pass(**length: float) -> None:
    """So much time goes by for all notices: whatever they remember or wait for is moved."""
    passed = timedelta(**length)
    for notice in StaffNotice.objects.all():
        for name in ("created_at", "held_until", "begun_at", "sent_at", "retry_at"):
            if moment := getattr(notice, name):
                setattr(notice, name, moment - passed)
        notice.now = work.now()
        work.reschedule(notice)
        notice.save()
