"""Settings of the attacked service: as in production, but that it reaches this machine alone."""

import socket

from offload_project.settings import *  # noqa: F403
from scripts import offline

socket.getaddrinfo = offline.getaddrinfo  # in each of its processes
