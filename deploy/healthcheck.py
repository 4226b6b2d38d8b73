"""Exits with 0 if the web process of this container answers /healthz, asked under the name that it serves."""

import os
import urllib.request
from urllib.parse import urlsplit

request = urllib.request.Request(
    f"http://127.0.0.1:{os.environ.get('PORT', '8000')}/healthz",
    headers={"Host": urlsplit(os.environ["OFFLOAD_BASE_URL"]).netloc},
)
urllib.request.urlopen(request, timeout=4).close()  # raises for anything but success
