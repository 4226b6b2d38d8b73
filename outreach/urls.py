"""The routes of the sandbox. None has a trailing slash."""

from rest_framework.routers import SimpleRouter

from outreach.sandbox_views import SandboxViewSet

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("sandbox/cases", SandboxViewSet, basename="sandbox")

urlpatterns = router.urls
