"""The routes of the case. None has a trailing slash."""

from typing import Any

from django.conf import settings
from django.urls import path
from rest_framework.routers import SimpleRouter

from cases import downloads
from cases.client_views import ClientView
from cases.draft_views import DraftViewSet
from cases.enclosures import MAX_ENCODED_BYTES
from cases.thread_views import ThreadViewSet
from cases.views import CaseViewSet


def _with_files(route: Any) -> Any:
    """The route of POST /cases: what it takes besides are files."""
    larger = settings.OFFLOAD_MAX_BODY_BYTES + MAX_ENCODED_BYTES
    return route._replace(initkwargs={**route.initkwargs, "max_body_bytes": larger})


class CaseRouter(SimpleRouter):
    routes = [_with_files(SimpleRouter.routes[0]), *SimpleRouter.routes[1:]]


router = CaseRouter(trailing_slash=False, use_regex_path=False)
router.register("cases", CaseViewSet, basename="case")
router.register("cases/<str:case_id>/drafts", DraftViewSet, basename="draft")
router.register("cases", ThreadViewSet, basename="thread")

urlpatterns = [
    *router.urls,
    path("client", ClientView.as_view(), name="client"),
    path("files/<str:token>", downloads.DownloadView.as_view(), name="download"),
]
