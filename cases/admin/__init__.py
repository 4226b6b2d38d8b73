"""The staff's pages: what waits, the cases, their questions and mail, the clients and their keys.

Every change goes through cases/services.py, as the API's do. A GET never changes anything.
"""

from django.apps import apps
from django.contrib import admin

from cases.admin import cases, clients, drafts, files, mail, questions  # noqa: F401 (they register themselves)

admin.site.index_title = "What waits"

# Its tasks are wake-ups and nothing more: a page about them tells staff nothing, and one can name any code to be run.
for _model in apps.get_app_config("django_q").get_models():
    if admin.site.is_registered(_model):
        admin.site.unregister(_model)
