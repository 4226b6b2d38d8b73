"""GET /cases/{id}/attachments/{attachmentId}, and the link that it gives."""

import time
import uuid
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core import signing
from django.core.files.storage import default_storage
from storages.backends.s3 import S3Storage

from cases import downloads
from cases.factories import AttachmentFactory, CaseFactory
from cases.models import Attachment
from cases.payload_parts import attachment_metadata
from cases.tests.conftest import Api, error_of

CONTENT = b"%PDF-1.4\r\n\x00\xff an invoice"


@pytest.fixture
def attachment(api: Api) -> Attachment:
    return AttachmentFactory(message__case__client=api.key.client, content=CONTENT)


def link(api: Api, attachment: Attachment) -> dict[str, Any]:
    response = api.get(f"/cases/{attachment.message.case_id}/attachments/{attachment.pk}")
    assert response.status_code == 200
    return response.json()["data"]  # type: ignore[no-any-return]


def download(api: Api, url: str, **options: Any) -> Any:
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc) == ("http", "testserver")
    return api.client.get(parts.path, **options)


def test_its_metadata_and_a_link_for_15_minutes(api: Api, attachment: Attachment) -> None:
    asked_at = datetime.now(UTC)
    data = link(api, attachment)
    [metadata] = attachment_metadata(attachment.message.case)
    assert data == {**metadata, "downloadUrl": data["downloadUrl"], "expiresAt": data["expiresAt"]}
    expires_at = datetime.strptime(data["expiresAt"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert timedelta(seconds=898) < expires_at - asked_at <= timedelta(seconds=902)


def test_the_link_leads_to_our_public_address_whatever_host_was_asked(
    api: Api, attachment: Attachment, settings: Any
) -> None:
    settings.OFFLOAD_BASE_URL = "https://offload.example"
    assert link(api, attachment)["downloadUrl"].startswith("https://offload.example/files/")


def test_the_link_needs_no_key_and_gives_the_file_byte_for_byte(api: Api, attachment: Attachment) -> None:
    response = download(api, link(api, attachment)["downloadUrl"])
    assert response.status_code == 200
    assert b"".join(response.streaming_content) == CONTENT
    assert response["Content-Length"] == str(len(CONTENT))
    response.close()


@pytest.mark.parametrize(
    "type_", ["text/html", "image/svg+xml", "application/xml", "text/javascript", "application/pdf"]
)
def test_no_browser_runs_or_shows_it(api: Api, type_: str) -> None:
    attachment = AttachmentFactory(
        message__case__client=api.key.client, type=type_, content=b"<script>alert(1)</script>"
    )
    with closing(download(api, link(api, attachment)["downloadUrl"])) as response:
        assert response["Content-Type"] == "application/octet-stream"
        assert response["Content-Disposition"] == 'attachment; filename="invoice.pdf"'
        assert response["Content-Security-Policy"] == "sandbox; default-src 'none'"
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize(
    ("name", "disposition"),
    [
        ('a "b" \\c.pdf', r'attachment; filename="a \"b\" _c.pdf"'),
        ("Rechnung März.pdf", "attachment; filename*=utf-8''Rechnung%20M%C3%A4rz.pdf"),
        ("../../etc/passwd", 'attachment; filename="_.._etc_passwd"'),
        ("a\r\nSet-Cookie: x=1.pdf", 'attachment; filename="a__Set-Cookie: x=1.pdf"'),
        ("invoice\u202efdp.exe", 'attachment; filename="invoice_fdp.exe"'),
        ("..", 'attachment; filename="attachment"'),
        ("", 'attachment; filename="attachment"'),
    ],
)
def test_its_name_is_that_of_a_file_and_adds_no_header(api: Api, name: str, disposition: str) -> None:
    attachment = AttachmentFactory(message__case__client=api.key.client, name=name)
    with closing(download(api, link(api, attachment)["downloadUrl"])) as response:
        assert response["Content-Disposition"] == disposition
        assert "Set-Cookie" not in response


def test_a_link_ends_after_15_minutes(api: Api, attachment: Attachment, monkeypatch: pytest.MonkeyPatch) -> None:
    url = link(api, attachment)["downloadUrl"]
    signed_at = time.time()
    monkeypatch.setattr("django.core.signing.time.time", lambda: signed_at + 898)
    with closing(download(api, url)) as response:
        assert response.status_code == 200
    monkeypatch.setattr("django.core.signing.time.time", lambda: signed_at + 902)
    assert error_of(download(api, url)) == (404, "NOT_FOUND")


def test_a_link_that_was_tampered_with_leads_nowhere(api: Api, attachment: Attachment) -> None:
    url = link(api, attachment)["downloadUrl"]
    token = url.rpartition("/")[2]
    pk, timestamp, signature = token.split(":")
    other = AttachmentFactory()
    forged = [
        token[:-1] + ("A" if token[-1] != "A" else "B"),
        f"{other.pk}:{timestamp}:{signature}",
        f"{pk}:{timestamp[:-1]}z:{signature}",
        signing.TimestampSigner(salt="something else").sign(str(attachment.pk)),
        str(attachment.pk),
        "",
        "%00",
        "é:é:é",
    ]
    for wrong in forged:
        assert download(api, f"http://testserver/files/{wrong}").status_code in {400, 404}


def test_a_link_to_what_is_gone_leads_nowhere(api: Api, attachment: Attachment, caplog: Any) -> None:
    url = link(api, attachment)["downloadUrl"]
    default_storage.delete(str(attachment.file.name))
    assert error_of(download(api, url)) == (404, "NOT_FOUND")
    assert str(attachment.pk) in caplog.text  # a file that is lost is for the operator to know
    attachment.delete()
    assert error_of(download(api, url)) == (404, "NOT_FOUND")


def test_a_link_is_only_to_be_read(api: Api, attachment: Attachment) -> None:
    path = urlsplit(link(api, attachment)["downloadUrl"]).path
    assert error_of(api.client.post(path)) == (405, "METHOD_NOT_ALLOWED")


@pytest.mark.parametrize("which", ["unknown", "malformed", "of another case", "after the end"])
def test_what_is_not_on_the_case_is_no_attachment(api: Api, which: str) -> None:
    case = CaseFactory(client=api.key.client)
    ids: dict[str, Callable[[], Any]] = {
        "unknown": uuid.uuid4,
        "malformed": lambda: "1",
        "of another case": lambda: AttachmentFactory(message__case__client=api.key.client).pk,
        "after the end": lambda: AttachmentFactory(message__case=case, message__is_after_end=True).pk,
    }
    response = api.get(f"/cases/{case.pk}/attachments/{ids[which]()}")
    assert error_of(response) == (404, "ATTACHMENT_NOT_FOUND")


def test_the_case_is_looked_at_first(api: Api, attachment: Attachment) -> None:
    assert error_of(api.get(f"/cases/{uuid.uuid4()}/attachments/{attachment.pk}")) == (404, "CASE_NOT_FOUND")
    other = AttachmentFactory()
    path = f"/cases/{other.message.case_id}/attachments/{other.pk}"
    assert error_of(api.get(path)) == (403, "FORBIDDEN")


def test_a_bucket_gives_the_link_itself(api: Api, attachment: Attachment, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {
        "bucket_name": "files",
        "access_key": "key",
        "secret_key": "secret",
        "region_name": "eu-central-1",
        "endpoint_url": "http://127.0.0.1:1",
        "signature_version": "s3v4",
    }
    storage = S3Storage(**options)
    monkeypatch.setattr(Attachment._meta.get_field("file"), "storage", storage)
    attachment.name = "März.html"
    attachment.save()
    url = urlsplit(link(api, attachment)["downloadUrl"])
    query = parse_qs(url.query)
    assert (url.netloc, url.path) == ("127.0.0.1:1", f"/files/{attachment.file.name}")
    assert query["X-Amz-Expires"] == ["900"]
    assert query["response-content-disposition"] == ["attachment; filename*=utf-8''M%C3%A4rz.html"]
    assert query["response-content-type"] == ["application/octet-stream"]
    assert timedelta(seconds=900) == downloads.LIFETIME
