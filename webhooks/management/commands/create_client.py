"""`manage.py create_client NAME`: a client, its API key and its webhook secret, both shown this once."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from cases import work
from cases.models import ApiKey, Client, Scope
from webhooks import signing


class Command(BaseCommand):
    """Create a client with one key. It stands in this room because the secret does."""

    help = "Create a client and show its API key and its webhook secret, which can't be shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="of the application, for people")
        parser.add_argument("--test", action="store_true", help="a test key: its cases always use the sandbox")
        parser.add_argument(
            "--scope",
            action="append",
            choices=Scope.values,
            help="what the key may do besides reading; repeat it for several (default: all)",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"].strip()
        if not 0 < len(name) <= 200:
            raise CommandError("The name must have 1 to 200 characters.")
        with work.transaction():
            client = Client.objects.create(name=name)
            _, key = ApiKey.issue(client, is_test=options["test"], scopes=options["scope"] or Scope.values)
            secret = signing.new_secret(client)
        if options["json"]:
            shown = {"clientId": str(client.pk), "apiKey": key, "webhookSecret": secret}
            self.stdout.write(json.dumps(shown))
        else:
            self.stdout.write(
                f"Client {client.name} ({client.pk}) is created.\n\n"
                f"  API key         {key}\n"
                f"  Webhook secret  {secret}\n\n"
                "Keep both now: they are not shown again."
            )
