"""The sandbox: for test keys, everything that a counterparty or its mail system can do."""

from django.urls import path

from outreach import sandbox_views as views

urlpatterns = [
    path("sandbox/cases/<str:case_id>/mails", views.MailboxView.as_view(), name="sandbox-mails"),
    path("sandbox/cases/<str:case_id>/reply", views.ReplyView.as_view(), name="sandbox-reply"),
    path("sandbox/cases/<str:case_id>/bounce", views.BounceView.as_view(), name="sandbox-bounce"),
    path("sandbox/cases/<str:case_id>/complaint", views.ComplaintView.as_view(), name="sandbox-complaint"),
    path("sandbox/cases/<str:case_id>/out-of-office", views.OutOfOfficeView.as_view(), name="sandbox-out-of-office"),
    path("sandbox/cases/<str:case_id>/advance", views.AdvanceView.as_view(), name="sandbox-advance"),
]
