from argparse import SUPPRESS, ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from cases import supervisor, work
from cases.daemon import Termination


class Command(BaseCommand):
    help = "Advances what is due, until SIGTERM: then it finishes what it has begun and exits."

    def add_arguments(self, parser: ArgumentParser) -> None:
        # How the supervisor starts the cluster that it watches; not for people.
        parser.add_argument("--cluster", help=SUPPRESS)
        parser.add_argument("--supervisor", dest="supervisor_pid", type=int, help=SUPPRESS)

    def handle(self, *args: Any, cluster: str | None, supervisor_pid: int | None, **options: Any) -> None:
        if cluster is not None and supervisor_pid is not None:
            work.run_cluster(cluster, supervisor_pid)
        else:
            supervisor.run(Termination())
