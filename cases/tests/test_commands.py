"""revoke_key."""

import pytest
from django.core.management import CommandError, call_command

from cases.factories import ApiKeyFactory
from cases.models import ApiKey
from cases.tests.conftest import Api, error_of

pytestmark = pytest.mark.django_db
UNKNOWN = "There is no such key"


def test_a_revoked_key_gets_nobody_in(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("revoke_key", api.key.key)  # type: ignore[attr-defined]
    assert error_of(api.get("/cases/1")) == (403, "FORBIDDEN")
    assert capsys.readouterr().out == f"Revoked {api.key.prefix}… of {api.key.client}.\n"


@pytest.mark.parametrize("suffix", ["", "…"])
def test_its_prefix_will_do_as_the_staff_pages_show_it(suffix: str) -> None:
    key, other = ApiKeyFactory(), ApiKeyFactory()
    call_command("revoke_key", key.prefix + suffix)
    key.refresh_from_db()
    other.refresh_from_db()
    assert key.revoked_at is not None
    assert other.revoked_at is None


def test_revoking_twice_keeps_the_first_time(capsys: pytest.CaptureFixture[str]) -> None:
    key = ApiKeyFactory()
    call_command("revoke_key", key.key)
    revoked_at = ApiKey.objects.get(pk=key.pk).revoked_at
    call_command("revoke_key", key.key)
    assert ApiKey.objects.get(pk=key.pk).revoked_at == revoked_at
    assert "already" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "offload_live_", "offload", "nonsense", "\udc80"])
def test_an_unknown_key_is_an_error(text: str) -> None:
    key = ApiKeyFactory()
    for wrong in (text, key.prefix[:-1], key.key[:-1]):
        with pytest.raises(CommandError, match=UNKNOWN) as raised:
            call_command("revoke_key", wrong)
        assert raised.value.returncode == 1
    key.refresh_from_db()
    assert key.revoked_at is None


def test_a_prefix_that_two_keys_have_is_an_error() -> None:
    key = ApiKeyFactory()
    ApiKeyFactory(prefix=key.prefix)
    with pytest.raises(CommandError, match="Several keys"):
        call_command("revoke_key", key.prefix)
    assert not ApiKey.objects.filter(revoked_at__isnull=False).exists()
