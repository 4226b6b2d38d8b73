import base64
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import Settings
from standardwebhooks import Webhook, WebhookVerificationError

from cases import work
from cases.factories import ClientFactory
from webhooks import signing
from webhooks.errors import SecretUnreadable
from webhooks.models import SigningSecret

BODY = '{"name":"Müller"}'.encode()


def test_the_known_answer_of_the_standard() -> None:
    found = signing.headers(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        datetime.fromtimestamp(1614265330, UTC),
        b'{"test": 2432232314}',
    )
    assert found == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@pytest.mark.django_db
def test_the_upstream_library_verifies_it_and_sees_what_was_changed() -> None:
    secret = signing.new_secret(ClientFactory())
    headers = signing.headers([secret], "evt_1", datetime.now(UTC), BODY)
    assert Webhook(secret).verify(BODY, headers) == {"name": "Müller"}
    for changed in (BODY + b" ", BODY.replace(b"M", b"m")):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(changed, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(BODY, {**headers, "webhook-id": "evt_2"})


@pytest.mark.django_db
def test_a_secret_is_32_random_bytes_and_never_stored_in_clear() -> None:
    client = ClientFactory()
    secret = signing.new_secret(client)
    raw = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    assert secret.startswith("whsec_")
    assert len(raw) == 32
    assert signing.new_secret(client) != secret
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM webhooks_signingsecret")
        stored = repr(cursor.fetchall())
    assert secret not in stored
    assert secret.removeprefix("whsec_") not in stored
    assert repr(raw)[2:-1] not in stored


@pytest.mark.django_db
def test_a_client_without_a_secret_gets_one_and_keeps_it() -> None:
    client, other = ClientFactory(), ClientFactory()
    first = signing.secrets_for(client)
    assert len(first) == 1
    assert signing.secrets_for(client) == first
    assert signing.secrets_for(other) != first
    assert SigningSecret.objects.count() == 2


@pytest.mark.django_db
def test_both_secrets_sign_for_24_hours_after_a_rotation() -> None:
    client = ClientFactory()
    old = signing.new_secret(client)
    new = signing.rotate(client)
    assert signing.secrets_for(client) == [new, old]
    headers = signing.headers([new, old], "evt_1", datetime.now(UTC), BODY)
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (old, new):
        Webhook(secret).verify(BODY, headers)
    retires_at = client.signing_secrets.get(retires_at__isnull=False).retires_at
    assert retires_at is not None
    assert timedelta(hours=23, minutes=59) < retires_at - work.now() <= timedelta(hours=24)

    client.signing_secrets.update(retires_at=None)
    client.signing_secrets.filter(pk=client.signing_secrets.earliest("pk").pk).update(retires_at=work.now())
    assert signing.secrets_for(client) == [new]


@pytest.mark.django_db
def test_a_second_rotation_does_not_lengthen_the_life_of_the_oldest() -> None:
    client = ClientFactory()
    oldest = signing.new_secret(client)
    soon = work.now() + timedelta(hours=1)
    signing.rotate(client)
    client.signing_secrets.filter(retires_at__isnull=False).update(retires_at=soon)
    signing.rotate(client)
    assert client.signing_secrets.earliest("pk").retires_at == soon
    assert signing.secrets_for(client)[-1] == oldest
    assert len(signing.secrets_for(client)) == 3


@pytest.mark.django_db
def test_an_old_secret_key_still_reads_what_it_wrote(settings: Settings) -> None:
    client = ClientFactory()
    secret = signing.new_secret(client)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another key", [settings.SECRET_KEY]
    assert signing.secrets_for(client) == [secret]
    newer = signing.new_secret(client)
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(SecretUnreadable, match="a key that is not configured"):
        signing.secrets_for(client)
    client.signing_secrets.earliest("pk").delete()
    assert signing.secrets_for(client) == [newer]


@pytest.mark.django_db
def test_a_key_of_its_own_takes_the_place_of_the_secret_key(settings: Settings) -> None:
    client = ClientFactory()
    older = signing.new_secret(client)
    settings.OFFLOAD_ENCRYPTION_KEYS = ["a key of its own"]
    newer = signing.new_secret(client)
    assert signing.secrets_for(client) == [newer, older]
    settings.SECRET_KEY = "another key"
    with pytest.raises(SecretUnreadable):
        signing.secrets_for(client)


@pytest.mark.django_db
def test_after_encrypting_anew_old_keys_are_not_needed(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    client = ClientFactory()
    secret = signing.new_secret(client)
    settings.OFFLOAD_ENCRYPTION_KEYS = ["second", "first"]
    call_command("reencrypt_secrets")
    assert capsys.readouterr().out == "1 secrets are encrypted under the newest key.\n"
    settings.SECRET_KEY, settings.OFFLOAD_ENCRYPTION_KEYS = "another key", ["second"]
    assert signing.secrets_for(client) == [secret]
    before = client.signing_secrets.get().encrypted
    settings.OFFLOAD_ENCRYPTION_KEYS = ["third"]
    with pytest.raises(CommandError, match="Nothing was changed"):
        call_command("reencrypt_secrets")
    assert client.signing_secrets.get().encrypted == before


@pytest.mark.django_db
def test_a_replaced_secret_signs_for_a_day_and_is_then_forgotten(capsys: pytest.CaptureFixture[str]) -> None:
    client = ClientFactory()
    old = signing.new_secret(client)
    call_command("rotate_webhook_secret", str(client.pk))
    new, still_good = signing.secrets_for(client)
    assert new in capsys.readouterr().out
    assert still_good == old
    client.signing_secrets.filter(retires_at__isnull=False).update(retires_at=work.now())
    assert signing.secrets_for(client) == [new]
    signing.rotate(client)
    assert client.signing_secrets.count() == 2  # the first one's row is gone
    with pytest.raises(CommandError, match="There is no client"):
        call_command("rotate_webhook_secret", "00000000-0000-0000-0000-000000000000")
