"""Each key its rate. What an address may send without a good key is limited in authentication.py."""

from typing import Any

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from cases import rates
from cases.authentication import Caller


class KeyThrottle(BaseThrottle):
    """OFFLOAD_RATE_PER_MINUTE requests of one key, OFFLOAD_RATE_BURST at once. Routes without a key have no limit."""

    def __init__(self) -> None:
        self._wait_seconds = 0.0

    def allow_request(self, request: Request, view: Any) -> bool:
        """Whether it is granted; leaves the allowance on the request, for the answer's headers."""
        caller: object = request.user  # none on routes without a key, whatever REST framework's types say
        if not settings.OFFLOAD_RATE_PER_MINUTE or not isinstance(caller, Caller):
            return True
        allowance = rates.counters("keys").take(
            str(caller.key.pk),
            per_minute=settings.OFFLOAD_RATE_PER_MINUTE,
            burst=settings.OFFLOAD_RATE_BURST or settings.OFFLOAD_RATE_PER_MINUTE,
        )
        request._request.allowance = allowance  # type: ignore[attr-defined]
        self._wait_seconds = allowance.wait_seconds
        return allowance.is_granted

    def wait(self) -> float:
        """Seconds until a request is granted again."""
        return self._wait_seconds
