"""Django's mail backend for SMTP, with an end: a whole send takes no longer than EMAIL_TIMEOUT.

Django's own bounds each wait for the server, and one that answers a byte at a time can make a worker wait for hours.
Connections are for one use, and none is left open, whatever goes wrong.
"""

import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from django.conf import settings
from django.core.mail.backends import smtp


class BoundedSMTP(smtplib.SMTP):
    """A connection that is cut off at `ends_at`, in the time of `time.monotonic`."""

    def __init__(self, *args: Any, ends_at: float, **kwargs: Any) -> None:
        self._ends_at = ends_at
        self._lever: socket.socket | None = None
        try:
            super().__init__(*args, **kwargs)
        except OSError:  # all errors of smtplib and of TLS are such
            self.close()
            raise

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connected = self._connect(host, port)
        # Another handle on the same connection: TLS will take this one over, and a shutdown reaches both.
        self._lever = connected.dup()
        self._timer = threading.Timer(self._remaining(), _cut_off, [self._lever])
        self._timer.daemon = True
        self._timer.start()
        return connected

    def _connect(self, host: str, port: int) -> socket.socket:
        failed: OSError = OSError(f"{host} has no address")
        for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            try:
                return socket.create_connection((str(address[0]), port), self._remaining())
            except OSError as error:
                failed = error
        raise failed

    def _remaining(self) -> float:
        seconds = self._ends_at - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("timed out")
        return seconds

    def close(self) -> None:
        super().close()
        if self._lever:
            self._timer.cancel()
            self._lever.close()
            self._lever = None


class BoundedSMTPOverTLS(smtplib.SMTP_SSL, BoundedSMTP):
    """The same, encrypted from its first byte."""

    def __init__(self, *args: Any, context: ssl.SSLContext, **kwargs: Any) -> None:
        self.context = context
        BoundedSMTP.__init__(self, *args, **kwargs)


def _cut_off(connection: socket.socket) -> None:
    with suppress(OSError):  # it has just been closed
        connection.shutdown(socket.SHUT_RDWR)


class EmailBackend(smtp.EmailBackend):
    """Set as EMAIL_BACKEND for the `smtp` URLs of EMAIL_URL."""

    @property
    def connection_class(self) -> Callable[..., smtplib.SMTP]:  # type: ignore[override]
        kind = BoundedSMTPOverTLS if self.use_ssl else BoundedSMTP
        return partial(kind, ends_at=time.monotonic() + settings.EMAIL_TIMEOUT)

    def open(self) -> bool | None:
        try:
            return super().open()
        except OSError:
            self.close()
            raise

    def _close_connection(self, connection: smtplib.SMTP) -> None:
        """Say goodbye. What the server answers, if anything, no longer matters: the mail was accepted, or was not."""
        with suppress(OSError):
            connection.quit()
        connection.close()
