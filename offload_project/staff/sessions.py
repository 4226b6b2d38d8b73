"""What happens to a form that somebody sends after their session has ended."""

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse

PAGES = "/admin/"
LOGIN = f"{PAGES}login/"
FREE = (LOGIN, f"{PAGES}logout/", f"{PAGES}now/")
ROW = re.compile(r"^(/admin/\w+/\w+/(?:[0-9a-f-]{36}|\d+)/).+$")  # of a row, with what is done to it


def lead_back(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: by way of the login to the page that the form is on, and not to where it was sent, which only takes
    POST. staff.js puts there what had been typed. A part of a page that renews itself gets a 401, and stays as it is.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if not _wants_a_login(request, response):
            return response
        if "HX-Request" in request.headers:
            return HttpResponse("You have been logged out.", status=401, content_type="text/plain")
        if request.method != "POST":
            return response
        messages.warning(request, "You were logged out meanwhile, and nothing was stored. Log in to send it again.")
        return redirect_to_login(page_of(request), LOGIN)

    return middleware


def _wants_a_login(request: HttpRequest, response: HttpResponseBase) -> bool:
    """Whether a page leads to the login. The home page renews itself in a way of its own, see home.js."""
    if request.path_info in FREE or response.status_code != 302 or request.user.is_authenticated:
        return False
    return urlsplit(response.headers["Location"]).path == LOGIN


def page_of(request: HttpRequest) -> str:
    """The page on which the form of this request stands; the home page where the browser does not tell."""
    came_from = urlsplit(request.headers.get("Referer", ""))
    if came_from.netloc != request.get_host() or not came_from.path.startswith(PAGES):
        return reverse("admin:index")
    row = ROW.match(came_from.path)
    return f"{row[1]}change/" if row else came_from.path
