"""`manage.py revoke_key KEY`: the key gets nobody in any more, at once."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Q

from cases import work
from cases.models import ApiKey, hash_key


class Command(BaseCommand):
    """Revoke one API key, named in full or by the beginning of it that the staff pages show."""

    help = "Revoke an API key, given in full or by its prefix as the staff pages show it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("key", help="the key, or its prefix where no other key has the same")

    def handle(self, *args: Any, **options: Any) -> None:
        key = find(options["key"])
        if key.revoked_at is None:
            key.revoked_at = work.now()
            key.save(update_fields=["revoked_at"])
            self.stdout.write(f"Revoked {key} of {key.client}.")
        else:
            self.stdout.write(f"{key} of {key.client} was revoked on {key.revoked_at:%Y-%m-%d %H:%M} UTC already.")


def find(text: str) -> ApiKey:
    """The key meant. Raises CommandError for an unknown one and for a prefix that several have."""
    wanted = text.strip().removesuffix("…").encode("ascii", "replace").decode()  # keys are ASCII
    keys = list(ApiKey.objects.select_related("client").filter(Q(key_hash=hash_key(wanted)) | Q(prefix=wanted))[:2])
    if not keys:
        raise CommandError("There is no such key. Give the whole key, or its prefix as the staff pages show it.")
    if len(keys) > 1:
        raise CommandError(f"Several keys begin with {wanted}. Give the whole key.")
    return keys[0]
