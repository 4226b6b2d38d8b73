"""The routes of the case. None has a trailing slash."""

from django.urls import path

from cases import downloads, views

urlpatterns = [
    path("cases", views.CasesView.as_view(), name="cases"),
    path("cases/<str:case_id>", views.CaseView.as_view(), name="case"),
    path("cases/<str:case_id>/attachments/<str:attachment_id>", views.AttachmentView.as_view(), name="attachment"),
    path("cases/<str:case_id>/input", views.InputView.as_view(), name="input"),
    path("cases/<str:case_id>/cancel", views.CancelView.as_view(), name="cancel"),
    path("files/<str:token>", downloads.DownloadView.as_view(), name="download"),
]
