"""Settings of the processes that `benchmarks.start` measures: as in production, but for what is done with a case."""

from offload_project.settings import *  # noqa: F403
from offload_project.settings import OFFLOAD_WORK_KINDS

OFFLOAD_WORK_KINDS = {**OFFLOAD_WORK_KINDS, "case": "benchmarks.started.CASES"}
