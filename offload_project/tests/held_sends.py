"""A sandbox transport that stops before or after it delivers, for as long as a file named `hold-before` or `hold-after`
lies in OFFLOAD_VAR_DIR. Imported by the worker processes of the crash tests in place of outreach.tasks.
"""

import os
import time

from django.conf import settings

from outreach import transports
from outreach.tasks import CASES
from outreach.transports import OutgoingMail, Receipt
from outreach.transports.sandbox import SandboxTransport

__all__ = ["CASES"]


class HeldTransport(SandboxTransport):
    """Says in a file `held-<point>-<process id>` that it waits at a point."""

    def send(self, mail: OutgoingMail) -> Receipt:
        hold("before")
        receipt = super().send(mail)
        hold("after")
        return receipt


def hold(point: str) -> None:
    """Wait while the file is there; a minute at most."""
    deadline = time.monotonic() + 60
    while (settings.VAR_DIR / f"hold-{point}").exists() and time.monotonic() < deadline:
        (settings.VAR_DIR / f"held-{point}-{os.getpid()}").touch()
        time.sleep(0.02)


transports.TRANSPORTS["sandbox"] = HeldTransport
