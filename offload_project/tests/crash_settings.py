"""Settings of the processes that tests kill: as in production, but that a send can be held open (see held_sends.py)."""

from offload_project.settings import *  # noqa: F403
from offload_project.settings import OFFLOAD_WORK_KINDS

OFFLOAD_WORK_KINDS = {**OFFLOAD_WORK_KINDS, "case": "offload_project.tests.held_sends.CASES"}
LOGGING = {  # tests read in django-q2's log which process is what
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
}
