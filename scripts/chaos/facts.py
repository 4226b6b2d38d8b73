"""What is known when all is quiet, asked of the database, of the providers, and of the client."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from scripts.chaos.clients import Client, Load
from scripts.chaos.plans import Plan
from scripts.chaos.promises import CaseRow, Event, Facts
from scripts.chaos.quiet import Watch
from scripts.chaos.services import Installation

FILES = """SELECT count(*) FROM cases_attachment a JOIN cases_message m ON m.id = a.message_id
    WHERE m.case_id = c.id AND m.direction = 'IN'"""
ENDED = "CASE WHEN c.status IN ('COMPLETED', 'FAILED') THEN extract(epoch FROM c.updated_at)::float END"


def rows_of(service: Installation, group: str) -> list[CaseRow]:
    """The cases of a group of plans."""
    sql = f"""SELECT c.id::text, c.client_reference_id, c.status, c.result_status, ({FILES}), {ENDED}
        FROM cases_case c WHERE c.client_reference_id LIKE '%-{group}-%' ORDER BY c.created_at"""
    names = [field.name for field in fields(CaseRow)]
    return [CaseRow(**dict(zip(names, row, strict=True))) for row in service.rows(sql)]


def began(service: Installation) -> dict[str, float]:
    """When the send of each mail of ours began, by what the providers tell it by."""
    sql = """SELECT idempotency_key, message_id, extract(epoch FROM send_started_at) FROM cases_message
        WHERE direction = 'OUT' AND send_started_at IS NOT NULL"""
    return {key: float(at) for *keys, at in service.rows(sql) for key in keys}


def events(service: Installation) -> list[Event]:
    sql = "SELECT event_id, case_id::text, event_type, sequence FROM webhooks_delivery ORDER BY case_id, sequence"
    return [Event(*row) for row in service.rows(sql)]


def seen_again(client: Client, cases: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The cases as the client sees them now."""
    return {case_id: client.read(case_id) for case_id in cases}


def gathered(service: Installation, load: Load, plans: list[Plan], kills: int, watch: Watch) -> Facts:
    """Everything that the promises of the load are judged by."""
    return Facts(
        plans=plans,
        acknowledged=load.acknowledged,
        rows=rows_of(service, "load"),
        mails=[mail for mail in service.post("sent") if "-load-" in mail.address],
        began=began(service),
        events=events(service),
        told=service.receiver("since", 0),
        kills=kills,
        stuck=sorted(watch.stuck),
        cancelled=load.cancelled,
        at_their_end=dict(load.at_their_end),
        in_the_end=seen_again(load.client, load.at_their_end),
    )
