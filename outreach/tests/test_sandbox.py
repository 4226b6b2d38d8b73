"""The sandbox's routes: what an integrator plays the counterparty with."""

import base64
import json
from datetime import date, timedelta
from email import message_from_bytes
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client as Http

from cases.factories import ApiKeyFactory, CaseFactory, ClientFactory
from cases.models import Attachment, Case, Status
from cases.testing import run_due
from outreach.factories import FORM, Played
from outreach.models import InboundPayload

pytestmark = pytest.mark.django_db
PDF = b"%PDF-1.4\n\x00\xff an invoice"


@pytest.fixture
def key() -> Any:
    return ApiKeyFactory(is_test=True)


@pytest.fixture
def played(key: Any) -> Played:
    return Played.begin(client=key.client)


def post(key: Any, case: Case, route: str, body: Any = None, **more: Any) -> Any:
    content = "" if body is None else json.dumps(body)
    return Http().post(
        f"/sandbox/cases/{case.pk}/{route}",
        content,
        content_type="application/json",
        headers={"x-api-key": key.key},
        **more,
    )


def code(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def first_path(response: Any) -> str:
    assert code(response) == (400, "INVALID_REQUEST")
    return str(response.json()["error"]["details"][0]["path"])


def stored(attachment: Attachment) -> bytes:
    with attachment.file.open() as file:
        content: bytes = file.read()
    return content


# --- Reply ---


def test_a_reply_reaches_the_case_as_mail(key: Any, played: Played) -> None:
    response = post(key, played.case, "reply", {"text": "Which invoice?"})
    assert response.status_code == 202
    run_due()
    [message] = played.received
    assert response.json() == {
        "ok": True,
        "data": {"caseId": str(played.case.pk), "messageId": message.message_id},
    }
    assert (message.text, message.from_address, message.from_name) == (
        "Which invoice?",
        "ann@supplier.example",
        "Ann Supplier",
    )
    assert message.in_reply_to == played.mails[0]["messageId"]
    assert "> Kind regards" in message.full_text
    assert played.reload().status == Status.INPUT_NEEDED


def test_attachments_of_a_reply_are_stored(key: Any, played: Played) -> None:
    file = {"name": "invoice.pdf", "type": "application/pdf", "content": base64.b64encode(PDF).decode()}
    assert post(key, played.case, "reply", {"attachments": [file]}).status_code == 202
    run_due()
    attachment = Attachment.objects.get()
    assert (attachment.name, attachment.type, attachment.size) == ("invoice.pdf", "application/pdf", len(PDF))
    assert stored(attachment) == PDF


@pytest.mark.parametrize("route", ["reply", "out-of-office", "bounce", "complaint"])
def test_names_and_subjects_add_no_header_to_what_comes_back(key: Any, route: str) -> None:
    evil = "=?utf-8?q?Bob=0D=0AAuto-Submitted=3A_no=0D=0AX-Evil=3A_1?="
    played = Played.begin(
        client=key.client,
        goal={"objective": evil},
        sender_persona={"name": evil},
        counterparty={"address": "ann@supplier.example", "name": evil},
    )
    assert post(key, played.case, route, {"text": "x"} if route == "reply" else None).status_code == 202
    raw = bytes(InboundPayload.objects.get().body)
    assert "X-Evil" not in message_from_bytes(raw)
    assert b"\nX-Evil" not in raw


def test_html_alone_is_a_reply(key: Any, played: Played) -> None:
    assert post(key, played.case, "reply", {"html": "<p>Which <b>invoice</b>?</p>"}).status_code == 202
    run_due()
    assert played.received[0].text == "Which invoice?"


def test_a_reply_may_be_a_form_with_files_under_any_name(key: Any, played: Played) -> None:
    form = {
        "text": "Here you are.",
        "attachments": [SimpleUploadedFile("a.pdf", PDF, "application/pdf"), SimpleUploadedFile("b.txt", b"B", "x")],
        "scan": SimpleUploadedFile("c.bin", b"\x00\x01", ""),
    }
    response = Http().post(f"/sandbox/cases/{played.case.pk}/reply", form, headers={"x-api-key": key.key})
    assert response.status_code == 202
    run_due()
    [message] = played.received
    assert message.text == "Here you are."
    files = {attachment.name: stored(attachment) for attachment in message.attachments.all()}
    assert files == {"a.pdf": PDF, "b.txt": b"B", "c.bin": b"\x00\x01"}


def test_an_empty_file_is_a_file(key: Any, played: Played) -> None:
    file = {"name": "empty.txt", "type": "text/plain", "content": ""}
    assert post(key, played.case, "reply", {"attachments": [file]}).status_code == 202
    run_due()
    assert Attachment.objects.get().size == 0


FILE = {"name": "a", "type": "text/plain", "content": "QQ=="}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (None, ""),
        ({}, ""),
        ({"text": " \n", "html": "", "attachments": []}, ""),
        ({"text": 1}, "text"),
        ({"text": None}, "text"),
        ({"text": "a\u0000"}, "text"),
        ({"text": "\ud800"}, "text"),
        ({"text": "a" * 1_000_001}, "text"),
        ({"html": ["<p>"]}, "html"),
        ({"attachments": FILE}, "attachments"),
        ({"attachments": ["a"]}, "attachments[0]"),
        ({"attachments": [FILE] * 21}, "attachments"),
        ({"attachments": [FILE, {**FILE, "content": "QQ"}]}, "attachments[1].content"),
        ({"attachments": [{**FILE, "content": "Q Q=="}]}, "attachments[0].content"),
        ({"attachments": [{**FILE, "content": "ü==="}]}, "attachments[0].content"),
        ({"attachments": [{**FILE, "content": 1}]}, "attachments[0].content"),
        ({"attachments": [{**FILE, "type": "pdf"}]}, "attachments[0].type"),
        ({"attachments": [{**FILE, "type": "text/plain; charset=x"}]}, "attachments[0].type"),
        ({"attachments": [{**FILE, "name": "a\r\nBcc: x"}]}, "attachments[0].name"),
        ({"attachments": [{**FILE, "name": ""}]}, "attachments[0].name"),
        ({"attachments": [{"type": "text/plain", "content": ""}]}, "attachments[0].name"),
    ],
)
def test_what_is_no_reply_is_refused_with_its_path(key: Any, played: Played, body: Any, path: str) -> None:
    assert first_path(post(key, played.case, "reply", body)) == path
    run_due()
    assert played.received == []


def test_a_form_is_held_to_the_same_rules(key: Any, played: Played) -> None:
    address, headers = f"/sandbox/cases/{played.case.pk}/reply", {"x-api-key": key.key}
    many = [SimpleUploadedFile(f"{number}", b"x") for number in range(21)]
    assert first_path(Http().post(address, {"text": "  "}, headers=headers)) == ""
    assert first_path(Http().post(address, {"files": many}, headers=headers)) == "attachments"
    assert first_path(Http().post(address, {"text": "a\0"}, headers=headers)) == "text"
    broken = Http().post(address, b"--x\r\nno", content_type="multipart/form-data", headers=headers)
    assert code(broken) == (400, "INVALID_REQUEST")


def test_a_reply_may_be_larger_than_other_bodies_but_not_without_end(key: Any, played: Played) -> None:
    large = {"attachments": [{**FILE, "content": base64.b64encode(b"x" * 2_000_000).decode()}]}
    assert post(key, played.case, "reply", large).status_code == 202
    assert code(post(key, played.case, "reply", {"text": "x" * 35_000_000})) == (413, "PAYLOAD_TOO_LARGE")
    assert code(post(key, played.case, "bounce", {"x": "x" * 1_000_000})) == (413, "PAYLOAD_TOO_LARGE")
    form = {"file": SimpleUploadedFile("a", b"x" * 35_000_000)}
    too_large = Http().post(f"/sandbox/cases/{played.case.pk}/reply", form, headers={"x-api-key": key.key})
    assert code(too_large) == (413, "PAYLOAD_TOO_LARGE")


def test_other_media_types_are_refused(key: Any, played: Played) -> None:
    address, headers = f"/sandbox/cases/{played.case.pk}", {"x-api-key": key.key}
    xml = Http().post(f"{address}/reply", "<a/>", content_type="text/xml", headers=headers)
    form = Http().post(f"{address}/bounce", {"permanent": "false"}, headers=headers)
    assert (code(xml), code(form)) == ((415, "UNSUPPORTED_MEDIA_TYPE"), (415, "UNSUPPORTED_MEDIA_TYPE"))


def test_before_the_first_mail_there_is_nothing_to_answer(key: Any) -> None:
    case = CaseFactory(client=key.client)
    for route, body in (("reply", {"text": "x"}), ("bounce", None), ("complaint", None), ("out-of-office", None)):
        assert code(post(key, case, route, body)) == (409, "NOTHING_SENT_YET")


def test_mail_after_the_end_is_taken(key: Any, played: Played) -> None:
    assert post(key, played.case, "complaint").status_code == 202
    run_due()
    assert post(key, played.case, "reply", {"text": "Sorry, I clicked wrongly."}).status_code == 202
    run_due()
    assert played.reload().status == Status.FAILED
    assert [(message.text, message.is_after_end) for message in played.received[1:]] == [
        ("Sorry, I clicked wrongly.", True)
    ]


# --- Reports and absence ---


@pytest.mark.parametrize(
    ("body", "status", "result_status"),
    [
        (None, "FAILED", "BOUNCED"),
        ({}, "FAILED", "BOUNCED"),
        ({"permanent": True}, "FAILED", "BOUNCED"),
        ({"permanent": False}, "RUNNING", None),
    ],
)
def test_bounce(key: Any, played: Played, body: Any, status: str, result_status: str | None) -> None:
    response = post(key, played.case, "bounce", body)
    assert response.status_code == 202
    run_due()
    case = played.reload()
    assert (case.status, case.result_status) == (status, result_status)
    assert response.json()["data"]["messageId"] == played.received[0].message_id


def test_an_empty_form_is_an_empty_body(key: Any, played: Played) -> None:
    headers = {"x-api-key": key.key, "content-type": "application/x-www-form-urlencoded"}
    response = Http().post(
        f"/sandbox/cases/{played.case.pk}/bounce", "", "application/x-www-form-urlencoded", headers=headers
    )
    assert response.status_code == 202
    run_due()
    assert played.reload().result_status == "BOUNCED"


@pytest.mark.parametrize("route", ["bounce", "complaint", "out-of-office"])
@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [(b"{", "application/json", 400), (b"a", "text/plain", 415), (bytes(1_000_001), "application/json", 413)],
)
def test_a_body_that_is_not_needed_is_looked_at(
    key: Any, played: Played, route: str, body: bytes, content_type: str, status: int
) -> None:
    headers = {"x-api-key": key.key}
    response = Http().post(f"/sandbox/cases/{played.case.pk}/{route}", body, content_type, headers=headers)
    assert (response.status_code, response.json()["ok"]) == (status, False)
    assert InboundPayload.objects.count() == 0


def test_complaint(key: Any, played: Played) -> None:
    assert post(key, played.case, "complaint").status_code == 202
    run_due()
    assert played.reload().result_status == "COMPLAINED"


def test_out_of_office_moves_the_follow_up_to_the_day_of_return(key: Any, played: Played) -> None:
    until = (played.case.created_at + timedelta(days=30)).date()
    assert post(key, played.case, "out-of-office", {"until": until.isoformat()}).status_code == 202
    run_due()
    case = played.reload()
    assert case.status == Status.RUNNING
    assert case.next_action_at is not None
    assert case.next_action_at.date() == until


def test_out_of_office_in_other_words(key: Any, played: Played) -> None:
    assert post(key, played.case, "out-of-office", {"text": "Bin wandern."}).status_code == 202
    run_due()
    assert (played.received[0].text, played.received[0].purpose) == ("Bin wandern.", "MACHINE")
    assert played.reload().status == Status.RUNNING


@pytest.mark.parametrize(
    ("route", "body", "path"),
    [
        ("bounce", {"permanent": "true"}, "permanent"),
        ("bounce", {"permanent": 1}, "permanent"),
        ("bounce", {"permanent": None}, "permanent"),
        ("bounce", [], ""),
        ("out-of-office", {"until": "31.1.2027"}, "until"),
        ("out-of-office", {"until": "20270131"}, "until"),
        ("out-of-office", {"until": "2027-02-30"}, "until"),
        ("out-of-office", {"until": 2027}, "until"),
        ("out-of-office", {"until": None}, "until"),
        ("out-of-office", {"text": 1}, "text"),
        ("advance", None, "hours"),
        ("advance", {"hours": "1"}, "hours"),
        ("advance", {"hours": True}, "hours"),
        ("advance", {"hours": None}, "hours"),
        ("advance", {"hours": 0}, "hours"),
        ("advance", {"hours": -1}, "hours"),
        ("advance", {"hours": 87600.5}, "hours"),
    ],
)
def test_strict_types(key: Any, played: Played, route: str, body: Any, path: str) -> None:
    assert first_path(post(key, played.case, route, body)) == path


@pytest.mark.parametrize("until", [date.min, date.max])
def test_any_day_is_understood(key: Any, played: Played, until: date) -> None:
    assert post(key, played.case, "out-of-office", {"until": until.isoformat()}).status_code == 202
    run_due()
    assert played.reload().status == Status.RUNNING


# --- Time ---


def test_advance_brings_the_follow_up_nearer(key: Any, played: Played) -> None:
    before = played.reload().next_action_at
    assert before is not None
    response = post(key, played.case, "advance", {"hours": 71.5})
    assert response.status_code == 200
    planned = int(before.timestamp() * 1000) - int(71.5 * 3600 * 1000)
    assert response.json()["data"] == {"caseId": str(played.case.pk), "status": "RUNNING", "nextActionAt": planned}
    run_due()
    assert len(played.mails) == 1
    post(key, played.case, "advance", {"hours": 0.6})
    run_due()
    assert len(played.mails) == 2


def test_advance_shows_as_a_change_of_the_case(key: Any, played: Played) -> None:
    before = played.reload()
    post(key, played.case, "advance", {"hours": 1})
    assert played.reload().updated_at > before.updated_at
    assert played.case.version == before.version + 1


def test_advance_changes_nothing_where_nothing_waits(key: Any, played: Played) -> None:
    played.reply("Which one?")
    before = played.reload()
    response = post(key, played.case, "advance", {"hours": 1000})
    assert response.json()["data"]["nextActionAt"] == 253402300799999
    assert played.reload().updated_at == before.updated_at
    assert len(played.mails) == 1


def test_advance_ends_the_pause_after_a_failure(key: Any) -> None:
    case = CaseFactory(client=key.client, status=Status.CREATED)
    Case.objects.filter(pk=case.pk).update(
        retry_at=case.created_at + timedelta(hours=1), due_at=case.created_at + timedelta(hours=1)
    )
    run_due()
    assert not case.sandbox_mails.exists()
    updated_at = Case.objects.get().updated_at
    assert post(key, case, "advance", {"hours": 2}).status_code == 200
    assert Case.objects.get().updated_at == updated_at  # a pause is none of the client's business
    run_due()
    assert case.sandbox_mails.count() == 1


# --- The mailbox ---


def test_mailbox(key: Any, played: Played) -> None:
    played.wait(72)
    response = Http().get(f"/sandbox/cases/{played.case.pk}/mails", headers={"x-api-key": key.key})
    assert response.status_code == 200
    first, second = response.json()["data"]["mails"]
    [outreach, follow_up] = played.sent
    assert (first["messageId"], second["messageId"]) == (outreach.message_id, follow_up.message_id)
    assert first["from"] == f"Bob Buyer <case-{played.case.pk.hex}@sandbox.invalid>"
    assert (first["to"], first["subject"]) == ("Ann Supplier <ann@supplier.example>", "Ask for the invoice of March.")
    assert second["subject"] == "Re: Ask for the invoice of March."
    assert first["text"] == outreach.text
    assert abs(first["sentAt"] / 1000 - played.case.created_at.timestamp()) < 60
    assert f"\r\nMessage-ID: {outreach.message_id}\r\n" in first["raw"]


def test_the_mailbox_of_a_new_case_is_empty(key: Any) -> None:
    case = CaseFactory(client=key.client)
    response = Http().get(f"/sandbox/cases/{case.pk}/mails", headers={"x-api-key": key.key})
    assert response.json() == {"ok": True, "data": {"mails": []}}


def test_the_mailbox_shows_names_and_subjects_as_they_were_meant(key: Any) -> None:
    played = Played.begin(
        client=key.client,
        goal={"objective": "Bitte um Bestätigung für März – Stück 5"},
        sender_persona={"name": 'Jürgen, der "Große"'},
        counterparty={"address": "ann@supplier.example", "name": "Änne"},
    )
    [mail] = played.mails
    assert mail["subject"] == "Bitte um Bestätigung für März – Stück 5"
    assert mail["from"].startswith('"Jürgen, der \\"Große\\"" <case-')
    assert mail["to"] == "Änne <ann@supplier.example>"
    assert mail["raw"].partition("\r\n\r\n")[0].isascii()


# --- Who may ---

ROUTES = [
    ("post", "reply"),
    ("post", "bounce"),
    ("post", "complaint"),
    ("post", "out-of-office"),
    ("post", "advance"),
    ("get", "mails"),
]


@pytest.mark.parametrize(("method", "route"), ROUTES)
def test_who_may_play(played: Played, key: Any, method: str, route: str) -> None:
    def call(key: Any = None, case_id: Any = played.case.pk) -> tuple[int, str]:
        headers = {"x-api-key": key.key} if key else {}
        return code(getattr(Http(), method)(f"/sandbox/cases/{case_id}/{route}", headers=headers))

    assert call() == (401, "UNAUTHORIZED")
    assert call(ApiKeyFactory(client=key.client, is_test=True, is_active=False)) == (403, "FORBIDDEN")
    assert call(ApiKeyFactory(client=key.client)) == (403, "FORBIDDEN")
    assert call(ApiKeyFactory(is_test=True)) == (403, "FORBIDDEN")
    assert call(key, "00000000-0000-4000-8000-000000000000") == (404, "CASE_NOT_FOUND")
    assert call(key, "nonsense") == (404, "CASE_NOT_FOUND")
    assert call(key, CaseFactory(client=key.client, transport="email").pk) == (409, "NOT_A_SANDBOX_CASE")
    run_due("payload")
    assert (played.received, len(played.mails)) == ([], 1)


def test_a_live_key_is_told_why(played: Played, key: Any) -> None:
    response = post(ApiKeyFactory(client=key.client), played.case, "reply", {"text": "x"})
    assert response.json()["error"]["message"] == "The sandbox is for test keys."


def test_a_test_key_plays_sandbox_cases_of_live_keys_too() -> None:
    client = ClientFactory()
    played = Played.begin(client=client, is_test=False, result_schema=FORM)
    assert post(ApiKeyFactory(client=client, is_test=True), played.case, "reply", {"text": "?"}).status_code == 202


def test_unknown_routes_and_methods(played: Played, key: Any) -> None:
    address, headers = f"/sandbox/cases/{played.case.pk}", {"x-api-key": key.key}
    assert code(Http().get(address, headers=headers)) == (404, "NOT_FOUND")
    assert code(Http().post(f"{address}/reply/", headers=headers)) == (404, "NOT_FOUND")
    assert code(Http().get(f"{address}/reply", headers=headers)) == (405, "METHOD_NOT_ALLOWED")
    assert code(Http().post(f"{address}/mails", headers=headers)) == (405, "METHOD_NOT_ALLOWED")
