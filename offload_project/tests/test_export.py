"""`manage.py export_case`: everything about a case, no credential, and no file that is half written or overwritten."""

import json
import signal
import uuid
import zipfile
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage

from cases import work
from cases.factories import ApiKeyFactory
from cases.models import ApiKey, Case
from offload_project.maintenance import export
from offload_project.tests.maintenance import CANARY, dump, interrupt, rich_case, run
from outreach.models import Suppression
from webhooks import signing
from webhooks.models import Attempt

pytestmark = [pytest.mark.engine, pytest.mark.django_db]


@pytest.fixture
def key() -> ApiKey:
    return ApiKeyFactory()


@pytest.fixture
def case(key: ApiKey) -> Case:
    signing.new_secret(key.client)
    case = rich_case(client=key.client)
    Attempt.objects.create(
        delivery=case.deliveries.get(event_type="case.completed"),
        number=1,
        started_at=work.now(),
        duration_ms=5,
        status=500,
        response_headers={"set-cookie": "session=cookie4711"},
        response_body="down",
    )
    Suppression.objects.create(address="x@y.example", reason="stop", note="said so", case=case, since=work.now())
    return case


def exported(case: Case, out: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """case.json, and the content of all members."""
    code, said = run("export_case", str(case.pk), "--out", str(out))
    assert code == 0, said
    with zipfile.ZipFile(out / f"case-{case.pk}.zip") as archive:
        assert archive.testzip() is None
        members = {name: archive.read(name) for name in archive.namelist()}
    return json.loads(members["case.json"]), members


def test_everything_is_in_it(case: Case, tmp_path: Path) -> None:
    before = dump()
    told, members = exported(case, tmp_path)
    assert dump() == before
    assert told["format"] == 1
    assert (told["case"]["id"], told["case"]["status"]) == (str(case.pk), "COMPLETED")
    assert told["case"]["result"] == {"deliveryDate": "14 December 2026"}
    assert told["case"]["counterparty"]["name"] == "Ann Heronby"
    assert [message["purpose"] for message in told["messages"]] == ["OUTREACH", "HUMAN", "REPLY", "HUMAN"]
    assert CANARY in told["messages"][1]["text"]
    assert told["questions"][0]["providedContext"] == f"Tell Ann Heronby: yes, {CANARY}."
    assert told["questions"][0]["proposal"] == {"reply": f"Dear Ann Heronby, {CANARY}."}
    assert told["questions"][0]["assignmentNote"] == f"Ann Heronby is waiting: {CANARY}."
    assert [line["type"] for line in told["timeline"]] == list(case.events.values_list("type", flat=True))
    assert [event["eventType"] for event in told["webhooks"]] == ["case.input_needed", "case.completed"]
    assert told["webhooks"][1]["body"]["data"]["result"] == {"deliveryDate": "14 December 2026"}
    assert told["webhooks"][1]["attempts"][0]["responseBody"] == "down"
    assert told["modelCalls"][0]["fault"] == CANARY
    assert told["suppressions"][0]["note"] == "said so"
    [file] = told["messages"][1]["files"]
    assert members[file["path"]] == CANARY.encode()
    assert members[told["enclosures"][0]["path"]] == b"ours"
    incoming = [message_from_bytes(members[mail["raw"]], policy=policy.SMTP) for mail in told["mailsAsTheyCame"]]
    assert [str(mail["From"]) for mail in incoming] == ["Ann Heronby <Ann@Supplier.example>"] * 2
    assert len([name for name in members if name.startswith("mails/out-")]) == 2
    named = {"case.json", file["path"], told["enclosures"][0]["path"]} | {m["raw"] for m in told["mailsAsTheyCame"]}
    assert {name for name in members if not name.startswith("mails/out-")} == named


def test_no_credential_is_in_it(case: Case, key: Any, tmp_path: Path) -> None:
    _, members = exported(case, tmp_path)
    everything = b"".join(members.values()).decode("latin-1")
    [secret] = signing.secrets_for(case.client)
    row = case.client.signing_secrets.get()
    credentials = [key.key, key.key_hash, secret, row.encrypted, "user:pass", case.client.pk.hex, "cookie4711"]
    assert [one for one in credentials if one in everything] == []
    assert "https://hooks.example.com/offload" in everything


def test_no_part_of_a_name_leads_anywhere(case: Case, tmp_path: Path) -> None:
    attachment = case.messages.exclude(attachments=None).get().attachments.get()
    attachment.name = "../../etc/pass wd\\..\\\u202exslx.exe"
    attachment.save()
    _, members = exported(case, tmp_path)
    [name] = [name for name in members if name.startswith("files/")]
    assert name == f"files/in-{attachment.pk}-etc_pass_wd_.._xslx.exe"


def test_what_is_there_is_not_overwritten(case: Case, tmp_path: Path) -> None:
    target = tmp_path / "mine.zip"
    target.write_text("precious")
    code, said = run("export_case", str(case.pk), "--out", str(target))
    assert (code, said) == (1, f"{target} is there already, and is not overwritten.\n")
    assert target.read_text() == "precious"
    assert list(tmp_path.glob(".*.part")) == []


def test_nor_what_comes_while_it_is_written(tmp_path: Path) -> None:
    def write() -> None:
        with export.new_file(tmp_path / "a.zip") as file:
            file.write(b"ours")
            (tmp_path / "a.zip").write_text("theirs")

    with pytest.raises(FileExistsError):
        write()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.zip", "theirs")]


def test_only_its_owner_may_read_it(case: Case, tmp_path: Path) -> None:
    exported(case, tmp_path)
    assert (tmp_path / f"case-{case.pk}.zip").stat().st_mode & 0o777 == 0o600


def test_a_file_that_the_storage_lacks_is_named(case: Case, tmp_path: Path) -> None:
    stored = str(case.enclosures.get().file.name)
    default_storage.delete(stored)
    code, said = run("export_case", str(case.pk), "--out", str(tmp_path))
    assert code == 0
    assert f"{case.enclosures.get().pk}-ours.txt: the storage does not have it." in said


def test_stopped_it_leaves_nothing(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = export._copy

    def interrupted(*arguments: Any) -> bool:
        interrupt(signal.SIGTERM)
        return copy(*arguments)

    monkeypatch.setattr(export, "_copy", interrupted)
    code, said = run("export_case", str(case.pk), "--out", str(tmp_path))
    assert (code, [path.name for path in tmp_path.iterdir()]) == (130, ["media"])
    assert "Stopped. No file was written." in said


@pytest.mark.parametrize("where", ["missing/dir", "missing/dir/a.zip"])
def test_a_place_that_is_not_there(case: Case, tmp_path: Path, where: str) -> None:
    code, said = run("export_case", str(case.pk), "--out", str(tmp_path / where))
    assert code == 1
    assert "can't be written: No such file or directory." in said


def test_an_unknown_case() -> None:
    unknown = uuid.uuid4()
    assert run("export_case", str(unknown)) == (1, f"There is no case {unknown}.\n")
