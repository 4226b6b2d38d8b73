"""`manage.py reencrypt_secrets`: the earlier name of `rotate_secrets`."""

from offload_project.management.commands.rotate_secrets import Command

__all__ = ["Command"]
