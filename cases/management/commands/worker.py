from typing import Any

from django.core.management.base import BaseCommand

from cases import supervisor
from cases.daemon import Termination


class Command(BaseCommand):
    help = "Advances what is due, until SIGTERM: then it finishes what it has begun and exits."

    def handle(self, *args: Any, **options: Any) -> None:
        supervisor.run(Termination())
