"""Files that came with mail, the list of mail, and what waits on the first page."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from django.test import Client as Browser
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from cases import work
from cases.factories import AttachmentFactory, InputRequestFactory, MessageFactory
from cases.models import Attachment, RequestStatus
from cases.tests.staff import HOSTILE, assert_harmless, staff, told

FILES, MAIL = "/admin/cases/attachment/", "/admin/cases/message/"


@pytest.fixture
def viewer(db: None) -> Browser:
    return staff("view_case")


def download(browser: Browser, attachment: Attachment) -> Any:
    return browser.get(reverse("admin:cases_attachment_download", args=[attachment.pk]))


@pytest.mark.parametrize(
    ("name", "type_", "content"),
    [
        ("invoice.pdf", "application/pdf", b"%PDF-1.4 \x00\xff"),
        ("page.html", "text/html", b"<script>alert(1)</script>"),
        ("image.svg", "image/svg+xml", b"<svg onload='alert(1)'/>"),
    ],
)
def test_a_file_is_downloaded_byte_for_byte_and_never_shown(
    viewer: Browser, name: str, type_: str, content: bytes
) -> None:
    response = download(viewer, AttachmentFactory(name=name, type=type_, content=content))
    assert b"".join(response.streaming_content) == content
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert response.headers["content-length"] == str(len(content))


@pytest.mark.parametrize(
    "name", ["a\r\nSet-Cookie: x=1", "../../etc/passwd", "\u202efdp.exe", 'a"; filename="b', "\x01", "rechnung_ä.pdf"]
)
def test_a_name_adds_no_header_and_no_path(viewer: Browser, name: str) -> None:
    response = download(viewer, AttachmentFactory(name=name))
    response.close()
    disposition = unquote(response.headers["content-disposition"])
    assert disposition.startswith("attachment; filename")
    assert not set("\r\n\x01\u202e/") & set(disposition)
    assert "set-cookie" not in response.headers


def test_a_file_that_is_gone_is_said_so(viewer: Browser, media_root: Path) -> None:
    attachment = AttachmentFactory(name="invoice.pdf")
    attachment.file.storage.delete(attachment.file.name)
    response = download(viewer, attachment)
    assert (response.status_code, response.headers["location"]) == (302, FILES)
    assert told(response, "error") == ["The file “invoice.pdf” is not in the storage any more."]


def test_only_who_may_see_cases_gets_files(db: None) -> None:
    attachment = AttachmentFactory()
    assert download(staff("view_client"), attachment).status_code == 403
    assert download(Browser(), attachment).status_code == 302
    assert staff("view_client").get(FILES).status_code == 403


def test_files_are_found_by_name(viewer: Browser) -> None:
    wanted = AttachmentFactory(name="Offer 2026.pdf")
    AttachmentFactory(name="other.pdf")
    response = viewer.get(FILES, {"q": "offer"})
    assert list(response.context["cl"].result_list) == [wanted]
    html = response.content.decode()
    assert f"#message-{wanted.message_id}" in html


def test_mail_after_the_end_is_listed(viewer: Browser) -> None:
    late = MessageFactory(direction="IN", is_after_end=True, subject="Too late?")
    MessageFactory(direction="IN")
    assert list(viewer.get(MAIL, {"is_after_end__exact": 1}).context["cl"].result_list) == [late]


def test_a_mail_leads_to_its_place_in_the_thread(viewer: Browser) -> None:
    message = MessageFactory()
    response = viewer.get(reverse("admin:cases_message_change", args=[message.pk]))
    assert response.headers["location"] == f"/admin/cases/case/{message.case_id}/change/#message-{message.pk}"
    assert staff("view_client").get(reverse("admin:cases_message_change", args=[message.pk])).status_code == 403


def test_markup_from_outside_stays_text(viewer: Browser) -> None:
    message = MessageFactory(direction="IN", subject=HOSTILE, from_address=HOSTILE)
    AttachmentFactory(message=message, name=HOSTILE, type=HOSTILE)
    assert_harmless(viewer.get(FILES).content.decode())
    assert_harmless(viewer.get(MAIL).content.decode())


def test_lists_take_as_many_queries_for_many_rows(
    viewer: Browser, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(8):
        AttachmentFactory()
    viewer.get(FILES)
    with django_assert_max_num_queries(9):
        viewer.get(FILES)
    with django_assert_max_num_queries(9):
        viewer.get(MAIL)


# --- What waits -----------------------------------------------------------------------------------


def test_the_first_page_says_what_waits(viewer: Browser) -> None:
    InputRequestFactory()
    InputRequestFactory()
    InputRequestFactory(status=RequestStatus.RESOLVED)
    MessageFactory(direction="IN", is_after_end=True)
    MessageFactory(direction="IN", is_after_end=True, created_at=work.now() - timedelta(days=8))
    html = viewer.get("/admin/").content.decode()
    assert 'href="/admin/cases/inputrequest/queue/"><strong>2</strong> open questions</a>' in html
    assert "<strong>1</strong> mail after the end of a case, within 7 days</a>" in html
    assert viewer.get("/admin/cases/inputrequest/queue/").status_code == 200


def test_the_first_page_tells_nothing_to_those_who_may_not_see_it(db: None) -> None:
    InputRequestFactory()
    assert "open question" not in staff("view_client").get("/admin/").content.decode()


def test_wake_ups_have_no_page(admin_client: Browser) -> None:
    assert admin_client.get("/admin/cases/").status_code == 200
    assert admin_client.get("/admin/django_q/").status_code == 404
    assert "django_q" not in admin_client.get("/admin/").content.decode()
