"""A desk with something of everything on it, for the tests that look at every page and for the pictures of them."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User

from cases import days, events, services, work
from cases.factories import ApiKeyFactory, CaseFactory
from cases.models import Case, Client, Status
from outreach import suppression
from outreach.factories import FORM, Played
from outreach.inbound.content import InboundAttachment
from outreach.models import InboundPayload, PayloadState, StaffNotice
from webhooks import sender, tasks
from webhooks.models import Delivery

ASKS = "Hello Bob,\n\nhere it is. May we add 20 EUR for the express delivery?\n\nKind regards\nAnn"
COMPLETE = "Invoice number: INV-7\nTotal: 1250.50"
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"


def furnish() -> None:
    """Cases in every state with their mail, what came in and waits, webhooks that arrived and that did not."""
    client = ApiKeyFactory(name="Ledger", client__name="Acme Finance").client
    _waiting_question(client)
    _ended_cases(client)
    Played.begin(**_case(client, "Zoe Zimmermann", "zoe@freight.example", "INV-2034", review_mode="all"))
    Played.begin(**_case(client, "José Núñez", "jose@papel.example", "INV-2035"))
    _webhooks(client)
    _mail_that_waits(client)
    staff = User.objects.create_user("olaf", "olaf@acme.example", "not a secret", is_staff=True)
    LogEntry.objects.log_actions(staff.pk, [staff], CHANGE, "Made an operator", single_object=True)
    days.count(60, None)


def _case(client: Client, name: str, address: str, reference: str, **more: Any) -> dict[str, Any]:
    return {
        "client": client,
        "client_reference_id": reference,
        "goal": {
            "objective": "Get the invoice of March and its total.",
            "knowledge": {"purchaseOrder": "PO-7781", "deliveredOn": "2026-03-14"},
        },
        "counterparty": {"address": address, "name": name, "company": "Supplier AG", "timezone": "Europe/Zurich"},
        "sender_persona": {"name": "Bob Buyer", "role": "Purchasing", "company": "Acme"},
        "constraints": ["Never promise a date of payment.", "Stay polite."],
        "result_schema": FORM,
        "metadata": {"ledger": 4711},
        **more,
    }


def _waiting_question(client: Client) -> None:
    played = Played.begin(**_case(client, "Ann Supplier", "ann@supplier.example", "INV-2031"))
    played.reply(ASKS, attachments=[InboundAttachment("Rechnung März.pdf", "application/pdf", PDF)])


def _ended_cases(client: Client) -> None:
    done = Played.begin(**_case(client, "Carla Conti", "carla@carta.example", "INV-2032"))
    done.reply(COMPLETE)
    refused = Played.begin(**_case(client, "Dmitri Orlov", "dmitri@metal.example", "INV-2033"))
    services.cancel_case(refused.case.pk, actor="staff olaf")


def _webhooks(client: Client) -> None:
    case = CaseFactory(
        **_case(
            client, "Emma Evans", "emma@parts.example", "INV-2036", client_webhook_url="https://hooks.acme.example/"
        ),
        status=Status.RUNNING,
    )
    with work.transaction():
        row = Case.objects.locked(case.pk)
        events.record(row, "case.failed", reason="They sell no more to us.")
    delivery = Delivery.objects.get(case=case)
    tasks.record_attempt(delivery.pk, work.now(), sender.Outcome(500, 212, body=b"Internal error", error="HTTP 500"))


def _mail_that_waits(client: Client) -> None:
    at = work.now() - timedelta(hours=3)
    summary = {
        "from": "accounting@supplier.example",
        "name": "Accounting",
        "to": ["replies@offload.example"],
        "subject": "Your invoice of March",
        "text": "Please find our invoice attached.\n\nSupplier AG, accounting",
        "files": [{"name": "invoice.pdf", "type": "application/pdf", "size": 48_221}],
    }
    for state, note in (
        (PayloadState.QUARANTINED, "It is from an address that the case does not know."),
        (PayloadState.UNMATCHED, "It answers no mail of ours."),
        (PayloadState.FAILED, "Could not be read: ten attempts."),
    ):
        InboundPayload.objects.create(
            source="mail",
            dedupe_key=f"mail-{state}",
            body=b"From: accounting@supplier.example\r\nSubject: Your invoice of March\r\n\r\nPlease find it attached.",
            received_at=at,
            state=state,
            note=note,
            summary=summary,
            case=Case.objects.filter(client=client).first() if state == PayloadState.QUARANTINED else None,
        )
    suppression.add_by_hand(address="gone@supplier.example", client=None, note="Has left them.", actor="staff olaf")
    question = client.cases.get(client_reference_id="INV-2031").input_requests.get()
    StaffNotice.objects.create(question=question, address="desk@acme.example", created_at=work.now())


def pages() -> dict[str, str]:
    """The address of every page that needs nothing but a login, and of one row's page of each kind, by name."""
    found = {"home": "/admin/", "password": "/admin/password_change/", "second-factor": "/admin/second-factor/"}
    found |= {f"{app}-index": f"/admin/{app}/" for app in ("cases", "outreach", "webhooks", "auth", "axes")}
    adds = {"user": "auth", "group": "auth", "client": "cases", "suppression": "outreach"}
    found |= {f"{model}-add": f"/admin/{app}/{model}/add/" for model, app in adds.items()}
    for model in admin.site._registry:
        base = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        found[f"{model._meta.model_name}-list"] = base
        if row := model._default_manager.order_by("pk").first():
            found[f"{model._meta.model_name}-page"] = f"{base}{row.pk}/change/"
            found[f"{model._meta.model_name}-history"] = f"{base}{row.pk}/history/"
    return found | _pages_of_mail()


def _pages_of_mail() -> dict[str, str]:
    """Those that are no model's: the queues, a mail as it came in, and the playground."""
    mail, played = "/admin/outreach/inboundpayload/", "/admin/outreach/sandboxmail/play/"
    unmatched = InboundPayload.objects.filter(state=PayloadState.UNMATCHED).first()
    question = Case.objects.filter(status=Status.INPUT_NEEDED, transport="sandbox").first()
    found = {name: f"{mail}{name}/" for name in ("quarantine", "unmatched", "failed")} | {"playground": played}
    if unmatched:
        found |= {"unmatched-page": f"{mail}{unmatched.pk}/change/", "source": f"{mail}{unmatched.pk}/source/"}
    if question:
        found["play"] = f"{played}{question.pk}/"
    return found
