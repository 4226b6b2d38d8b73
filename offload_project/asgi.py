"""The ASGI application object that a server imports: `offload_project.asgi:application`."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "offload_project.settings")

application = get_asgi_application()
