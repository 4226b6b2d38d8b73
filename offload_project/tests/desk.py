"""A desk with something of everything on it, for the tests that look at every page and for the pictures of them."""

from datetime import timedelta
from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, User
from django.db.models import Q

from cases import chores, days, events, services, work
from cases.factories import ApiKeyFactory, CaseFactory, InputRequestFactory
from cases.models import Case, Chore, Client, Correspondent, Heartbeat, InputRequest, RequestStatus, SavedFilter, Status
from outreach import suppression
from outreach.factories import FORM, Played
from outreach.inbound.content import InboundAttachment
from outreach.models import InboundPayload, ModelCall, PayloadState, StaffNotice
from webhooks import sender, tasks
from webhooks.models import Delivery

ASKS = "Hello Bob,\n\nhere it is. May we add 20 EUR for the express delivery?\n\nKind regards\nAnn"
COMPLETE = "Invoice number: INV-7\nTotal: 1250.50"
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"


def furnish(user: User) -> None:
    """Cases in every state with their mail, what came in and waits, webhooks that arrived and that did not.

    The user is the one who looks: their saved lists and what was handed to them.
    """
    client = ApiKeyFactory(name="Ledger", client__name="Acme Finance").client
    ApiKeyFactory(name="Tests", client=client, is_test=True)
    _waiting_question(client, user)
    _answered_question(client)
    _ended_cases(client)
    _running_cases(client)
    Played.begin(**_case(client, "Zoe Zimmermann", "zoe@freight.example", "INV-2034", review_mode="all"))
    _webhooks(client)
    _mail_that_waits(client)
    _service(client)
    staff = User.objects.create_user("olaf", "olaf@acme.example", "not a secret", is_staff=True)
    LogEntry.objects.log_actions(staff.pk, [staff], CHANGE, "Made an operator", single_object=True)
    SavedFilter.objects.create(user=user, list="cases.case", name="Open cases of Acme", query="status__exact=RUNNING")
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


def _waiting_question(client: Client, user: User) -> None:
    played = Played.begin(**_case(client, "Ann Supplier", "ann@supplier.example", "INV-2031"))
    played.reply(ASKS, attachments=[InboundAttachment("Rechnung März.pdf", "application/pdf", PDF)])
    theirs = played.received[0]
    InputRequest.objects.filter(case=played.case).update(
        options=["Yes, 20 EUR are fine.", "No, the standard delivery will do."],
        proposal={
            "reply": "Dear Ann,\n\n20 EUR for the express delivery are fine.\n\nBob Buyer",
            "values": {"invoiceNumber": "INV-7"},
            "sources": [{"path": "/invoiceNumber", "source_id": str(theirs.pk), "quote": "here it is"}],
        },
        assigned_to=user,
        assignment_note="You know them better than I do.",
    )
    Correspondent.objects.create(
        case=played.case, address="lea@supplier.example", name="Lea Lang", how="COPIED", since=work.now()
    )


def _answered_question(client: Client) -> None:
    fields = _case(client, "Hugo Huber", "hugo@wood.example", "INV-2038")
    asked = {"requested_at": work.now() - timedelta(hours=5), "resolved_at": work.now() - timedelta(hours=4)}
    InputRequestFactory(
        case=CaseFactory(**fields, status=Status.RUNNING),
        question="May the invoice be in German?",
        status=RequestStatus.RESOLVED,
        provided_context="Yes, of course.",
        answered_by="staff olaf",
        used_at=work.now(),
        **asked,
    )


def _ended_cases(client: Client) -> None:
    done = Played.begin(**_case(client, "Carla Conti", "carla@carta.example", "INV-2032"))
    done.reply(COMPLETE)
    refused = Played.begin(**_case(client, "Dmitri Orlov", "dmitri@metal.example", "INV-2033"))
    services.cancel_case(refused.case.pk, actor="staff olaf")


def _running_cases(client: Client) -> None:
    Played.begin(**_case(client, "José Núñez", "jose@papel.example", "INV-2035"))
    paused = Played.begin(**_case(client, "Petra Pfister", "petra@glass.example", "INV-2037"))
    Case.objects.filter(pk=paused.case.pk).update(paused_at=work.now(), due_at=None)
    CaseFactory(
        **_case(client, "Tara Thiel", "tara@stone.example", "INV-2039"),
        status=Status.RUNNING,
        failures=4,
        failing_since=work.now() - timedelta(hours=2),
        retry_at=work.now() + timedelta(minutes=12),
        last_error="TransportError: the server said 451 4.7.1 try again later",
    )


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
    headers = {"content-type": "text/plain", "server": "hooks/1.2"}
    outcome = sender.Outcome(500, 212, headers=headers, body=b"Internal error", error="HTTP 500")
    tasks.record_attempt(delivery.pk, work.now(), outcome)


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


def _service(client: Client) -> None:
    """What tells of the service itself: its chores, what models were asked, who failed to log in."""
    now = work.now()
    Heartbeat.objects.create(name="worker", started_at=now, finished_at=now + timedelta(hours=1))
    chores.plan()
    if first := Chore.objects.order_by("name").first():
        Chore.objects.filter(pk=first.pk).update(last_error="OSError: no space left", failures=2, failing_since=now)
    case = client.cases.get(client_reference_id="INV-2035")
    used = {"prompt_version": "3", "prompt_tokens": 2140, "completion_tokens": 312, "duration_ms": 4200}
    for purpose, fault in (("evaluation", ""), ("outreach", "No JSON in the answer.")):
        ModelCall.objects.create(
            case=case, client=client, at=now, purpose=purpose, model="mid-size-2", cost="0.0031", fault=fault, **used
        )
    tried = {
        "username": "olaf",
        "ip_address": "198.51.100.3",
        "user_agent": "Mozilla/5.0",
        "path_info": "/admin/login/",
    }
    AccessAttempt.objects.create(**tried, get_data="", post_data="username=olaf", failures_since_start=3)
    AccessLog.objects.create(**tried)
    AccessFailureLog.objects.create(**tried)


# Pages whose row says more than the first one of its kind does: of which case.
CASES: dict[str, Q] = {
    "running": Q(client_reference_id="INV-2035"),
    "input-needed": Q(client_reference_id="INV-2031"),
    "completed": Q(status=Status.COMPLETED),
    "failed": Q(status=Status.FAILED),
    "paused": Q(paused_at__isnull=False),
    "in-trouble": Q(failures__gt=0),
    "with-draft": Q(client_reference_id="INV-2034"),
    "with-webhook": Q(client_reference_id="INV-2036"),
}
QUEUES = {
    "questions": "/admin/cases/inputrequest/queue/",
    "questions-done": "/admin/cases/inputrequest/done/",
    "drafts": "/admin/cases/draft/queue/",
    "drafts-done": "/admin/cases/draft/done/",
    "quarantine": "/admin/outreach/inboundpayload/quarantine/",
    "unmatched": "/admin/outreach/inboundpayload/unmatched/",
    "failed": "/admin/outreach/inboundpayload/failed/",
    "playground": "/admin/outreach/sandboxmail/play/",
}


def base_of(model: Any) -> str:
    """The address of the model's list."""
    return f"/admin/{model._meta.app_label}/{model._meta.model_name}/"


def pages_without_rows() -> dict[str, str]:
    """The address of every page that there is on an empty desk too, by name."""
    found = {"home": "/admin/", "password": "/admin/password_change/", "second-factor": "/admin/second-factor/"}
    lists = {f"{model._meta.model_name}-list": base_of(model) for model in admin.site._registry}
    return found | QUEUES | lists


def pages() -> dict[str, str]:
    """The address of every page that needs nothing but a login, and of one row's page of each kind, by name."""
    found = pages_without_rows() | {"case-saved-list": "/admin/cases/case/?status__exact=RUNNING"}
    found |= {f"{app}-index": f"/admin/{app}/" for app in ("cases", "outreach", "webhooks", "auth", "axes")}
    adds = {"user": "auth", "group": "auth", "client": "cases", "suppression": "outreach"}
    found |= {f"{model}-add": f"/admin/{app}/{model}/add/" for model, app in adds.items()}
    for model in admin.site._registry:
        if row := model._default_manager.order_by("pk").first():
            found[f"{model._meta.model_name}-page"] = f"{base_of(model)}{row.pk}/change/"
            found[f"{model._meta.model_name}-history"] = f"{base_of(model)}{row.pk}/history/"
    return found | _pages_of_rows()


def _pages_of_rows() -> dict[str, str]:
    """One page for each state that is shown in a way of its own; and those that are no model's."""
    found = {}
    for model in (Group, AccessAttempt):
        if row := model.objects.order_by("pk").first():
            found[f"{model._meta.model_name}-delete"] = f"{base_of(model)}{row.pk}/delete/"
    for name, which in CASES.items():
        if case := Case.objects.filter(which).first():
            found[f"case-{name}"] = f"{base_of(Case)}{case.pk}/change/"
    for state in (PayloadState.QUARANTINED, PayloadState.UNMATCHED, PayloadState.FAILED):
        if payload := InboundPayload.objects.filter(state=state).first():
            page = f"{base_of(InboundPayload)}{payload.pk}/"
            found |= {f"{state.lower()}-page": f"{page}change/", f"{state.lower()}-source": f"{page}source/"}
    for status in (RequestStatus.PENDING, RequestStatus.RESOLVED):
        if question := InputRequest.objects.filter(status=status).first():
            found[f"question-{status.lower()}"] = f"{base_of(InputRequest)}{question.pk}/change/"
    if played := Case.objects.filter(sandbox_mails__isnull=False).order_by("created_at").first():
        found["play"] = f"{QUEUES['playground']}{played.pk}/"
    return found
