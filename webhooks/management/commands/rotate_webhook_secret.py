"""`manage.py rotate_webhook_secret CLIENT_ID`: a new secret, shown this once; the old one signs along for 24 hours."""

import uuid
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from cases.models import Client
from webhooks import signing


class Command(BaseCommand):
    """Replace the secret under which a client's webhooks are signed."""

    help = "Show a new webhook secret for a client; both sign for 24 hours, then only the new one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("client", type=uuid.UUID, help="the client's id")

    def handle(self, *args: Any, **options: Any) -> None:
        client = Client.objects.filter(pk=options["client"]).first()
        if client is None:
            raise CommandError(f"There is no client {options['client']}.")
        self.stdout.write(
            f"Webhook secret of {client.name}  {signing.rotate(client)}\n\nKeep it: it is shown this once."
        )
