"""Delivery reports by the thousand (S4: --rounds=10), some of which find their case ended (R11)."""

import random
import time
from collections import Counter

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cases import work
from cases.factories import CaseFactory, ClientFactory, MessageFactory
from cases.models import Case, Client, Message, ResultStatus, Status
from cases.testing import run_due
from outreach.inbound import counterparty, intake
from outreach.inbound.counterparty import OriginalMail
from outreach.models import InboundPayload, PayloadState, Suppression

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.engine]
SHARES = {"bounce": 50, "complaint": 10, "soft": 15, "delay": 15, "ended": 10}  # of a hundred reports
MAX_QUERIES = 45  # of one report, whatever else there is


def written_to(client: Client, number: int, status: Status) -> OriginalMail:
    address = f"ann{number}@supplier{number}.example"
    case = CaseFactory(
        client=client,
        transport="memory",
        is_test=False,
        status=status,
        our_address="desk@ours.example",
        counterparty={"address": address, "name": "Ann"},
    )
    sent = MessageFactory(case=case, message_id=f"<{number}@ours.example>")
    return OriginalMail(
        message_id=sent.message_id,
        references=(),
        subject=sent.subject,
        from_address=case.our_address,
        from_name="Bob",
        to_address=address,
        to_name="Ann",
        text=sent.text,
        sent_at=sent.created_at,
    )


def report(kind: str, original: OriginalMail) -> bytes:
    if kind in ("bounce", "ended"):
        return counterparty.bounce(original)
    if kind == "complaint":
        return counterparty.complaint(original)
    return counterparty.bounce(original, permanent=False) if kind == "soft" else counterparty.delay(original)


def test_many_reports_send_nothing_and_end_only_what_they_must(pytestconfig: pytest.Config) -> None:
    """A hundred for each of --rounds."""
    rounds = pytestconfig.getoption("rounds")
    kinds = [kind for kind, share in SHARES.items() for _ in range(share * rounds)]
    client, raws = ClientFactory(), []
    for number, kind in enumerate(kinds):
        original = written_to(client, number, Status.COMPLETED if kind == "ended" else Status.RUNNING)
        raws.append(report(kind, original))
    before = {case.pk: (case.version, case.updated_at) for case in Case.objects.filter(status=Status.COMPLETED)}
    random.Random(4).shuffle(raws)

    began, used = time.monotonic(), time.process_time()
    for number, raw in enumerate(raws):
        assert intake.accept("sandbox", raw, str(number))
    while work.due("payload").exists():
        work.run_pump("payload")
    seconds, of_processor = time.monotonic() - began, time.process_time() - used
    print(f"\n{len(raws)} reports taken in within {seconds:.1f} s, {of_processor:.1f} of a processor")  # noqa: T201 (S4)
    work.run_pump("case")

    assert InboundPayload.objects.filter(state=PayloadState.DONE).count() == len(raws)
    assert Counter(Case.objects.order_by().values_list("result_status", flat=True)) == {
        ResultStatus.BOUNCED: SHARES["bounce"] * rounds,
        ResultStatus.COMPLAINED: SHARES["complaint"] * rounds,
        ResultStatus.GOAL_ACHIEVED: SHARES["ended"] * rounds,
        None: (SHARES["soft"] + SHARES["delay"]) * rounds,  # these still run
    }
    assert Message.objects.filter(direction="OUT").count() == len(raws)
    assert Suppression.objects.count() == (SHARES["bounce"] + SHARES["complaint"] + SHARES["ended"]) * rounds
    assert {pk: (case.version, case.updated_at) for pk, case in Case.objects.in_bulk(before).items()} == before
    assert not work.due("case").exists()


def test_a_report_costs_so_many_queries_however_many_have_come() -> None:
    client, costs = ClientFactory(), []
    for number in range(12):
        intake.accept("sandbox", counterparty.bounce(written_to(client, number, Status.RUNNING)), str(number))
        with CaptureQueriesContext(connection) as queries:
            run_due("payload")
        costs.append(len(queries))
    assert max(costs) <= MAX_QUERIES
    assert costs[-1] <= costs[0]
