"""What a stolen dump of the database gives away, and what a change of SECRET_KEY leaves usable."""

import re
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import signing as django_signing
from django.core.management import call_command
from django.test import Client as Browser
from pytest_django import Settings

from cases import downloads
from cases.factories import AttachmentFactory
from cases.models import Client
from cases.testing import run_due
from cases.tests.conftest import VALID
from offload_project.tests.maintenance import dump
from webhooks import signing
from webhooks.errors import SecretUnreadable

pytestmark = [pytest.mark.engine, pytest.mark.django_db]
EARLIER = "the-earlier-key-of-the-service-which-is-long-enough-for-everything"


def test_a_dump_has_no_key_no_secret_and_no_credential(client: Browser, settings: Settings, capsys: Any) -> None:
    settings.AGENTMAIL_API_KEY, settings.AGENTMAIL_WEBHOOK_SECRET = "am_provider_key_4711", "whsec_provider_4711"
    settings.EMAIL_URL, settings.EMAIL_HOST_PASSWORD = "smtp://u:mail_password_4711@localhost", "mail_password_4711"
    settings.OPENAI_API_KEY = "sk-model-4711"
    call_command("create_client", "Acme", "--test")
    api_key, secret = re.findall(r"(offload_test_\S+|whsec_\S+)", capsys.readouterr().out)
    staff = Browser()
    staff.force_login(User.objects.create_superuser("root", password="a password of 4711"))
    issued = staff.post(
        f"/admin/cases/client/{Client.objects.get().pk}/keys/",
        {"key_id": str(uuid.uuid4()), "is_test": "yes", "scopes": ["cases"]},
    )
    second_key = issued.context["new_key"]
    rotated = signing.rotate(Client.objects.get())
    body = {**VALID, "clientWebhookUrl": "https://hooks.example.com/offload"}
    posted = client.post("/cases", body, content_type="application/json", headers={"x-api-key": api_key})
    assert posted.status_code == 201
    run_due("case")
    case = posted.json()["data"]["caseId"]
    cancelled = client.post(f"/cases/{case}/cancel", content_type="application/json", headers={"x-api-key": second_key})
    assert cancelled.status_code == 200
    everything = dump()
    assert case.replace("-", "") in everything.replace("-", "")  # the dump is one
    assert api_key[:17] in everything
    credentials = [api_key, second_key, secret, rotated, "am_provider_key_4711", "whsec_provider_4711"]
    credentials += ["mail_password_4711", "sk-model-4711", "a password of 4711", settings.SECRET_KEY]
    parts = [part for value in credentials for part in (value, re.sub("^(offload_test_|whsec_)", "", value))]
    assert [part for part in parts if part in everything] == []


@pytest.fixture
def rotate(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Change SECRET_KEY and start anew, with or without keeping the earlier one."""

    def start() -> None:
        monkeypatch.setattr(downloads, "_signer", django_signing.TimestampSigner(salt="cases.downloads"))

    def change(*, keep: bool) -> None:
        settings.SECRET_KEY_FALLBACKS = [EARLIER] if keep else []
        settings.SECRET_KEY = "the-later-key-of-the-service-which-is-just-as-long-as-the-earlier-one"
        start()

    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = EARLIER, []
    start()
    return change


def download(link: str) -> int:
    response = Browser().get(link)
    list(response)
    return int(response.status_code)


@pytest.mark.parametrize("keep", [True, False])
def test_what_was_made_under_the_earlier_secret_key_is_good_as_long_as_it_is_kept(rotate: Any, keep: bool) -> None:
    browser = Browser()
    browser.force_login(User.objects.create_superuser("root"))
    client = Client.objects.create(name="Acme")
    secret = signing.new_secret(client)
    link = downloads.link(AttachmentFactory())["downloadUrl"].removeprefix("http://testserver")
    rotate(keep=keep)
    assert browser.get("/admin/").status_code == (200 if keep else 302)
    assert download(link) == (200 if keep else 404)
    if keep:
        assert signing.secrets_for(client) == [secret]
    else:
        with pytest.raises(SecretUnreadable):
            signing.secrets_for(client)


def test_what_is_made_afterwards_needs_the_earlier_key_no_more(rotate: Any) -> None:
    rotate(keep=True)
    client = Client.objects.create(name="Acme")
    secret = signing.new_secret(client)
    link = downloads.link(AttachmentFactory())["downloadUrl"].removeprefix("http://testserver")
    rotate(keep=False)
    assert signing.secrets_for(client) == [secret]
    assert download(link) == 200
