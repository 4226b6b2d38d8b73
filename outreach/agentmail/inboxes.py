"""Which inboxes at AgentMail are ours: an account may hold others, whose mail is not for us to read."""

from django.conf import settings

from cases.models import OPEN, Case, Client


def ours() -> set[str]:
    """The shared inbox, those of clients, and those that open cases write from; lower case."""
    of_clients = Client.objects.exclude(agentmail_inbox="").values_list("agentmail_inbox", flat=True)
    of_cases = Case.objects.filter(transport="agentmail", status__in=sorted(OPEN)).values_list("our_address", flat=True)
    found = {settings.AGENTMAIL_INBOX, *of_clients, *of_cases.order_by().distinct()}
    return {inbox.lower() for inbox in found if inbox}


def is_ours(inbox_id: str) -> bool:
    """Whether mail of this inbox is for us: one of `ours`, or one that a case has ever written from."""
    address = inbox_id.lower()
    return (
        address == settings.AGENTMAIL_INBOX.lower()
        or Client.objects.filter(agentmail_inbox__iexact=address).exists()
        or Case.objects.filter(transport="agentmail", our_address__iexact=address).exists()
    )
