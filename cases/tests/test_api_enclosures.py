"""Files that are given along with a case: what is taken, what is refused, and that a refusal leaves nothing behind."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from cases import services, work
from cases.enclosures import MAX_FILE_BYTES, MAX_TOTAL_BYTES, GivenFile
from cases.factories import ApiKeyFactory
from cases.models import Case, Enclosure
from cases.tests.conftest import VALID, Api, error_of

PDF = b"%PDF-1.4\n%a form"


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def given(content: bytes = PDF, name: str = "form.pdf", type_: str = "application/pdf") -> dict[str, str]:
    return {"name": name, "type": type_, "content": encoded(content)}


def with_files(*files: Any) -> dict[str, Any]:
    return {**VALID, "attachments": list(files)}


def stored_in(media_root: Path) -> list[Path]:
    return [path for path in media_root.rglob("*") if path.is_file()]


def faults(api: Api, media_root: Path, body: Any) -> list[str]:
    response = api.post("/cases", body)
    assert error_of(response) == (400, "INVALID_REQUEST")
    assert (Case.objects.count(), Enclosure.objects.count(), stored_in(media_root)) == (0, 0, [])
    return [detail["path"] for detail in response.json()["error"]["details"]]


def test_files_are_kept_with_the_case_in_their_order(api: Api, media_root: Path) -> None:
    response = api.post("/cases", with_files(given(), given(b"a,b\n1,2\n", "../../rows.csv", "text/csv")))
    assert response.status_code == 201
    first, second = Enclosure.objects.all()
    assert (str(first.case_id), first.name, first.type, first.size) == (
        response.json()["data"]["caseId"],
        "form.pdf",
        "application/pdf",
        len(PDF),
    )
    assert (second.name, second.type, second.declared_type) == ("rows.csv", "text/csv", "text/csv")
    with first.file.open() as stored:
        assert stored.read() == PDF
    assert len(stored_in(media_root)) == 2
    shown = api.get(f"/cases/{first.case_id}").json()["data"]
    assert shown["attachments"] == []  # those are the ones that were received


def test_the_type_is_told_by_the_bytes(api: Api) -> None:
    api.post("/cases", with_files(given(b"<html><script>1</script></html>", "form.pdf", "application/pdf")))
    enclosed = Enclosure.objects.get()
    assert (enclosed.type, enclosed.declared_type) == ("text/html", "application/pdf")


@pytest.mark.parametrize(
    ("files", "path"),
    [
        ("form.pdf", "attachments"),
        (None, "attachments"),
        ([given() for _ in range(6)], "attachments"),
        ([given(), {"name": "a", "type": "text/plain"}], "attachments[1].content"),
        ([{**given(), "content": "!"}], "attachments[0].content"),
        ([{**given(), "content": 1}], "attachments[0].content"),
        ([{**given(), "name": ""}], "attachments[0].name"),
        ([{**given(), "name": "a\r\nBcc: eve@evil.example"}], "attachments[0].name"),
        ([{**given(), "type": "application/pdf; name=x"}], "attachments[0].type"),
        ([given(), "form.pdf"], "attachments[1]"),
    ],
)
def test_what_is_no_file_is_refused(api: Api, media_root: Path, files: Any, path: str) -> None:
    assert path in faults(api, media_root, {**VALID, "attachments": files})


def test_each_file_and_all_together_have_a_limit(api: Api, media_root: Path) -> None:
    assert faults(api, media_root, with_files(given(b"x" * (MAX_FILE_BYTES + 1)))) == ["attachments[0].content"]
    half = b"x" * (MAX_TOTAL_BYTES // 2)
    assert faults(api, media_root, with_files(given(half), given(half), given(b"y"))) == ["attachments"]
    assert api.post("/cases", with_files(given(half), given(half))).status_code == 201


def test_the_limit_of_the_body_leaves_the_files_out(api: Api, media_root: Path) -> None:
    half = given(b"x" * (MAX_TOTAL_BYTES // 2))
    body = {**with_files(half, half), "metadata": {"filling": ""}}
    room = 1_000_000 - (len(json.dumps(body)) - 2 * len(half["content"]))
    body["metadata"] = {"filling": "m" * (room + 1)}
    assert error_of(api.post("/cases", body)) == (413, "PAYLOAD_TOO_LARGE")
    assert (Case.objects.count(), stored_in(media_root)) == (0, [])
    body["metadata"] = {"filling": "m" * room}
    assert api.post("/cases", body).status_code == 201


def test_other_routes_take_no_more_than_before(api: Api) -> None:
    api.post("/cases", VALID)
    body = {"inputRequestId": "1", "providedContext": "m" * 1_000_001}
    assert error_of(api.post(f"/cases/{Case.objects.get().pk}/input", body)) == (413, "PAYLOAD_TOO_LARGE")


def test_a_case_that_can_not_be_stored_leaves_no_file_behind(
    db: None, media_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: Any, **__: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr(work, "wake_after_commit", cut_off)
    key = ApiKeyFactory(is_test=True)
    fields: dict[str, Any] = {
        "channel": "EMAIL",
        "goal": {"objective": "x"},
        "counterparty": {"address": "a@b.example", "name": "A"},
        "sender_persona": {"name": "B"},
    }
    with pytest.raises(ConnectionError):
        services.create_case(key, files=[GivenFile("a.txt", "text/plain", b"a")], **fields)
    assert (Case.objects.count(), Enclosure.objects.count(), stored_in(media_root)) == (0, 0, [])
