"""Notices in the whole service: who hears of what, several workers at once, and what their links do (nothing)."""

import re
import threading
import time
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.core.serializers import serialize
from django.db import connections
from django.test import Client as Browser
from pytest_django import Settings

from cases import pump, work
from cases.models import InputRequest, ReviewMode
from cases.testing import run_due
from offload_project.tests.processes import in_threads
from outreach.factories import InboundPayloadFactory, Played
from outreach.models import InboundPayload, NoticeHold, NoticeState, PayloadState, StaffNotice
from outreach.tests.notices import ask, case_with, draft, let_pass, states
from webhooks import endpoints, sender, tasks
from webhooks.models import Delivery, Endpoint

ADDRESS, OTHER = "desk@us.example", "boss@us.example"


@pytest.fixture(autouse=True)
def staff(settings: Settings) -> None:
    settings.OFFLOAD_STAFF_NOTICES = [ADDRESS]


def links() -> list[str]:
    """The pages of the mails, without the host."""
    return re.findall(r"http://testserver(/admin/\S+/change/)", "\n".join(str(sent.body) for sent in mail.outbox))


# --- Who hears of what ----------------------------------------------------------------------------


@pytest.mark.django_db
def test_staff_hear_of_a_draft() -> None:
    played = Played.begin(review_mode=ReviewMode.ALL)
    assert [sent.subject for sent in mail.outbox] == [
        f"A draft waits for approval: Ann Supplier ({played.case.client.name})"
    ]
    assert played.mails == []


@pytest.mark.django_db
def test_staff_hear_of_no_draft_where_nobody_reviews() -> None:
    Played.begin()
    assert (StaffNotice.objects.count(), mail.outbox) == (0, [])


@pytest.mark.django_db
def test_staff_hear_of_mail_that_nobody_could_place() -> None:
    played = Played.begin()
    row = played.take(b"From: eve@evil.example\r\nTo: nobody@us.example\r\nSubject: Offer\r\n\r\nBuy this.")
    assert row.state == PayloadState.UNMATCHED
    notice = StaffNotice.objects.get()
    assert (notice.payload, notice.hold, mail.outbox) == (row, NoticeHold.PATIENCE, [])
    let_pass(hours=4)
    run_due("notice")
    assert [sent.subject for sent in mail.outbox] == ["A mail belongs to no case: eve@evil.example"]


@pytest.mark.django_db
def test_staff_hear_of_a_payload_that_could_not_be_taken_in() -> None:
    InboundPayloadFactory(source="smtp", lost_leases=10)
    run_due("payload")
    run_due("notice")
    assert InboundPayload.objects.get().state == PayloadState.FAILED
    assert [sent.subject for sent in mail.outbox] == ["A mail could not be taken in (by smtp)"]
    assert "    It came in by smtp, and is kept as it came.\n" in str(mail.outbox[0].body)


def park() -> Endpoint:
    """A client's endpoint answers 410 to what it is told of a question."""
    ask(case_with(client_webhook_url="https://hooks.example/a"))
    StaffNotice.objects.all().delete()
    tasks.record_attempt(Delivery.objects.get().pk, work.now(), sender.Outcome(410, 5))
    return Endpoint.objects.get()


@pytest.mark.django_db
def test_staff_hear_of_a_parked_endpoint() -> None:
    endpoint = park()
    run_due("notice")
    assert [sent.subject for sent in mail.outbox] == ["No webhooks to https://hooks.example:443 any more (Acme)"]
    assert links() == [f"/admin/webhooks/endpoint/{endpoint.pk}/change/"]


@pytest.mark.django_db
def test_an_endpoint_that_is_taken_back_meanwhile_is_told_to_nobody() -> None:
    endpoints.unpark(park().pk)
    run_due("notice")
    assert (mail.outbox, states()) == ([], ["NOT_NEEDED"])


# --- What a link does -----------------------------------------------------------------------------


def everything() -> dict[str, str]:
    """All rows of the service's own rooms."""
    models = [model for room in ("cases", "outreach", "webhooks") for model in apps.get_app_config(room).get_models()]
    return {model.__name__: serialize("json", model._base_manager.order_by("pk")) for model in models}


@pytest.mark.django_db
def test_a_link_leads_past_the_login_to_its_page_and_does_nothing(client: Browser) -> None:
    User.objects.create_superuser("ann", password="the right one")
    ask(case_with("Ann"), options=["Yes", "No"])
    draft()
    InboundPayloadFactory(lost_leases=10)  # it can't be taken in
    run_due("payload")
    run_due("notice")
    before = everything()
    assert len(links()) == 3
    for link in links():
        refused = client.get(link)
        assert (refused.status_code, refused.headers["location"]) == (302, f"/admin/login/?next={link}")
    assert everything() == before
    form = client.get(f"/admin/login/?next={links()[0]}")
    fields = {"username": "ann", "password": "the right one", "next": form.context["next"]}
    landed = client.post(f"/admin/login/?next={links()[0]}", fields, follow=True)
    assert landed.redirect_chain == [(links()[0], 302)]
    assert "May we pay 200 EUR?" in landed.content.decode()
    for link in links():
        assert client.get(link).status_code == 200
        assert client.head(link).status_code == 200  # as programs do that look a link over
    assert everything() == before


# --- Several workers ------------------------------------------------------------------------------


class Slow(EmailBackend):
    """A server that takes its time, so that others have time to do the same thing."""

    def send_messages(self, messages: Any) -> int:
        time.sleep(0.05)
        return super().send_messages(messages)


def work_until_done() -> None:
    """What the pump of one worker does, as long as there is anything to do."""
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < 1:
        for held in work.claim("notice", 4):
            pump.run_step(held)
            pump.settle({held: None})
            quiet_since = time.monotonic()
        time.sleep(0.01)


def told_of() -> list[tuple[str, str]]:
    """Recipient and question of each line that was sent."""
    pages = [(sent.to[0], re.findall(r"inputrequest/([0-9a-f-]{36})/", str(sent.body))) for sent in mail.outbox]
    return sorted((to, pk) for to, found in pages for pk in found)


def wanted() -> list[tuple[str, str]]:
    keys = map(str, InputRequest.objects.values_list("pk", flat=True))
    return sorted((to, pk) for pk in keys for to in (ADDRESS, OTHER))


@pytest.fixture
def two_recipients(settings: Settings) -> None:
    settings.OFFLOAD_STAFF_NOTICES = [ADDRESS, OTHER]
    settings.EMAIL_BACKEND = f"{__name__}.Slow"


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_of_several_workers_one_makes_each_digest(two_recipients: None) -> None:
    for number in range(8):
        ask(case_with(f"Ann {number}"))
    in_threads(3, work_until_done)
    assert told_of() == wanted()
    assert sorted(sent.to[0] for sent in mail.outbox) == [OTHER, ADDRESS]
    assert set(states()) == {NoticeState.SENT}


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_without_a_window_several_workers_send_each_once(two_recipients: None, settings: Settings) -> None:
    settings.OFFLOAD_NOTICE_DIGEST_MINUTES = 0
    for number in range(6):
        ask(case_with(f"Ann {number}"))
    in_threads(3, work_until_done)
    assert told_of() == wanted()
    assert len(mail.outbox) == 12


@pytest.mark.engine
@pytest.mark.django_db(transaction=True)
def test_what_comes_while_a_digest_is_sent_is_in_the_next_one(two_recipients: None) -> None:
    ask(case_with("Ann"))

    def ask_more() -> None:
        time.sleep(0.03)
        for number in range(4):
            ask(case_with(f"Ben {number}"))
        connections.close_all()

    late = threading.Thread(target=ask_more)
    late.start()
    in_threads(3, work_until_done)
    late.join()
    assert StaffNotice.objects.filter(state=NoticeState.WAITING, hold=NoticeHold.WINDOW).exists()
    let_pass(minutes=11)
    in_threads(3, work_until_done)
    assert told_of() == wanted()
    assert set(states()) == {NoticeState.SENT}
    assert len(mail.outbox) <= 6  # of each recipient the first, what was due with it or right after, and the rest
