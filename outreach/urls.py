"""The routes of the sandbox, of which none has a trailing slash, and those that providers call."""

from django.conf import settings
from django.urls import URLPattern, URLResolver, include, path
from rest_framework.routers import SimpleRouter

from outreach.agentmail.views import AgentMailEvents
from outreach.sandbox_views import SandboxViewSet

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("sandbox/cases", SandboxViewSet, basename="sandbox")

urlpatterns: list[URLPattern | URLResolver] = [
    *router.urls,
    path("inbound/agentmail", AgentMailEvents.as_view()),
]
if settings.ANYMAIL.get("WEBHOOK_SECRET"):  # without it anyone could post mail; each provider's paths are anymail's
    urlpatterns.append(path("inbound/anymail/", include("anymail.urls")))
