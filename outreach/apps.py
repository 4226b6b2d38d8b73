from django.apps import AppConfig


class OutreachConfig(AppConfig):
    """Talks to the counterparty."""

    name = "outreach"
    verbose_name = "Mail"

    def ready(self) -> None:
        from outreach import checks  # noqa: F401 (checks register themselves)
        from outreach.inbound import anymail_door  # noqa: F401 (and so do receivers)
