from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from webhooks import addresses


@register("webhooks")
def allowed_networks_are_networks(**_: Any) -> list[CheckMessage]:
    """An error for an OFFLOAD_WEBHOOK_ALLOW_CIDRS that can't be read."""
    try:
        addresses.networks(tuple(settings.OFFLOAD_WEBHOOK_ALLOW_CIDRS))
    except ValueError as error:
        return [Error(f"OFFLOAD_WEBHOOK_ALLOW_CIDRS: {error}", id="webhooks.E001")]
    return []
