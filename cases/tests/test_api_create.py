"""POST /cases: what is accepted, what is refused, and that a refused case leaves nothing behind."""

import json
import uuid
from typing import Any

import pytest
from pytest_django import DjangoCaptureOnCommitCallbacks

from cases import services
from cases.errors import InvalidCase
from cases.factories import ApiKeyFactory
from cases.models import Case, Event
from cases.tests.conftest import VALID, Api, body_with, body_without, error_of

FULL = {
    "channel": "EMAIL",
    "goal": {"objective": "Get the invoice\nof March.", "knowledge": {"order": "4711", "n": [1, None]}, "own": 1.5},
    "counterparty": {
        "address": "Ann.A@Supplier.example",
        "name": "Ann Süpplier",
        "company": "Supplier Ltd",
        "timezone": "Europe/Zurich",
        "customData": {"tier": "gold", "": ""},
        "unknown": None,
    },
    "senderPersona": {"name": "Bob", "role": "Accounting", "company": "Buyer Inc", "tone": "brief", "extra": []},
    "clientReferenceId": "order-4711",
    "constraints": ["Never promise a date.", "Be\nbrief."],
    "language": "pt-BR",
    "maxAttempts": 0,
    "followUpDelayHours": 1,
    "resultSchema": {"type": "object", "properties": {"total": {"type": "number"}}},
    "clientWebhookUrl": "https://client.example/hook?x=1",
    "metadata": {"tenant": {"id": 7}},
    "unknown": "ignored",
}


def refused(api: Api, body: Any) -> list[dict[str, str]]:
    """The details of the 400 that this body gets; nothing is stored and nothing queued."""
    response = api.post("/cases", body)
    assert error_of(response) == (400, "INVALID_REQUEST")
    assert (Case.objects.count(), Event.objects.count()) == (0, 0)
    return response.json()["error"]["details"]  # type: ignore[no-any-return]


# --- Accepted ---


def test_a_case_is_created_and_due_at_once(
    api: Api, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[str] = []
    monkeypatch.setattr("cases.work.wake", woken.append)
    with django_capture_on_commit_callbacks(execute=True):
        response = api.post("/cases", VALID)
    case = Case.objects.get()
    assert response.status_code == 201
    assert response.json() == {"ok": True, "data": {"caseId": str(case.pk)}}
    assert uuid.UUID(response.json()["data"]["caseId"]).version == 4
    assert (case.status, case.attempt_count, case.max_attempts, case.follow_up_delay_hours) == ("CREATED", 0, 3, 72)
    assert (case.client, case.is_test, case.transport) == (api.key.client, True, "sandbox")
    assert case.due_at == case.created_at == case.updated_at
    assert case.messages.count() == 0  # nobody waited for mail
    assert woken == ["case"]
    [event] = case.events.all()
    assert (event.type, event.actor) == ("case.created", f"client {api.key.prefix}")


def test_every_field_is_kept_as_it_was_sent(api: Api) -> None:
    assert api.post("/cases", FULL).status_code == 201
    case = Case.objects.get()
    assert (case.goal, case.counterparty) == (FULL["goal"], FULL["counterparty"])
    assert (case.sender_persona, case.constraints) == (FULL["senderPersona"], FULL["constraints"])
    assert (case.client_reference_id, case.max_attempts, case.follow_up_delay_hours) == ("order-4711", 0, 1)
    assert (case.result_schema, case.metadata) == (FULL["resultSchema"], FULL["metadata"])
    assert case.client_webhook_url == "https://client.example/hook?x=1"
    assert case.language == "pt-BR"
    assert case.counterparty_address == "ann.a@supplier.example"


def test_what_was_not_given_is_kept_as_not_given(api: Api) -> None:
    api.post("/cases", VALID)
    case = Case.objects.get()
    optional = (case.client_reference_id, case.constraints, case.result_schema, case.client_webhook_url, case.metadata)
    assert (*optional, case.language) == (None, None, None, None, None, None)


def test_repeating_a_request_creates_a_second_case(api: Api) -> None:
    ids = {api.post("/cases", VALID).json()["data"]["caseId"] for _ in range(2)}
    assert len(ids) == Case.objects.count() == 2


def test_a_live_key_uses_the_transport_that_is_configured(api: Api, settings: Any) -> None:
    settings.OFFLOAD_TRANSPORT, settings.OFFLOAD_LIVE_CASES = "email", True
    api.key = ApiKeyFactory()
    api.post("/cases", VALID)
    case = Case.objects.get()
    assert (case.is_test, case.transport, case.our_address) == (False, "email", settings.OFFLOAD_MAIL_FROM)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("goal.knowledge", ""),
        ("goal.knowledge", "All you need."),
        ("goal.knowledge", {}),
        ("counterparty.company", ""),
        ("counterparty.timezone", "UTC"),
        ("counterparty.timezone", "America/Argentina/Buenos_Aires"),
        ("counterparty.customData", {}),
        ("senderPersona.tone", ""),
        ("clientReferenceId", "x" * 100_000),
        ("clientReferenceId", "order\r\n4711"),
        ("counterparty.company", "Supplier\nLtd"),
        ("counterparty.name", "x" * 300),
        ("counterparty.customData", {str(n): "" for n in range(1000)}),
        ("senderPersona.role", "x" * 100_000),
        ("senderPersona.company", "Buyer\nInc"),
        ("senderPersona.tone", "friendly\r\nbrief"),
        ("clientWebhookUrl", "https://client.example/" + "x" * 2000),
        ("constraints", []),
        ("constraints", ["x"] * 1000),
        ("language", "de"),
        ("language", "gsw"),
        ("language", "zh-Hant-TW"),
        ("language", "zh-cmn-Hans-CN"),
        ("language", "es-419"),
        ("language", "PT-br"),  # case does not matter: RFC 5646 §2.1.1
        ("language", "sl-rozaj-biske-1994"),
        ("language", "de-CH-u-co-phonebk"),
        ("language", "en-GB-x-formal"),
        ("maxAttempts", 3.0),  # JSON Schema: a number without a fraction is an integer
        ("maxAttempts", 2**31 - 1),
        ("followUpDelayHours", 2**31 - 1),
        ("resultSchema", {}),
        ("resultSchema", {"properties": {"a": {"type": "string", "pattern": r"^\p{L}+$"}}}),
        ("resultSchema", {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}),
        ("clientWebhookUrl", "http://client.example:8443/a%20b"),
        ("metadata", {}),
        ("unknown", None),
        ("unknown", [[[]]]),
    ],
)
def test_what_is_allowed_is_accepted(api: Api, path: str, value: Any) -> None:
    assert api.post("/cases", body_with(path, value)).status_code == 201


@pytest.mark.parametrize(
    ("address", "looked_up_as"),
    [
        ("Ann@Supplier.Example", "ann@supplier.example"),
        ("a.b+tag@sub.supplier.example", "a.b+tag@sub.supplier.example"),
        ("ann@bücher.example", "ann@xn--bcher-kva.example"),
        ("ann@mail.corp.local", "ann@mail.corp.local"),
        ("ann@supplier.test", "ann@supplier.test"),
        ("ann@supplier.invalid", "ann@supplier.invalid"),
        ("o'hara@supplier.example", "o'hara@supplier.example"),
    ],
)
def test_an_address_is_echoed_as_sent_and_looked_up_in_its_ascii_form(
    api: Api, address: str, looked_up_as: str
) -> None:
    assert api.post("/cases", body_with("counterparty.address", address)).status_code == 201
    case = Case.objects.get()
    assert (case.counterparty["address"], case.counterparty_address) == (address, looked_up_as)


# --- Refused, by its path ---


@pytest.mark.parametrize(
    "path",
    [
        "channel",
        "goal",
        "goal.objective",
        "counterparty",
        "counterparty.address",
        "counterparty.name",
        "senderPersona",
        "senderPersona.name",
    ],
)
def test_what_is_required_must_be_there(api: Api, path: str) -> None:
    assert refused(api, body_without(path)) == [{"path": path, "message": "This field is required."}]


@pytest.mark.parametrize(
    "path",
    [
        "channel",
        "goal",
        "goal.objective",
        "goal.knowledge",
        "counterparty",
        "counterparty.address",
        "counterparty.name",
        "counterparty.company",
        "counterparty.timezone",
        "counterparty.customData",
        "senderPersona",
        "senderPersona.name",
        "senderPersona.role",
        "senderPersona.company",
        "senderPersona.tone",
        "clientReferenceId",
        "constraints",
        "language",
        "maxAttempts",
        "followUpDelayHours",
        "resultSchema",
        "clientWebhookUrl",
        "metadata",
    ],
)
def test_null_is_not_an_absent_field(api: Api, path: str) -> None:
    assert refused(api, body_with(path, None)) == [{"path": path, "message": "This field may not be null."}]


TEXTS = [
    "goal.objective",
    "counterparty.address",
    "counterparty.name",
    "counterparty.company",
    "counterparty.timezone",
    "senderPersona.name",
    "senderPersona.role",
    "senderPersona.company",
    "senderPersona.tone",
    "clientReferenceId",
    "clientWebhookUrl",
    "language",
]
LINES = [  # what stands in the header of a mail, and what has a form of its own
    "counterparty.address",
    "counterparty.name",
    "counterparty.timezone",
    "senderPersona.name",
    "clientWebhookUrl",
    "language",
]
OBJECTS = ["goal", "counterparty", "senderPersona", "counterparty.customData", "resultSchema", "metadata"]
INTEGERS = ["maxAttempts", "followUpDelayHours"]


@pytest.mark.parametrize("value", [1, 0, 1.5, True, False, [], ["a"], {}, {"a": "b"}])
@pytest.mark.parametrize("path", TEXTS)
def test_only_a_string_is_a_string(api: Api, path: str, value: Any) -> None:
    assert refused(api, body_with(path, value)) == [{"path": path, "message": "Not a valid string."}]


@pytest.mark.parametrize("value", ["3", "", True, False, 1.5, [], {}, [3], "abc"])
@pytest.mark.parametrize("path", INTEGERS)
def test_only_an_integer_is_an_integer(api: Api, path: str, value: Any) -> None:
    assert refused(api, body_with(path, value)) == [{"path": path, "message": "A valid integer is required."}]


@pytest.mark.parametrize("value", ["", "{}", 1, True, [], [{}]])
@pytest.mark.parametrize("path", OBJECTS)
def test_only_an_object_is_an_object(api: Api, path: str, value: Any) -> None:
    assert [detail["path"] for detail in refused(api, body_with(path, value))] == [path]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("channel", "email", "Must be EMAIL or SMS."),
        ("channel", "", "Must be EMAIL or SMS."),
        ("channel", 1, "Must be EMAIL or SMS."),
        ("channel", ["EMAIL"], "Must be EMAIL or SMS."),
        ("channel", "SMS", "No transport is configured for SMS."),
        ("goal.objective", "", "This field may not be blank."),
        ("goal.objective", " \n\t", "This field may not be blank."),
        ("goal.knowledge", 7, "Neither a string nor an object."),
        ("goal.knowledge", ["a"], "Neither a string nor an object."),
        ("counterparty.name", "", "This field may not be blank."),
        ("counterparty.name", "x" * 301, "Ensure this field has no more than 300 characters."),
        ("senderPersona.name", "  ", "This field may not be blank."),
        ("senderPersona.name", "x" * 301, "Ensure this field has no more than 300 characters."),
        ("maxAttempts", -1, "Ensure this value is greater than or equal to 0."),
        ("maxAttempts", 2**31, "Ensure this value is less than or equal to 2147483647."),
        ("maxAttempts", 10**300, "Ensure this value is less than or equal to 2147483647."),
        ("followUpDelayHours", 0, "Ensure this value is greater than or equal to 1."),
        ("followUpDelayHours", 2**31, "Ensure this value is less than or equal to 2147483647."),
        ("constraints", "Be brief.", 'Expected a list of items but got type "str".'),
        ("constraints", {"a": "b"}, 'Expected a list of items but got type "dict".'),
    ],
)
def test_a_wrong_value_is_refused_by_its_path(api: Api, path: str, value: Any, message: str) -> None:
    assert refused(api, body_with(path, value)) == [{"path": path, "message": message}]


@pytest.mark.parametrize(
    ("path", "value", "at"),
    [
        ("constraints", ["a", 1], "constraints[1]"),
        ("constraints", [None], "constraints[0]"),
        ("constraints", ["a", ["b"]], "constraints[1]"),
        ("counterparty.customData", {"tier": 1}, "counterparty.customData.tier"),
        ("counterparty.customData", {"tier": None}, "counterparty.customData.tier"),
        ("counterparty.customData", {"tier": {"a": "b"}}, "counterparty.customData.tier"),
        ("counterparty.customData", {"tier": True}, "counterparty.customData.tier"),
    ],
)
def test_a_wrong_item_is_refused_by_its_own_path(api: Api, path: str, value: Any, at: str) -> None:
    assert [detail["path"] for detail in refused(api, body_with(path, value))] == [at]


@pytest.mark.parametrize("character", ["\r\nBcc: eve@evil.example", "\n", "\r", "\t", "\x1b", "\x7f", "\x85", "\u2028"])
@pytest.mark.parametrize("path", LINES)
def test_no_name_can_add_a_line(api: Api, path: str, character: str) -> None:
    [detail] = refused(api, body_with(path, f"a{character}b"))
    assert detail == {"path": path, "message": "Must not contain line breaks or other control characters."}


@pytest.mark.parametrize(
    "tag",
    [
        "German",
        "deutsch",
        "d",
        "de_CH",
        "de-",
        "-de",
        "de--CH",
        "de CH",
        " de",
        "de-CHE-1-",
        "de-C",
        "de-u",
        "de-x",
        "x-klingon",
        "i-klingon",
        "dé",
        "*",
        "de, en",
        "zh-TW-Hant",
    ],
)
def test_what_is_no_language_tag_is_refused(api: Api, tag: str) -> None:
    [detail] = refused(api, body_with("language", tag))
    assert detail == {"path": "language", "message": "Not a language tag (BCP 47), such as de, pt-BR or zh-Hant-TW."}


def test_a_language_tag_has_at_most_35_characters(api: Api) -> None:
    longest = "de-x-abcdefg-abcdefg-abcdefg-abcdef"
    assert len(longest) == 35
    assert api.post("/cases", body_with("language", longest)).status_code == 201
    Case.objects.all().delete()
    [detail] = refused(api, body_with("language", longest + "a"))
    assert detail == {"path": "language", "message": "Ensure this field has no more than 35 characters."}


@pytest.mark.parametrize(
    "address",
    [
        "ann",
        "ann@",
        "@supplier.example",
        "ann@supplier",
        "ann@@supplier.example",
        "ann@supplier..example",
        "ann supplier@supplier.example",
        " ann@supplier.example",
        "ann@supplier.example ",
        "Ann <ann@supplier.example>",
        "ann@supplier.example, eve@evil.example",
        "ann@[127.0.0.1]",
        '"ann"@supplier.example',
        "ann.@supplier.example",
        "ann@-supplier.example",
        "änn@supplier.example",
        "a" * 65 + "@supplier.example",
        "a" * 250 + "@b.example",
        "+41 79 123 45 67",
    ],
)
def test_what_is_no_address_is_refused(api: Api, address: str) -> None:
    for detail in refused(api, body_with("counterparty.address", address)):
        assert detail["path"] == "counterparty.address"


def test_without_a_transport_for_the_channel_its_address_is_not_judged(api: Api) -> None:
    body = {**body_with("counterparty.address", "+41791234567"), "channel": "SMS"}
    assert refused(api, body) == [{"path": "channel", "message": "No transport is configured for SMS."}]


@pytest.mark.parametrize(
    "zone",
    [
        "",
        "Nowhere/City",
        "europe/zurich",
        "CET+1",
        "+01:00",
        "../../etc/passwd",
        "/etc/localtime",
        "Europe",
        "posix/UTC",
        "localtime",
        "posixrules",
        "Factory",
    ],
)
def test_an_unknown_time_zone_is_refused(api: Api, zone: str) -> None:
    assert [detail["path"] for detail in refused(api, body_with("counterparty.timezone", zone))] == [
        "counterparty.timezone"
    ]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"properties": []},
        {"properties": {"a": {"pattern": "("}}},
        {"required": "total"},
        {"$ref": "https://evil.example/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"$schema": "https://evil.example/draft"},
        {"$schema": 7},
        {"$schema": "http://json-schema.org/draft-07/schema##"},
        {"$ref": "#"},
    ],
)
def test_a_schema_that_is_none_is_refused_and_nothing_is_fetched(api: Api, schema: Any) -> None:
    [detail] = refused(api, body_with("resultSchema", schema))
    assert detail["path"] == "resultSchema"
    assert detail["message"].startswith("Not a valid JSON Schema: ")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "client.example/hook",
        "//client.example/hook",
        "/hook",
        "ftp://client.example/hook",
        "javascript:alert(1)",
        "https://",
        "https:///hook",
        "http://client.example:0/",
        "http://client.example:99999/",
        "http://client.example:port/",
        "http://[::1/",
        "http://client.example/a b",
        "https://client.example/" + "x" * 2048,
    ],
)
def test_what_is_no_web_address_is_refused(api: Api, url: str) -> None:
    assert [detail["path"] for detail in refused(api, body_with("clientWebhookUrl", url))] == ["clientWebhookUrl"]


def test_a_channel_is_judged_by_the_check_that_settings_name(api: Api, settings: Any) -> None:
    settings.OFFLOAD_CHANNEL_CHECK = "cases.tests.test_api_create.refuse_channel"
    assert refused(api, VALID) == [{"path": "channel", "message": "No EMAIL, is_test True."}]
    api.key = ApiKeyFactory()
    assert refused(api, VALID) == [{"path": "channel", "message": "No EMAIL, is_test False."}]


def refuse_channel(channel: str, *, is_test: bool) -> None:
    raise InvalidCase(f"No {channel}, is_test {is_test}.")


def test_the_check_that_settings_name_has_its_say(api: Api, settings: Any) -> None:
    settings.OFFLOAD_WEBHOOK_URL_CHECK = "cases.tests.test_api_create.refuse_url"
    details = refused(api, body_with("clientWebhookUrl", "https://client.example/"))
    assert details == [{"path": "clientWebhookUrl", "message": "Not https://client.example/."}]


def refuse_url(url: str) -> None:
    raise InvalidCase(details=[{"path": "clientWebhookUrl", "message": f"Not {url}."}])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("channel", "x" * 900_000),
        ("counterparty.address", "x" * 900_000),
        ("counterparty.timezone", "x" * 900_000),
        ("counterparty.customData", {"x" * 900_000: 1}),
        ("resultSchema", {"type": "x" * 900_000}),
        ("resultSchema", {"$schema": "x" * 900_000}),
        ("resultSchema", {"$ref": "x" * 900_000}),
        ("clientWebhookUrl", "https://x.example/" + "x" * 900_000),
    ],
)
def test_a_refusal_is_short_however_long_the_fault(api: Api, path: str, value: Any) -> None:
    response = api.post("/cases", body_with(path, value))
    assert error_of(response) == (400, "INVALID_REQUEST")
    assert len(response.content) < 2000


def test_all_faults_are_told_at_once(api: Api) -> None:
    body = {
        "channel": "EMAIL",
        "goal": {"objective": ""},
        "counterparty": {"address": "nobody", "name": "A\nB"},
        "senderPersona": [],
        "maxAttempts": "3",
    }
    paths = [detail["path"] for detail in refused(api, body)]
    assert paths == ["goal.objective", "counterparty.address", "counterparty.name", "senderPersona", "maxAttempts"]


# --- Refused as a whole ---


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"", "channel"),
        (b"{", ""),
        (b"[]", ""),
        (b"null", ""),
        (b'{"a": NaN}', ""),
        (b"\xff\xfe{}", ""),
        (b'{"a":' * 50_000, ""),
        (b'{"metadata": ' + b'{"a":' * 70 + b"1" + b"}" * 71, "metadata" + ".a" * 63),
        (json.dumps(body_with("goal.objective", "a\x00b")).encode(), "goal.objective"),
        (json.dumps(body_with("metadata", {"a": ["\ud800"]})).encode(), "metadata.a[0]"),
        (json.dumps(body_with("counterparty.customData", {"a\x00": "b"})).encode(), "counterparty.customData"),
        (json.dumps(VALID).replace('"EMAIL"', '"EMAIL", "maxAttempts": 1e400').encode(), "maxAttempts"),
    ],
)
def test_what_can_not_be_read_or_stored_is_refused(api: Api, raw: bytes, path: str) -> None:
    assert refused(api, raw)[0]["path"] == path


def test_a_body_beyond_one_megabyte_is_too_large(api: Api) -> None:
    body = body_with("goal.objective", "x" * 1_000_000)
    assert error_of(api.post("/cases", body)) == (413, "PAYLOAD_TOO_LARGE")
    assert Case.objects.count() == 0
    assert api.post("/cases", body_with("goal.objective", "x" * 990_000)).status_code == 201


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_only_json_is_read(api: Api, content_type: str) -> None:
    assert error_of(api.post("/cases", VALID, content_type=content_type)) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert Case.objects.count() == 0


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_an_empty_body_of_another_type_is_of_another_type(api: Api, content_type: str) -> None:
    response = api.post("/cases", b"", CONTENT_TYPE=content_type)  # Django's client declares no type for no body
    assert error_of(response) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert error_of(api.post("/cases", b"")) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_another_method_is_not_allowed(api: Api, method: str) -> None:
    headers = {"x-api-key": api.key.key}  # type: ignore[attr-defined]
    response = getattr(api.client, method)("/cases", headers=headers)
    assert error_of(response) == (405, "METHOD_NOT_ALLOWED")


def test_a_failure_on_our_side_is_told_as_one_and_stores_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(services, "record", broken)
    response = api.post("/cases", VALID)
    assert error_of(response) == (500, "INTERNAL_ERROR")
    assert "disk" not in response.content.decode()
    assert Case.objects.count() == 0
