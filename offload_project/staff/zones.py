"""The staff's pages show times in the reader's zone, which cases/static/cases/zone.js tells in a cookie."""

from collections.abc import Callable
from datetime import tzinfo
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from cases.fields import zones

COOKIE = "offload_zone"
PAGES = "/admin/"


def in_the_readers_zone(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: of the staff's pages; everything else, the API above all, stays in UTC."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        zone = zone_of(request) if request.path_info.startswith(PAGES) else None
        if zone is None:
            return get_response(request)
        with timezone.override(zone):
            return get_response(request)

    return middleware


def zone_of(request: HttpRequest) -> tzinfo | None:
    """The zone that the cookie names by its IANA name; None without one that we know."""
    name = request.COOKIES.get(COOKIE, "")
    return ZoneInfo(name) if name in zones() else None
