"""Settings of the service under fire: as in production, but that it waits less long after a failure (see paces.py)."""

import os
import select
import time
from typing import SupportsIndex

from offload_project.settings import *  # noqa: F403
from offload_project.settings import OFFLOAD_WORK_KINDS

OFFLOAD_WORK_KINDS = {
    **OFFLOAD_WORK_KINDS,
    "case": "scripts.chaos.paces.CASES",
    "payload": "scripts.chaos.paces.PAYLOADS",
    "delivery": "scripts.chaos.paces.DELIVERIES",
}


def _sleep(seconds: float | SupportsIndex) -> None:
    select.select([], [], [], float(seconds))


if "libfaketime" in os.environ.get("LD_PRELOAD", ""):
    # Its clock_nanosleep takes a time of the monotonic clock, which it was told to leave alone, for one of the other
    # (github.com/wolfcw/libfaketime/issues/426): time.sleep of Python 3.11 and newer then raises EINVAL.
    time.sleep = _sleep
