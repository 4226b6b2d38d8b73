"""The ASGI application object that a server imports: `offload_project.asgi:application`."""

from offload_project.buffer import Buffered
from offload_project.wsgi import application as django_application

application = Buffered(django_application)
