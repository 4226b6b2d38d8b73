from django.apps import AppConfig


class OutreachConfig(AppConfig):
    """Talks to the counterparty."""

    name = "outreach"
    verbose_name = "Mail"

    def ready(self) -> None:
        from outreach import checks  # noqa: F401 (checks register themselves)
