"""The same settings for a cluster of django-q2 that does the steps by itself: see plain.py.

Its processes have one thread each, so each keeps one connection, instead of a pool that nobody else would take from.
"""

from benchmarks.instant_settings import *  # noqa: F403
from cases.database import KEPT_PLANS
from offload_project import settings

_options = {name: value for name, value in settings.DATABASES["default"]["OPTIONS"].items() if name != "pool"}
DATABASES = {
    "default": {
        **settings.DATABASES["default"],
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": False,
        "OPTIONS": {**KEPT_PLANS, **_options},
    }
}
