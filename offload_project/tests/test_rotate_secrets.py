"""`manage.py rotate_secrets`: old encryption keys can go, and receivers have a day to change over."""

import re
import signal

import pytest
from pytest_django import Settings

from cases import encryption
from cases.factories import ClientFactory
from cases.models import Client
from offload_project.tests.maintenance import dump, interrupt, run
from outreach import fingerprints
from webhooks import signing

pytestmark = pytest.mark.django_db


def secrets_in(said: str) -> dict[str, str]:
    return dict(re.findall(r"^(\w+) \(\S+\)  (whsec_\S+)$", said, re.MULTILINE))


def test_all_is_encrypted_under_the_first_key(settings: Settings) -> None:
    settings.OFFLOAD_ENCRYPTION_KEYS = ["first"]
    client = ClientFactory()
    secret, mark = signing.new_secret(client), fingerprints.fingerprint("ann@x.example")
    settings.OFFLOAD_ENCRYPTION_KEYS = ["second", "first"]
    assert run("rotate_secrets") == (0, "2 secrets are encrypted under the newest key.\n")
    settings.OFFLOAD_ENCRYPTION_KEYS = ["second"]
    assert signing.secrets_for(client) == [secret]
    assert fingerprints.known(["ann@x.example"]) == {mark}


def test_where_one_can_not_be_read_nothing_changes(settings: Settings) -> None:
    settings.OFFLOAD_ENCRYPTION_KEYS = ["first"]
    fingerprints.fingerprint("ann@x.example")
    settings.OFFLOAD_ENCRYPTION_KEYS = ["second"]
    signing.new_secret(ClientFactory())
    before = dump()
    code, said = run("rotate_secrets")
    assert (code, said.endswith("Nothing was changed.\n"), dump()) == (1, True, before)


def test_secrets_of_one_purpose_are_not_read_for_another() -> None:
    token = encryption.encrypt("x", purpose="one")
    with pytest.raises(encryption.Unreadable):
        encryption.decrypt(token, purpose="two")


def test_without_being_asked_no_webhook_secret_changes() -> None:
    client = ClientFactory()
    secret = signing.new_secret(client)
    code, said = run("rotate_secrets")
    assert (code, signing.secrets_for(client), "whsec_" in said) == (0, [secret], False)


def test_new_webhook_secrets_overlap_and_a_second_run_leaves_them_alone() -> None:
    acme, beta = ClientFactory(name="Acme"), ClientFactory(name="Beta")
    ClientFactory(name="Gone", is_active=False)
    old = {client.name: signing.new_secret(client) for client in (acme, beta)}
    code, said = run("rotate_secrets", "--webhook-secrets")
    new = secrets_in(said)
    assert (code, set(new)) == (0, {"Acme", "Beta"})
    for client in (acme, beta):
        assert signing.secrets_for(client) == [new[client.name], old[client.name]]
    again = run("rotate_secrets", "--webhook-secrets")[1]
    assert (secrets_in(again), again.count("left alone")) == ({}, 2)
    assert signing.secrets_for(acme)[0] == new["Acme"]
    assert secrets_in(run("rotate_secrets", "--webhook-secrets", "--again")[1]).keys() == {"Acme", "Beta"}


def test_only_one_client() -> None:
    acme, beta = ClientFactory(name="Acme"), ClientFactory(name="Beta")
    secret = signing.new_secret(beta)
    said = run("rotate_secrets", "--webhook-secrets", "--client", str(acme.pk))[1]
    assert (set(secrets_in(said)), signing.secrets_for(beta)) == ({"Acme"}, [secret])


@pytest.mark.parametrize("option", [("--client", "Acme"), ("--again",)])
def test_options_without_what_they_are_for(option: tuple[str, ...]) -> None:
    ClientFactory(name="Acme")
    assert run("rotate_secrets", *option) == (1, "--client and --again go with --webhook-secrets.\n")


def test_stopped_it_has_shown_every_secret_that_it_has_made(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("Acme", "Beta", "Gamma"):
        ClientFactory(name=name)
    rotate = signing.rotate

    def interrupted(client: Client) -> str:
        interrupt(signal.SIGTERM)
        return rotate(client)

    with monkeypatch.context() as patch:
        patch.setattr(signing, "rotate", interrupted)
        code, said = run("rotate_secrets", "--webhook-secrets")
    assert (code, set(secrets_in(said))) == (130, {"Acme"})
    assert signing.secrets_for(Client.objects.get(name="Acme"))[0] == secrets_in(said)["Acme"]
    assert "Stopped. 1 clients have new secrets, shown above." in said
