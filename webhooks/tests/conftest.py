import pytest
from pytest_django import Settings


@pytest.fixture
def loopback_allowed(settings: Settings) -> None:
    """The operator has opened this machine to client webhooks, as the demo does."""
    settings.OFFLOAD_WEBHOOK_ALLOW_CIDRS = ["127.0.0.0/8", "::1/128"]
