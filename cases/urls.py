"""The routes of the case. None has a trailing slash."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from cases import downloads
from cases.thread_views import ThreadViewSet
from cases.views import CaseViewSet

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("cases", CaseViewSet, basename="case")
router.register("cases", ThreadViewSet, basename="thread")

urlpatterns = [*router.urls, path("files/<str:token>", downloads.DownloadView.as_view(), name="download")]
