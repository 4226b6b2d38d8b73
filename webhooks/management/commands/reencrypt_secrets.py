"""`manage.py reencrypt_secrets`: after a change of OFFLOAD_ENCRYPTION_KEYS or SECRET_KEY, so that old keys can go."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from webhooks import signing
from webhooks.errors import SecretUnreadable


class Command(BaseCommand):
    """Encrypt all webhook secrets under the newest key. Does no harm when it is run again."""

    help = "Encrypt all webhook secrets under the newest key; afterwards older keys are not needed any more."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            count = signing.reencrypt()
        except SecretUnreadable as error:
            raise CommandError(f"{error} Nothing was changed.") from error
        self.stdout.write(f"{count} secrets are encrypted under the newest key.")
