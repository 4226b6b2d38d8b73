"""`manage.py agentmail_setup [--client NAME]`: inbox and webhook at AgentMail. May be run as often as one likes."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from cases.models import Client
from outreach.agentmail import setup
from outreach.agentmail.client import AgentMailError


class Command(BaseCommand):
    help = "Create the inbox and the webhook at AgentMail if they are not there, and say what to configure."
    requires_system_checks = []  # a key without an inbox is an error that this command ends

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--client", help="name of the client that is to write from an inbox of its own")
        parser.add_argument("--inbox", dest="chosen", default="", help="an inbox that exists, instead of a new one")
        parser.add_argument("--display-name", default="", help="name that recipients see; only for a new inbox")
        parser.add_argument("--username", default="", help="part before the @; AgentMail chooses one if not given")
        parser.add_argument("--domain", default="", help="a domain that is verified at AgentMail; default: theirs")

    def handle(self, *args: Any, client: str | None, **options: Any) -> None:
        if not settings.AGENTMAIL_API_KEY:
            raise CommandError("AGENTMAIL_API_KEY is not set.")
        names = {name: options[name] for name in ("chosen", "display_name", "username", "domain")}
        try:
            self._inbox(find(client) if client else None, names)
            self._webhook()
        except AgentMailError as error:
            raise CommandError(f"AgentMail: {error}") from error

    def _inbox(self, client: Client | None, names: dict[str, str]) -> None:
        inbox_id = setup.inbox_of(client, **names)
        if client:
            self.stdout.write(f"{client} writes from {inbox_id}.")
        elif inbox_id == settings.AGENTMAIL_INBOX:
            self.stdout.write(f"The inbox {inbox_id} is there.")
        else:
            self.stdout.write(f"Set AGENTMAIL_INBOX={inbox_id}")

    def _webhook(self) -> None:
        hook = setup.webhook()
        self.stdout.write(f"The webhook to {setup.url()} is there and enabled.")
        secret = hook.get("secret")
        if secret in settings.AGENTMAIL_WEBHOOK_SECRET:
            self.stdout.write("AGENTMAIL_WEBHOOK_SECRET is set and right.")
        elif secret:
            self.stdout.write(f"Set AGENTMAIL_WEBHOOK_SECRET={','.join([secret, *settings.AGENTMAIL_WEBHOOK_SECRET])}")
        else:
            raise CommandError("AgentMail does not tell the webhook's secret; copy it from its console.")


def find(name: str) -> Client:
    """The client of that name. Raises CommandError where there is none, or several."""
    found = list(Client.objects.filter(name=name)[:2])
    if len(found) != 1:
        raise CommandError(f"There is {'no' if not found else 'more than one'} client named {name!r}.")
    return found[0]
