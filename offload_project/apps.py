from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate


class OffloadProjectConfig(AppConfig):
    """The wiring, and the people who work with the service."""

    name = "offload_project"

    def ready(self) -> None:
        from offload_project.staff import roles

        # After the last app with models, when the permissions of all are there. This one has no models, and no signal.
        *_, last = (config for config in apps.get_app_configs() if config.models_module is not None)
        post_migrate.connect(roles.create, sender=last, dispatch_uid="roles")
