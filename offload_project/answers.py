"""The headers that answers carry whatever view has made them: who may keep them, and what is left of a key's rate."""

import math
from collections.abc import Callable
from functools import cache

from csp.constants import HEADER
from csp.middleware import CSPMiddleware
from csp.utils import build_policy
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from cases.rates import Allowance

# The API's description has nothing of anybody in it; WhiteNoise says of static files itself how long they are good.
PUBLIC = ("/schema", "/docs", settings.STATIC_URL)


def add_headers(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: nothing of a client's or the staff's is kept by a cache or found by a search engine."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if not request.path_info.startswith(PUBLIC):
            response.headers.setdefault("Cache-Control", "no-store")
            response.headers.setdefault("X-Robots-Tag", "noindex, nofollow")
        if allowance := getattr(request, "allowance", None):
            for name, value in _rate_headers(allowance).items():
                response.headers[name] = value
        return response

    return middleware


def _rate_headers(allowance: Allowance) -> dict[str, str]:
    """`RateLimit-*` as of draft-ietf-httpapi-ratelimit-headers-06: numbers of requests, and whole seconds from now."""
    return {
        "RateLimit-Limit": str(allowance.limit),
        "RateLimit-Remaining": str(allowance.remaining),
        "RateLimit-Reset": str(math.ceil(allowance.reset_seconds)),
    }


class ContentSecurity(CSPMiddleware):
    """django-csp's, whose header is put together once where neither view nor page has a policy of its own."""

    OWN = ("_csp_config", "_csp_update", "_csp_replace", "_csp_exempt")

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """The answer with its header."""
        if settings.DEBUG or hasattr(request, "_csp_nonce") or any(hasattr(response, name) for name in self.OWN):
            return super().process_response(request, response)
        response.headers.setdefault(HEADER, _policy())
        return response


@cache
def _policy() -> str:
    return build_policy()
