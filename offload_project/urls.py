"""Every route. The API's have no trailing slash, the admin's have one, as Django's are made."""

from csp.constants import SELF, UNSAFE_INLINE
from csp.decorators import csp_replace
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.renderers import OpenApiJsonRenderer2
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView

from cases.admin import home

from . import health
from .api import read_only
from .staff.second_factor import second_factor

# Swagger UI styles its elements inline; its scripts come from files like everyone's.
docs = csp_replace({"style-src": [SELF, UNSAFE_INLINE]})(SpectacularSwaggerSplitView.as_view(url_name="schema"))
to_the_admin = read_only(RedirectView.as_view(pattern_name="admin:index"))
schema = SpectacularJSONAPIView.as_view(renderer_classes=[OpenApiJsonRenderer2])

urlpatterns = [
    path("", include("cases.urls")),
    path("", include("outreach.urls")),
    path("", include("webhooks.urls")),
    path("schema", schema, name="schema"),
    path("docs", docs, name="docs"),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("admin/second-factor/", admin.site.admin_view(second_factor), name="second_factor"),
    path("admin/now/", admin.site.admin_view(home.now), name="home_now"),
    path("admin/", admin.site.urls),
    path("admin", to_the_admin),
    path("", to_the_admin),
]

handler400 = "offload_project.api.bad_request"
handler403 = "offload_project.api.permission_denied"
handler404 = "offload_project.api.not_found"
handler500 = "offload_project.api.server_error"
