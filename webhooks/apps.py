from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    """Tells the client."""

    name = "webhooks"
    verbose_name = "Webhooks"

    def ready(self) -> None:
        from webhooks import checks  # noqa: F401 (registers itself)
