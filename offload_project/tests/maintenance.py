"""What the tests of the operator's commands share: calling them, the whole database as text, and rich cases."""

import os
import signal
from datetime import timedelta
from io import StringIO
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command
from django.db import connection

from cases import work
from cases.factories import CaseFactory, ClientFactory
from cases.models import Case, Client, Enclosure
from cases.services import provide_input
from cases.testing import run_due
from outreach import sandbox
from outreach.inbound.content import InboundAttachment
from outreach.models import ModelCall

OWN_WORK = ("case", "payload")  # no webhook: it would leave this machine
LONG_AGO = timedelta(days=400)
CANARY = "the heron stands in the river"  # words of a counterparty's mail
SCHEMA = {"type": "object", "required": ["deliveryDate"], "properties": {"deliveryDate": {"type": "string"}}}


def run(*arguments: str, **options: Any) -> tuple[int, str]:
    """Exit code, and what a terminal would show: stdout, stderr and the error that the command ended with."""
    out = StringIO()
    try:
        call_command(*arguments, stdout=out, stderr=out, **options)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    except CommandError as error:
        return error.returncode, f"{out.getvalue()}{error}\n"
    return 0, out.getvalue()


def dump() -> str:
    """Every value of every table, as text; bytes as the text they may be."""
    values: list[str] = []
    for table in connection.introspection.table_names():
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            values.extend(_text(value) for row in cursor.fetchall() for value in row)
    return "\n".join(values)


def _text(value: Any) -> str:
    return bytes(value).decode("latin-1") if isinstance(value, bytes | memoryview) else str(value)


def rich_case(
    *, client: Client | None = None, address: str = "Ann@Supplier.example", name: str = "Ann Heronby", **fields: Any
) -> Case:
    """A completed case with everything that can hang on one: mails, files, a timeline, a delivery, log entries."""
    client = client or ClientFactory()
    case: Case = CaseFactory(
        client=client,
        counterparty={"address": address, "name": name, "role": "Sales", "timezone": "Europe/Zurich"},
        goal={"objective": f"Ask {name} ({address}) for the date."},
        metadata={"contact": [address, f"Dear {name.split()[-1]}"], "order": 4711},
        result_schema=SCHEMA,
        client_webhook_url=f"https://user:pass@hooks.example.com/offload?token={client.pk.hex}",
        **fields,
    )
    run_due(*OWN_WORK)
    note = InboundAttachment(
        name=f"{name}.txt", declared_type="text/plain", content=CANARY.encode(), content_id="", inline=False
    )
    sandbox.reply(case, text=f"One question first: {CANARY}?", attachments=[note])
    run_due(*OWN_WORK)
    question, answer = case.input_requests.get(), f"Tell {name}: yes, {CANARY}."
    provide_input(case_id=case.pk, input_request_id=question.pk, provided_context=answer)
    run_due(*OWN_WORK)
    sandbox.reply(case, text="Delivery date: 14 December 2026", from_name=name)
    run_due(*OWN_WORK)
    case = Case.objects.get(pk=case.pk)
    assert case.status == "COMPLETED", case.status
    enclosed = Enclosure(case=case, position=0, name="ours.txt", type="text/plain", size=4, sha256="0" * 64)
    enclosed.file.save("", ContentFile(b"ours"), save=True)
    ModelCall.objects.create(case=case, client=client, at=work.now(), purpose="check", model="m", cost=0, fault=CANARY)
    person, _ = User.objects.get_or_create(username="root")
    for row in (case, case.input_requests.get(), case.messages.filter(direction="OUT")[0]):
        LogEntry.objects.create(
            user=person,
            content_type=ContentType.objects.get_for_model(row),
            object_id=str(row.pk),
            object_repr=str(row)[:200],
            action_flag=CHANGE,
            change_message="Answered",
        )
    return case


def age(case: Case, by: timedelta = LONG_AGO) -> Case:
    """Let the case have ended so long ago, and its client have heard of it."""
    moment = work.now() - by
    Case.objects.filter(pk=case.pk).update(created_at=moment, updated_at=moment)
    case.deliveries.update(state="DELIVERED", due_at=None)
    case.refresh_from_db()
    return case


def interrupt(number: int = signal.SIGINT) -> None:
    """What a terminal does at Ctrl-C."""
    os.kill(os.getpid(), number)
