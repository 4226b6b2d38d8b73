"""The floor behind the product's own server: `granian --interface asginl benchmarks.floor_server:application`."""

import offload_project.wsgi  # noqa: F401 (sets Django up, which the floor's models need)
from benchmarks.floor import Floor
from offload_project.buffer import Buffered

application = Buffered(Floor())
