"""Names lead nowhere: what generated requests name as a webhook must not be called, it may belong to somebody."""

import socket
from typing import Any

LOCAL = {None, "", "localhost", "127.0.0.1", "::1"}
_look_up = socket.getaddrinfo


def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
    """As the system's, for this machine alone. Whoever connects to an address asks here too."""
    if (host.decode() if isinstance(host, bytes) else host) not in LOCAL:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return _look_up(host, *arguments, **options)
