import os

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class CasesConfig(AppConfig):
    """The case and all that clients and staff see of it."""

    name = "cases"
    verbose_name = "Cases"

    def ready(self) -> None:
        from cases import checks, database, search  # noqa: F401 (checks register themselves)

        post_migrate.connect(search.install, sender=self, dispatch_uid="search")
        os.register_at_fork(after_in_child=database.forget_inherited_connections)
