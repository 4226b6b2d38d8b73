"""When a key was last used, written beside the requests and not within them.

At most once in OFFLOAD_KEY_USE_SECONDS for a key and a process: an operator wants to know whether a key is still in
use, and on SQLite a request that only reads must not wait for the one writer.
"""

import logging
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db.models import Q

from cases import database
from cases.models import ApiKey

logger = logging.getLogger(__name__)

MAX_REMEMBERED = 10_000
_noted_at: dict[uuid.UUID, float] = {}  # monotonic; of each key
_lock = threading.Lock()
_writer = ThreadPoolExecutor(1, thread_name_prefix="key-use")


def note(key: ApiKey) -> None:
    """Say that the key was used just now. Returns at once, writes later, and may get lost when the process ends."""
    if settings.OFFLOAD_KEY_USE_SECONDS and _is_news(key.pk, time.monotonic()):
        _writer.submit(write, key.pk)


def _is_news(pk: uuid.UUID, at: float) -> bool:
    with _lock:
        if at - _noted_at.get(pk, -settings.OFFLOAD_KEY_USE_SECONDS) < settings.OFFLOAD_KEY_USE_SECONDS:
            return False
        if len(_noted_at) >= MAX_REMEMBERED:
            _noted_at.clear()
        _noted_at[pk] = at
        return True


def write(pk: uuid.UUID) -> None:
    """Keep the moment, unless another process has just done so. What fails is logged: it is said again soon."""
    try:
        at = database.now()
        before = at - timedelta(seconds=settings.OFFLOAD_KEY_USE_SECONDS)
        is_stale = Q(last_used_at=None) | Q(last_used_at__lte=before)
        ApiKey.objects.filter(is_stale, pk=pk).update(last_used_at=at)
    except DatabaseError:
        logger.warning("can't write when a key was last used", exc_info=True)
    finally:
        connection.close()  # it is needed once a minute
