"""Django's WSGI application; what a server imports is `offload_project.asgi:application`, which runs it."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "offload_project.settings")

application = get_wsgi_application()
