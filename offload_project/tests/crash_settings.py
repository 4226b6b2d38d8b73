"""Settings of the processes that tests kill: as in production, but that a send can be held open (see held_sends.py)."""

from offload_project.settings import *  # noqa: F403
from offload_project.settings import LOGGING, OFFLOAD_WORK_KINDS

OFFLOAD_WORK_KINDS = {**OFFLOAD_WORK_KINDS, "case": "offload_project.tests.held_sends.CASES"}
LOGGING["loggers"]["django-q"] = {"level": "INFO"}  # tests read there which process is what
