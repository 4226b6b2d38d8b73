"""Django's admin finds its pages by this module's name."""

from offload_project.staff import accounts  # noqa: F401 (its pages register themselves)
