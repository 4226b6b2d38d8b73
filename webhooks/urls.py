"""The routes of webhooks. None has a trailing slash."""

from django.urls import path

from webhooks import views

urlpatterns = [
    path("events", views.EventsView.as_view()),
    path("events/<str:event_id>/redeliver", views.RedeliverView.as_view()),
    path("cases/<str:case_id>/events", views.CaseEventsView.as_view()),
    path("webhooks/endpoints", views.EndpointsView.as_view()),
    path("webhooks/test", views.TestView.as_view()),
]
