"""Django's admin finds its pages by this module's name."""

from django.contrib import admin

from offload_project.staff import accounts  # noqa: F401 (its pages register themselves)

admin.site.empty_value_display = "–"
