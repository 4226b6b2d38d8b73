"""Attachments in a real S3 server: kept byte for byte, and to be had by a link of minutes and by nothing else."""

import hashlib
import os
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client as Browser
from django.urls import reverse
from PIL import Image
from pytest_django import Settings

from cases import doctor, downloads, enclosures
from cases.enclosures import GivenFile
from cases.examination import Examination, Level
from cases.factories import ApiKeyFactory, AttachmentFactory, CaseFactory
from cases.models import Attachment
from cases.tests.conftest import Api
from cases.tests.staff import staff
from offload_project import health
from offload_project import settings as configured
from offload_project.maintenance import files
from outreach.inbound import intake
from outreach.inbound.mail import InboundAttachment
from outreach.models import InboundPayload
from scripts import servers

pytestmark = pytest.mark.long

CONTENT = b"%PDF-1.4\r\n\x00\xff an invoice"
NAMES = [
    ("invoice.pdf", 'attachment; filename="invoice.pdf"'),
    ('a "b" \\c.pdf', r'attachment; filename="a \"b\" _c.pdf"'),
    ("Rechnung März.pdf", "attachment; filename*=utf-8''Rechnung%20M%C3%A4rz.pdf"),
    ("فاتورة.pdf", "attachment; filename*=utf-8''%D9%81%D8%A7%D8%AA%D9%88%D8%B1%D8%A9.pdf"),
    ("invoice\u202efdp.exe", 'attachment; filename="invoice_fdp.exe"'),
    ("\u2067חשבונית\u2069.pdf", "attachment; filename*=utf-8''_%D7%97%D7%A9%D7%91%D7%95%D7%A0%D7%99%D7%AA_.pdf"),
    ("../../etc/passwd", 'attachment; filename="_.._etc_passwd"'),
    ("a\r\nSet-Cookie: x=1.pdf", 'attachment; filename="a__Set-Cookie: x=1.pdf"'),
    ("", 'attachment; filename="attachment"'),
]


@pytest.fixture(autouse=True)
def bucket(s3: dict[str, str], settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The service keeps its files in a bucket; gives boto3's client of it. The bucket is empty again afterwards."""
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    storage = configured._file_storage(s3["AWS_STORAGE_BUCKET_NAME"])
    settings.STORAGES = {**settings.STORAGES, "default": storage}
    client = servers.s3_client(s3)
    yield client
    for found in client.list_objects_v2(Bucket="files").get("Contents", []):
        client.delete_object(Bucket="files", Key=found["Key"])


@pytest.fixture
def api(db: None, client: Browser) -> Api:
    return Api(ApiKeyFactory(is_test=True), client)


@pytest.fixture
def viewer(db: None) -> Browser:
    return staff("view_case")


def names_in(bucket: Any) -> list[str]:
    return [found["Key"] for found in bucket.list_objects_v2(Bucket="files").get("Contents", [])]


def link(api: Api, attachment: Attachment) -> str:
    """The link that the API gives."""
    response = api.get(f"/cases/{attachment.message.case_id}/attachments/{attachment.pk}")
    assert response.status_code == 200
    return str(response.json()["data"]["downloadUrl"])


def get(url: str) -> requests.Response:
    return requests.get(url, timeout=20, allow_redirects=False)


def assert_refused(url: str, method: str = "GET") -> None:
    response = requests.request(method, url, data=b"x" if method == "PUT" else None, timeout=20)
    assert response.status_code in {400, 403}  # 400: what is left is no signed link at all
    assert CONTENT not in response.content


# --- Kept -----------------------------------------------------------------------------------------


def test_a_file_is_saved_read_and_deleted(bucket: Any) -> None:
    name = default_storage.save("attachments/one", ContentFile(CONTENT))
    assert names_in(bucket) == [name] == ["attachments/one"]
    with default_storage.open(name) as file:
        assert file.read() == CONTENT
    assert default_storage.size(name) == len(CONTENT)
    other = default_storage.save("attachments/one", ContentFile(b"another"))  # nothing is ever written over
    assert other != name
    default_storage.delete(name)
    assert names_in(bucket) == [other]
    with pytest.raises(FileNotFoundError):
        default_storage.open(name).read()


def test_a_large_file_is_given_back_byte_for_byte(api: Api) -> None:
    content = os.urandom(26 * 1024 * 1024)
    attachment = AttachmentFactory(message__case__client=api.key.client, content=content)
    response = get(link(api, attachment))
    assert response.headers["content-length"] == str(len(content))
    assert hashlib.sha256(response.content).hexdigest() == attachment.sha256


def test_a_repeated_step_finds_its_files_and_replaces_half_of_one(bucket: Any) -> None:
    payload = InboundPayload(pk=uuid.uuid4())
    found = InboundAttachment(name="a.pdf", declared_type="application/pdf", content=CONTENT)
    first = intake._store_file(payload, 0, found)
    assert intake._store_file(payload, 0, found) == first
    bucket.put_object(Bucket="files", Key=first.path, Body=CONTENT[:5])
    assert intake._store_file(payload, 0, found) == first
    assert names_in(bucket) == [first.path]
    assert bucket.get_object(Bucket="files", Key=first.path)["Body"].read() == CONTENT


def test_files_of_a_case_that_was_not_created_are_taken_back(db: None, bucket: Any) -> None:
    given = [GivenFile("a.pdf", "application/pdf", CONTENT), GivenFile("b.txt", "text/plain", b"text")]
    case, seen = CaseFactory(), []

    def fail() -> None:
        with enclosures.stored(case, given):
            seen.extend(names_in(bucket))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert len(seen) == 2
    assert names_in(bucket) == []


def test_files_without_rows_are_found(db: None, bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    AttachmentFactory()
    for name in ("attachments/lost", "enclosures/0f/lost", "elsewhere/kept"):
        default_storage.save(name, ContentFile(CONTENT))
    assert list(files.unknown_files()) == []  # they may belong to a transaction that is under way
    monkeypatch.setattr(files, "SETTLED", timedelta(seconds=-5))
    unknown = {file.name: file.size for file in files.unknown_files()}
    assert unknown == {"attachments/lost": len(CONTENT), "enclosures/0f/lost": len(CONTENT)}
    assert files.delete(unknown) == 0
    assert list(files.unknown_files()) == []
    assert len(names_in(bucket)) == 2


# --- Given away -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "disposition"), NAMES)
@pytest.mark.parametrize("way", ["api", "admin"])
def test_a_link_saves_the_file_under_its_name(api: Api, viewer: Browser, way: str, name: str, disposition: str) -> None:
    attachment = AttachmentFactory(
        message__case__client=api.key.client, name=name, type="text/html", content=b"<script>alert(1)</script>"
    )
    if way == "api":
        url = link(api, attachment)
    else:
        redirected = viewer.get(reverse("admin:cases_attachment_download", args=[attachment.pk]))
        assert redirected.status_code == 302
        assert "no-store" in redirected.headers["cache-control"]
        url = redirected.headers["location"]
    response = get(url)  # without key or session
    assert (response.status_code, response.content) == (200, b"<script>alert(1)</script>")
    assert response.headers["content-disposition"] == disposition
    assert response.headers["content-type"] == "application/octet-stream"
    assert "set-cookie" not in response.headers


def test_nothing_is_to_be_had_without_a_link(api: Api, s3: dict[str, str]) -> None:
    attachment = AttachmentFactory(message__case__client=api.key.client, content=CONTENT)
    url = link(api, attachment)
    bare = url.partition("?")[0]
    of_bucket = f"{s3['AWS_S3_ENDPOINT_URL']}/files"
    for public in (bare, f"{bare}?acl", of_bucket, f"{of_bucket}/", f"{of_bucket}?list-type=2"):
        assert_refused(public)
    for method in ("PUT", "DELETE"):
        assert_refused(bare, method)
        assert_refused(url, method)  # a link is only to be read
    assert get(url).content == CONTENT


def test_a_link_that_was_tampered_with_is_refused(api: Api) -> None:
    attachment, other = AttachmentFactory.create_batch(2, message__case__client=api.key.client, content=CONTENT)
    url = link(api, attachment)
    last = url[-1]
    forged = [
        url[:-1] + ("0" if last != "0" else "1"),
        url.replace(str(attachment.file.name), str(other.file.name)),
        url.replace("X-Amz-Expires=900", "X-Amz-Expires=90000"),
        url.replace("response-content-disposition=attachment", "response-content-disposition=inline"),
        url.replace("application%2Foctet-stream", "text%2Fhtml"),
        url.partition("&X-Amz-Signature=")[0],
    ]
    assert url not in forged
    for wrong in forged:
        assert_refused(wrong)
    assert get(url).content == CONTENT


def test_a_link_ends(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    assert timedelta(minutes=15) == downloads.LIFETIME
    monkeypatch.setattr(downloads, "LIFETIME", timedelta(seconds=2))
    url = link(api, AttachmentFactory(message__case__client=api.key.client, content=CONTENT))
    assert get(url).status_code == 200
    time.sleep(3.1)
    assert_refused(url)


def test_a_link_to_what_is_gone_leads_nowhere(api: Api) -> None:
    attachment = AttachmentFactory(message__case__client=api.key.client)
    url = link(api, attachment)
    default_storage.delete(str(attachment.file.name))
    assert get(url).status_code == 404


# --- Seen by staff and operators ------------------------------------------------------------------


def test_staff_see_pictures_of_it(viewer: Browser) -> None:
    drawn = BytesIO()
    Image.new("RGB", (40, 30), "green").save(drawn, "PNG")
    attachment = AttachmentFactory(name="photo.png", type="image/png", content=drawn.getvalue())
    html = viewer.get(reverse("admin:cases_attachment_look", args=[attachment.pk])).content.decode()
    assert html.count('<img src="data:image/webp;base64,') == 1
    stamp = viewer.get(reverse("admin:cases_attachment_stamp", args=[attachment.pk]))
    assert Image.open(BytesIO(stamp.content)).size == (40, 30)
    default_storage.delete(str(attachment.file.name))
    html = viewer.get(reverse("admin:cases_attachment_look", args=[attachment.pk])).content.decode()
    assert "The file can&#x27;t be loaded from the storage." in html


def test_operators_are_told_that_it_works_and_that_it_does_not(
    bucket: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    [finding] = doctor.files_can_be_kept(Examination(deep=False))
    assert (finding.level, finding.what) == (Level.OK, "a file was written, read by a presigned link, and deleted")
    assert health._write_and_delete() is None
    assert names_in(bucket) == []
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    settings.STORAGES = {**settings.STORAGES, "default": configured._file_storage("files")}
    assert health._write_and_delete() == "can't be written"
    assert "ClientError: An error occurred (403)" in caplog.text  # the operator learns why
    assert urlsplit(str(default_storage.url("x"))).query  # even then no link is a public one
