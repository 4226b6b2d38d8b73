"""The routes of the sandbox, and the doors of providers. None has a trailing slash."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from outreach.agentmail.views import AgentMailEvents
from outreach.sandbox_views import SandboxViewSet

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("sandbox/cases", SandboxViewSet, basename="sandbox")

urlpatterns = [
    *router.urls,
    path("inbound/agentmail", AgentMailEvents.as_view()),
]
