"""To wait for something, with an end."""

import time
from collections.abc import Callable
from typing import Any

PATIENCE_SECONDS = 120.0


def comes_true(condition: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> bool:
    """Whether the condition holds at some time within the seconds; returns as soon as it does."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.3)
    return True
