"""The channels on which this installation can reach somebody."""

from django.conf import settings

from cases.errors import InvalidCase
from cases.models import Channel


def check(channel: str, *, is_test: bool) -> None:
    """Raise InvalidCase where no transport is configured for the channel. Cases of test keys always have the sandbox.

    Live ones have it only where OFFLOAD_TRANSPORT names it: nobody should wait for an answer to mail that never left.
    """
    if channel != Channel.EMAIL:
        raise InvalidCase(f"No transport is configured for {channel}.")
    if not is_test and not settings.OFFLOAD_LIVE_CASES:
        raise InvalidCase("No mail transport is configured. A test key's cases use the sandbox.")
