"""The WSGI application object that a server imports: `offload_project.wsgi:application`."""

import os
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "offload_project.settings")

django_application = get_wsgi_application()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Django's application, for chunked bodies too.

    Django reads as many bytes as Content-Length says: none where a client sends `Transfer-Encoding: chunked`. Such a
    body is read here, one byte further than the API takes at most, so that a larger one is refused as too large.
    """
    if environ.get("HTTP_TRANSFER_ENCODING") and not environ.get("CONTENT_LENGTH"):
        from django.conf import settings

        body = environ["wsgi.input"].read(settings.OFFLOAD_MAX_BODY_BYTES + 1)
        environ |= {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    return django_application(environ, start_response)
