"""The ground that benchmarks stand on: a durable PostgreSQL server, a migrated database, and the settings for both."""

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from scripts.with_postgres import postgres_server

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def installation(**environment: str) -> Iterator[str]:
    """Set up Django in this process, as in production, on a migrated database of its own; gives the database's URL.

    The server is the one of TEST_DATABASE_URL, else one that is started here and writes to disk at each commit.
    Processes that are started in the block inherit the same settings through the environment. Once a process.
    """
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True))
        url = os.environ.get("TEST_DATABASE_URL") or stack.enter_context(postgres_server(is_durable=True))
        os.environ.update(
            {
                "DJANGO_SETTINGS_MODULE": "offload_project.settings",
                "OFFLOAD_VAR_DIR": home,
                "DATABASE_URL": url,
                "SECRET_KEY": secrets.token_urlsafe(50),
                "ALLOWED_HOSTS": "127.0.0.1,testserver",
                "OFFLOAD_BASE_URL": "http://127.0.0.1:8000",
                "OFFLOAD_LOG_LEVEL": "WARNING",
                **environment,
            }
        )
        import django
        from django.core.management import call_command
        from django.db import connections

        django.setup()
        call_command("migrate", verbosity=0)
        try:
            yield url
        finally:
            connections.close_all()
