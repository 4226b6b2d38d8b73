"""The service's settings, but that mail is sent, and answered, at once: see instant.py."""

from offload_project.settings import *  # noqa: F403
from offload_project.settings import OFFLOAD_EVENT_LISTENERS, OFFLOAD_WORK_KINDS

OFFLOAD_WORK_KINDS = {**OFFLOAD_WORK_KINDS, "case": "benchmarks.instant.CASES"}
OFFLOAD_EVENT_LISTENERS = {
    **OFFLOAD_EVENT_LISTENERS,
    "message.sent": ["benchmarks.instant.answer", *OFFLOAD_EVENT_LISTENERS["message.sent"]],
}
