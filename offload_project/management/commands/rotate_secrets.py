"""`manage.py rotate_secrets`: everything encrypted under the newest key, and if asked for new webhook secrets."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from cases import encryption
from cases.models import Client
from offload_project.maintenance.command import LongCommand, client_named
from offload_project.maintenance.progress import Progress
from offload_project.maintenance.stopping import Stop
from outreach import fingerprints
from webhooks import signing
from webhooks.errors import SecretUnreadable


class Command(LongCommand):
    """Does no harm when it is run again."""

    help = """
Encrypt all that stands encrypted in the database under the first of OFFLOAD_ENCRYPTION_KEYS (SECRET_KEY where there is
none): the clients' webhook secrets, and the key that tells erased people again. Afterwards older keys can go from
OFFLOAD_ENCRYPTION_KEYS. Put the new key in front, keep the old one behind it, restart, run this, then drop the old one.

With --webhook-secrets each client also gets a new webhook secret, shown this once; the old one signs along for 24
hours, so that receivers can change over. Clients that changed less than 24 hours ago are left alone, unless --again is
given.

It does not change SECRET_KEY, API keys (issue and revoke them), provider keys (they are in the environment), or the
staff's second factors, which django-otp keeps unencrypted (docs/security.md).
"""
    examples = """
  manage.py rotate_secrets                                   after a change of OFFLOAD_ENCRYPTION_KEYS
  manage.py rotate_secrets --webhook-secrets --client Acme   a new secret for one client
  manage.py rotate_secrets --webhook-secrets                 new secrets for all
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--webhook-secrets", action="store_true", help="also give clients new webhook secrets")
        parser.add_argument("--client", metavar="NAME|ID", help="only this client (with --webhook-secrets)")
        parser.add_argument("--again", action="store_true", help="also those that have just got a new one")

    def work(self, stop: Stop, options: dict[str, Any]) -> None:
        if not options["webhook_secrets"] and (options["client"] or options["again"]):
            raise CommandError("--client and --again go with --webhook-secrets.")
        client = client_named(options["client"])
        self._reencrypt()
        if options["webhook_secrets"]:
            clients = [client] if client else list(Client.objects.filter(is_active=True))
            self._rotate(clients, stop, again=options["again"])

    def _reencrypt(self) -> None:
        try:
            fingerprints.check()  # so that nothing is changed where anything can't be read
            count = signing.reencrypt() + fingerprints.reencrypt()
        except (SecretUnreadable, encryption.Unreadable) as error:
            raise CommandError(f"{error} Nothing was changed.") from error
        self.say(f"{count} secrets are encrypted under the newest key.")
        self.done = "All secrets are encrypted under the newest key."

    def _rotate(self, clients: list[Client], stop: Stop, *, again: bool) -> None:
        count = 0
        with Progress("clients", len(clients)) as progress:
            for client in progress.over(clients):
                stop.look()
                if not again and signing.rotated_lately(client):
                    self.say(f"{client.name} ({client.pk})  left alone: it changed less than 24 hours ago")
                    continue
                self.say(f"{client.name} ({client.pk})  {signing.rotate(client)}")
                self.stdout.flush()  # it can't be had again
                count += 1
                self.done = f"{count} clients have new secrets, shown above."
        self.say(
            f"{count} new webhook secrets. Keep them: they are shown this once. The old ones sign for 24 more hours."
        )
