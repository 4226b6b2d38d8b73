"""create_client."""

import json
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command

from cases.models import ApiKey, Client, hash_key
from webhooks import signing

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("options", "prefix", "is_test"), [([], "offload_live_", False), (["--test"], "offload_test_", True)]
)
def test_as_json_it_prints_one_object(
    options: list[str], prefix: str, is_test: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("create_client", "Shop", "--json", *options)
    shown = json.loads(capsys.readouterr().out)
    client = Client.objects.get()
    assert shown.keys() == {"clientId", "apiKey", "webhookSecret"}
    assert (UUID(shown["clientId"]), client.name) == (client.pk, "Shop")
    key = ApiKey.objects.get(client=client)
    assert shown["apiKey"].startswith(prefix)
    assert (key.key_hash, key.is_test) == (hash_key(shown["apiKey"]), is_test)
    assert shown["webhookSecret"].startswith("whsec_")
    assert signing.secrets_for(client) == [shown["webhookSecret"]]


def test_for_people_it_says_that_this_is_the_only_time(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("create_client", " Shop of Zoë ")
    text = capsys.readouterr().out
    [secret] = signing.secrets_for(Client.objects.get(name="Shop of Zoë"))
    assert secret in text
    assert ApiKey.objects.get().prefix in text
    assert "not shown again" in text


@pytest.mark.parametrize("name", ["", "  ", "x" * 201])
def test_a_client_needs_a_name(name: str) -> None:
    with pytest.raises(CommandError, match="1 to 200 characters"):
        call_command("create_client", name)
    assert Client.objects.count() == 0


def test_a_key_gets_the_scopes_that_are_named_and_without_any_all() -> None:
    call_command("create_client", "Agent", "--scope", "answers", "--scope", "cases")
    call_command("create_client", "Shop")
    scopes = {key.client.name: key.scopes for key in ApiKey.objects.all()}
    assert scopes == {"Agent": ["cases", "answers"], "Shop": ["cases", "answers", "approvals"]}


def test_a_scope_that_is_none_is_refused() -> None:
    with pytest.raises(CommandError):
        call_command("create_client", "Agent", "--scope", "everything")
    assert not Client.objects.exists()
