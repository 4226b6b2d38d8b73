"""What several tests of this room share."""

import pytest
from pytest_django import Settings

from outreach import transports
from outreach.tests.memory import Outbox


@pytest.fixture
def outbox(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Outbox:
    """What carries the mail of cases whose transport is `memory`; replies settle at once."""
    settings.OFFLOAD_SETTLE_SECONDS = 0
    carrier = Outbox()
    monkeypatch.setitem(transports.TRANSPORTS, "memory", lambda: carrier)
    return carrier
