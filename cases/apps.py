import os

from django.apps import AppConfig


class CasesConfig(AppConfig):
    """The case and all that clients and staff see of it."""

    name = "cases"
    verbose_name = "Cases"

    def ready(self) -> None:
        from cases import checks, database  # noqa: F401 (checks register themselves)

        os.register_at_fork(after_in_child=database.forget_inherited_connections)
