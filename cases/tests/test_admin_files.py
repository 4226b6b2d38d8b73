"""Files on the staff's pages: their list, the page of one, what is shown of it and what never is."""

import threading
import uuid
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.template.loader import render_to_string
from django.test import Client as Browser
from django.urls import reverse
from PIL import Image
from pytest_django import DjangoAssertNumQueries, Settings
from storages.backends.s3 import S3Storage

from cases import previews
from cases.factories import AttachmentFactory, CaseFactory, MessageFactory
from cases.file_kinds import FileKind, kind_of, of_kind
from cases.models import Attachment, Status
from cases.templatetags import cases_files
from cases.tests.staff import HOSTILE, assert_harmless, staff

FILES = "/admin/cases/attachment/"
OFFICE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@pytest.fixture
def viewer(db: None) -> Browser:
    return staff("view_case")


def picture() -> bytes:
    out = BytesIO()
    Image.new("RGB", (40, 30), "green").save(out, "PNG")
    return out.getvalue()


def address(attachment: Attachment, what: str = "change") -> str:
    return reverse(f"admin:cases_attachment_{what}", args=[attachment.pk])


def listed(browser: Browser, **query: Any) -> list[Attachment]:
    return list(browser.get(FILES, query).context["cl"].result_list)


def look(browser: Browser, attachment: Attachment) -> str:
    response = browser.get(address(attachment, "look"), headers={"HX-Request": "true"})
    assert response.status_code == 200
    assert "no-store" in response.headers["cache-control"]
    return response.content.decode()


# --- Kinds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type", "kind"),
    [
        ("application/pdf", "pdf"),
        ("image/png", "image"),
        ("image/svg+xml", "image"),
        (OFFICE, "office"),
        ("application/vnd.ms-excel", "office"),
        ("application/msword", "office"),
        ("text/rtf", "office"),
        ("text/html", "text"),
        ("message/rfc822", "text"),
        ("application/zip", "other"),
        ("", "other"),
    ],
)
def test_each_type_is_of_one_kind_in_code_and_in_the_database(db: None, type: str, kind: str) -> None:
    assert kind_of(type) == kind
    row = AttachmentFactory(type=type)
    assert [found for found in FileKind if Attachment.objects.filter(of_kind(found), pk=row.pk).exists()] == [kind]


# --- The list -------------------------------------------------------------------------------------


def test_files_are_filtered(viewer: Browser) -> None:
    live = CaseFactory(status=Status.RUNNING, is_test=False)
    ours = AttachmentFactory(
        message=MessageFactory(case=live), type=OFFICE, content=b"x" * 200_000, created_at="2020-01-01T00:00Z"
    )
    theirs = AttachmentFactory(name="Offer 2026.pdf")
    assert listed(viewer, kind="office") == [ours]
    assert listed(viewer, kind="pdf") == [theirs]
    assert listed(viewer, size="medium") == [ours]
    assert listed(viewer, size="small") == [theirs]
    assert listed(viewer, message__direction__exact="OUT") == [ours]
    assert listed(viewer, message__case__is_test__exact="0") == [ours]
    assert listed(viewer, client=str(live.client_id)) == [ours]
    assert listed(viewer, created_at__gte="2025-01-01 00:00:00+00:00") == [theirs]
    assert listed(viewer, q="offer") == [theirs]
    assert listed(viewer, q=ours.sha256) == [ours]


def test_the_list_says_what_rests_on_a_file(viewer: Browser) -> None:
    attachment = AttachmentFactory()
    case = attachment.message.case
    sources = [
        {"path": "/total", "source_id": str(attachment.pk), "quote": "120.00"},
        {"path": "/items/0/no~1x", "source_id": str(attachment.pk), "quote": "7"},
        {"path": "/paid", "source_id": "goal", "quote": "paid"},
    ]
    type(case).objects.filter(pk=case.pk).update(result={"total": 120, "items": [{"no/x": "7"}]}, sources=sources)
    html = viewer.get(FILES).content.decode()
    assert f'href="{address(attachment)}' in html
    assert "invoice.pdf" in html
    assert "total, items › no. 1 › no/x" in html
    assert "paid" not in html
    page = viewer.get(address(attachment)).content.decode()
    assert "<bdi>120</bdi>" in page
    assert "<bdi>120.00</bdi>" in page


def test_a_list_of_many_takes_no_more_queries(
    viewer: Browser, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(8):
        AttachmentFactory()
    viewer.get(FILES)
    with django_assert_max_num_queries(10):
        viewer.get(FILES)


def test_the_part_for_threads_takes_no_query(db: None, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    AttachmentFactory(name=HOSTILE, declared_type="text/html")
    AttachmentFactory(type="application/zip")
    files = list(Attachment.objects.order_by("-type"))
    with django_assert_num_queries(0):
        html = "".join(render_to_string("admin/cases/_file.html", {"file": file}) for file in files * 100)
    assert_harmless(html)
    assert html.count("/static/cases/files/other.svg") == 100
    assert html.count(f"/admin/cases/attachment/{files[1].pk}/stamp/") == 100
    assert html.count(f"/admin/cases/attachment/{files[0].pk}/download/") == 100
    assert html.count("sent as text/html") == 100


# --- The page of one ------------------------------------------------------------------------------


def test_the_page_says_where_a_file_is_from(viewer: Browser) -> None:
    attachment = AttachmentFactory(name="Rechnung März.pdf", declared_type="text/html")
    html = viewer.get(address(attachment)).content.decode()
    assert attachment.sha256 in html
    assert f"/admin/cases/case/{attachment.message.case_id}/change/#message-{attachment.message_id}" in html
    assert "It was sent as text/html. By its bytes it is application/pdf." in html
    assert "No value of a result rests on this file." in html
    assert f'hx-get="{address(attachment, "look")}"' in html
    assert "/admin/cases/client/" not in html.partition('id="origin-title"')[2]  # who may not see clients gets no link
    assert viewer.get(f"{FILES}{uuid.uuid4()}/change/").status_code == 404
    assert viewer.post(address(attachment), {"name": "x"}).status_code == 403


def test_a_picture_is_shown_as_one_that_was_drawn_anew(viewer: Browser) -> None:
    content = picture()
    attachment = AttachmentFactory(name="photo.png", type="image/png", content=content)
    html = look(viewer, attachment)
    assert html.count('<img src="data:image/webp;base64,') == 1
    assert "a picture, no text" not in html.partition("What was read")[0]
    stamp = viewer.get(address(attachment, "stamp"))
    assert stamp.headers["content-type"] == "image/webp"
    assert stamp.headers["x-content-type-options"] == "nosniff"
    assert stamp.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert stamp.headers["cache-control"] == "private, max-age=3600"
    assert Image.open(BytesIO(stamp.content)).size == (40, 30)
    assert content not in stamp.content


@pytest.mark.parametrize(
    ("type", "content"),
    [
        ("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
        ("text/html", b"<script>alert(1)</script>"),
        ("application/xhtml+xml", b"<html xmlns='http://www.w3.org/1999/xhtml'><script>alert(1)</script></html>"),
        ("application/zip", b"PK\x03\x04 nothing"),
    ],
)
def test_nothing_active_is_ever_shown(viewer: Browser, type: str, content: bytes) -> None:
    attachment = AttachmentFactory(name="x", type=type, content=content)
    html = look(viewer, attachment)
    assert "<img" not in html
    assert "<script" not in html
    assert "<svg" not in html
    assert "Files of this kind are not shown." in html
    stamp = viewer.get(address(attachment, "stamp"))
    assert stamp.status_code == 302
    assert stamp.headers["location"] == f"/static/cases/files/{kind_of(type)}.svg"


def test_a_file_that_says_it_is_a_picture_and_is_none(viewer: Browser) -> None:
    attachment = AttachmentFactory(type="image/png", content=b"<script>alert(1)</script>")
    html = look(viewer, attachment)
    assert "<img" not in html
    assert "Can&#x27;t be shown: damaged" in html
    assert viewer.get(address(attachment, "stamp")).status_code == 302


def test_the_text_that_was_read_is_shown_as_text(viewer: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    attachment = AttachmentFactory(text=f"{HOSTILE} the total is 120", note="pages without text: 2")
    html = look(viewer, attachment)
    assert_harmless(html)
    assert "the total is 120" in html
    assert "Pages without text: 2." in html
    never_read = AttachmentFactory(name="note.txt", type="text/plain", content=b"Read me now.")
    assert "Read me now." in look(viewer, never_read)


def test_a_long_text_is_cut(viewer: Browser) -> None:
    html = look(viewer, AttachmentFactory(text="a" * 60_000))
    assert "a" * 50_000 in html
    assert "a" * 50_001 not in html
    assert "only its beginning is shown" in html


def test_without_scripts_the_preview_is_a_page(viewer: Browser) -> None:
    attachment = AttachmentFactory(name="photo.png", type="image/png", content=picture())
    html = viewer.get(address(attachment, "look")).content.decode()
    assert "<title>" in html
    assert "data:image/webp" in html


def test_a_file_that_is_gone_has_no_preview(viewer: Browser) -> None:
    attachment = AttachmentFactory(text="What was read then.")
    attachment.file.storage.delete(attachment.file.name)
    html = look(viewer, attachment)
    assert "The file can&#x27;t be loaded from the storage." in html
    assert "What was read then." in html
    assert viewer.get(address(attachment, "stamp")).status_code == 302


def test_a_file_that_is_too_large_is_not_even_loaded(viewer: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    attachment = AttachmentFactory(size=27 * 1024 * 1024)
    monkeypatch.setattr("cases.previews.import_string", lambda path: pytest.fail("it was drawn"))
    assert "Larger than 26 MB." in look(viewer, attachment)
    Attachment.objects.update(size=11 * 1024 * 1024, type="image/png")
    attachment.refresh_from_db()
    assert previews.stamp(attachment) == b""


def test_few_stamps_are_made_at_once(viewer: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    attachment = AttachmentFactory(type="image/png", content=picture())
    none_left = threading.BoundedSemaphore(1)
    none_left.acquire()
    monkeypatch.setattr(previews, "_stamps_at_once", none_left)
    monkeypatch.setattr(previews, "STAMP_WAIT_SECONDS", 0.01)
    assert viewer.get(address(attachment, "stamp")).headers["location"] == "/static/cases/files/image.svg"
    none_left.release()
    for _ in range(2):  # and each gives its place back
        assert viewer.get(address(attachment, "stamp")).status_code == 200


def test_who_draws_and_reads_is_named_in_settings(viewer: Browser, settings: Settings) -> None:
    settings.OFFLOAD_FILE_PREVIEW = settings.OFFLOAD_FILE_READER = "cases.tests.test_admin_files.stand_in"
    html = look(viewer, AttachmentFactory())
    assert "Page 1 of 9" in html
    assert "What the stand-in reads" in html


class StandIn:
    pages, count, note, text = [b"RIFF"], 9, "only the first", "What the stand-in reads"


def stand_in(*arguments: Any, **options: Any) -> StandIn:
    return StandIn()


# --- Download and permission ----------------------------------------------------------------------


def test_from_s3_a_file_is_downloaded_by_a_link_for_saving(viewer: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    attachment = AttachmentFactory(name="März.html", type="text/html")
    options = {
        "bucket_name": "files",
        "access_key": "key",
        "secret_key": "secret",
        "region_name": "eu-central-1",
        "endpoint_url": "http://127.0.0.1:1",
        "signature_version": "s3v4",
    }
    monkeypatch.setattr(Attachment._meta.get_field("file"), "storage", S3Storage(**options))
    response = viewer.get(address(attachment, "download"))
    url = urlsplit(response.headers["location"])
    query = parse_qs(url.query)
    assert (response.status_code, url.netloc, url.path) == (302, "127.0.0.1:1", f"/files/{attachment.file.name}")
    assert query["response-content-disposition"] == ["attachment; filename*=utf-8''M%C3%A4rz.html"]
    assert query["response-content-type"] == ["application/octet-stream"]
    assert query["X-Amz-Expires"] == ["900"]
    assert "no-store" in response.headers["cache-control"]


@pytest.mark.parametrize("what", ["change", "look", "stamp", "download"])
def test_only_who_may_see_cases_sees_anything_of_a_file(db: None, what: str) -> None:
    attachment = AttachmentFactory()
    assert staff("view_client").get(address(attachment, what)).status_code == 403
    assert Browser().get(address(attachment, what)).status_code == 302
    assert staff("view_case").post(address(attachment, what)).status_code in {403, 405}


def test_what_is_said_of_a_file_names_no_error_class() -> None:
    assert cases_files.in_words("can't be read: damaged (PdfReadError)") == "can't be read: damaged"
    assert cases_files.in_words("not read: too large (60 MB)") == "not read: too large (60 MB)"
