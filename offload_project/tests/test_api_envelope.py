"""One envelope for every answer, one table of errors, and a parser that lets nothing through that can't be stored."""

import json
from collections.abc import Sequence
from contextlib import closing
from io import BytesIO
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404
from django.test import Client, override_settings
from django.urls import path
from rest_framework import exceptions, serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cases.errors import CaseNotFound, IllegalTransition
from offload_project import api
from offload_project.wsgi import application

# --- A small API that fails in every way ---

FAILURES: dict[str, Exception] = {
    "validation": exceptions.ValidationError({"counterparty": {"address": ["Not an address."]}}),
    "parse": exceptions.ParseError(),
    "unauthenticated": exceptions.NotAuthenticated(),
    "unknown-key": exceptions.AuthenticationFailed("Unknown key."),
    "forbidden": exceptions.PermissionDenied(),
    "django-forbidden": PermissionDenied(),
    "not-found": exceptions.NotFound(),
    "django-not-found": Http404("No Case matches the given query."),
    "not-acceptable": exceptions.NotAcceptable(),
    "throttled": exceptions.Throttled(wait=2.5),
    "suspicious": SuspiciousOperation("internals"),
    "case": CaseNotFound(),
    "illegal": IllegalTransition("case 7: COMPLETED -> RUNNING"),
    "bug": ZeroDivisionError("internals"),
}


class Open(APIView):
    authentication_classes: Sequence[type[BaseAuthentication]] = ()
    permission_classes = ()


class Guarded(Open):
    class Anybody(BaseAuthentication):
        def authenticate(self, request: Request) -> None:
            raise exceptions.NotAuthenticated("Who are you?")

        def authenticate_header(self, request: Request) -> str:
            return "x-api-key"

    authentication_classes = (Anybody,)

    def get(self, request: Request) -> Response:
        return Response({})


class Failing(Open):
    def get(self, request: Request, name: str) -> Response:
        raise FAILURES[name]


class Echo(Open):
    def post(self, request: Request) -> Response:
        return Response(request.data)


class SmallUpload(Open):
    parser_classes = (MultiPartParser,)

    def post(self, request: Request) -> Response:
        return Response({"fields": len(request.data)})


def failing_page(request: Any) -> Any:
    raise FAILURES[request.GET["with"]]


urlpatterns = [
    path("fail/<name>", Failing.as_view()),
    path("echo", Echo.as_view()),
    path("guarded", Guarded.as_view()),
    path("upload", SmallUpload.as_view()),
    path("page", failing_page),
    path("admin/page", failing_page),
]
handler400, handler403 = api.bad_request, api.permission_denied
handler404, handler500 = api.not_found, api.server_error

pytestmark = pytest.mark.urls(__name__)


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


def post(client: Client, body: bytes, content_type: str = "application/json") -> Any:
    return client.post("/echo", body, content_type=content_type)


def details(response: Any) -> list[dict[str, str]]:
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["code"] == "INVALID_REQUEST"
    return error["details"]  # type: ignore[no-any-return]


# --- Out ---


def test_success_is_wrapped_in_compact_utf8(client: Client) -> None:
    response = post(client, '{"name": "Zoë", "n": [1, null]}'.encode())
    assert response.content == '{"ok":true,"data":{"name":"Zoë","n":[1,null]}}'.encode()
    assert response["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("name", "status", "code", "message"),
    [
        ("validation", 400, "INVALID_REQUEST", "counterparty.address: Not an address."),
        ("parse", 400, "INVALID_REQUEST", "Malformed request."),
        ("unauthenticated", 401, "UNAUTHORIZED", "Authentication credentials were not provided."),
        ("unknown-key", 401, "UNAUTHORIZED", "Unknown key."),
        ("forbidden", 403, "FORBIDDEN", "You do not have permission to perform this action."),
        ("django-forbidden", 403, "FORBIDDEN", "You may not do that."),
        ("not-found", 404, "NOT_FOUND", "Not found."),
        ("django-not-found", 404, "NOT_FOUND", "There is nothing at this address."),
        ("throttled", 429, "RATE_LIMITED", "Request was throttled. Expected available in 3 seconds."),
        ("suspicious", 400, "INVALID_REQUEST", "The request is not valid."),
        ("case", 404, "CASE_NOT_FOUND", "There is no such case."),
    ],
)
def test_the_table_of_errors(client: Client, name: str, status: int, code: str, message: str) -> None:
    response = client.get(f"/fail/{name}")
    body = response.json()
    assert response.status_code == status
    assert body["ok"] is False
    assert body["error"]["code"] == code
    assert body["error"]["message"] == message
    assert body.keys() == {"ok", "error"}


@pytest.mark.parametrize("name", ["bug", "illegal", "not-acceptable"])
def test_what_nobody_foresaw_is_logged_and_not_told(
    client: Client, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    response = client.get(f"/fail/{name}")
    assert response.status_code == 500
    assert response.json() == {"ok": False, "error": {"code": "INTERNAL_ERROR", "message": api.MESSAGES[500]}}
    assert any(record.exc_info and record.exc_info[1] is FAILURES[name] for record in caplog.records)


def test_throttled_says_when_to_come_back(client: Client) -> None:
    assert client.get("/fail/throttled")["Retry-After"] == "3"


@pytest.mark.parametrize("method", ["get", "post"])
def test_who_you_are_comes_before_what_you_may_call(client: Client, method: str) -> None:
    response = getattr(client, method)("/guarded")
    assert (response.status_code, response.json()["error"]["code"]) == (401, "UNAUTHORIZED")
    assert response["WWW-Authenticate"] == "x-api-key"


@pytest.mark.parametrize("method", ["put", "get", "trace", "delete"])
def test_a_wrong_method_names_the_right_ones(client: Client, method: str) -> None:
    response = getattr(client, method)("/echo")
    assert (response.status_code, response.json()["error"]["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert response["Allow"] == "POST, OPTIONS"


def test_options_names_the_methods_and_nothing_else(client: Client) -> None:
    response = client.options("/echo")
    assert (response.json(), response["Allow"]) == ({"ok": True, "data": {}}, "POST, OPTIONS")


def test_accept_is_ignored(client: Client) -> None:
    response = client.get("/fail/case", headers={"accept": "text/html"})
    assert response.json()["error"]["code"] == "CASE_NOT_FOUND"
    assert client.post("/echo?format=api", {}, content_type="application/json").status_code == 200


def test_errors_are_flattened_to_paths() -> None:
    class Person(serializers.Serializer[Any]):
        address = serializers.EmailField()

    class Case(serializers.Serializer[Any]):
        counterparty = Person()
        constraints = serializers.ListField(child=serializers.CharField())
        people = Person(many=True)
        customData = serializers.DictField(child=serializers.CharField())

        def validate(self, attrs: Any) -> Any:
            raise serializers.ValidationError("Never valid.")

    wrong = {
        "counterparty": {"address": "x"},
        "constraints": ["a", []],
        "people": [{"address": "a@b.example"}, {}],
        "customData": {"some_key": {}},
    }
    case = Case(data=wrong)
    assert not case.is_valid()
    assert api.flatten(case.errors) == [
        {"path": "counterparty.address", "message": "Enter a valid email address."},
        {"path": "constraints[1]", "message": "Not a valid string."},
        {"path": "people[1].address", "message": "This field is required."},
        {"path": "customData.some_key", "message": "Not a valid string."},
    ]
    right = {
        "counterparty": {"address": "a@b.example"},
        "constraints": [],
        "people": [],
        "customData": {},
    }
    case = Case(data=right)
    assert not case.is_valid()
    assert api.flatten(case.errors) == [{"path": "", "message": "Never valid."}]


def test_details_may_be_given_as_such(client: Client) -> None:
    given = [{"path": "resultSchema", "message": "Not a JSON Schema."}, {"path": "goal", "message": "Empty."}]
    response = api.exception_handler(exceptions.ValidationError(given), {})
    error = json.loads(response.content)["error"]
    assert error["details"] == given
    assert error["message"] == "resultSchema: Not a JSON Schema."


# --- In ---


def test_the_body_must_be_json(client: Client) -> None:
    response = post(client, b"a=b", "application/x-www-form-urlencoded")
    assert (response.status_code, response.json()["error"]["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert post(client, b"{}", "application/json; charset=utf-8").status_code == 200
    assert post(client, b"{}", "text/plain").status_code == 415


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b" ", "The body is not valid JSON: Expecting value (at character 1)."),
        (b'{"a": 1', "The body is not valid JSON: Expecting ',' delimiter (at character 7)."),
        (b"[]", "The body must be a JSON object."),
        (b'"text"', "The body must be a JSON object."),
        (b"null", "The body must be a JSON object."),
        (b'{"a": NaN}', "The body is not valid JSON: NaN is not a number."),
        (b'{"a": -Infinity}', "The body is not valid JSON: -Infinity is not a number."),
        (b'{"a": "\xff"}', "The body is not valid UTF-8 (at byte 7)."),
        (b'{"a": "\xed\xa0\x80"}', "The body is not valid UTF-8 (at byte 7)."),
        (
            b"\xef\xbb\xbf{}",
            "The body is not valid JSON: Unexpected UTF-8 BOM (decode using utf-8-sig) (at character 0).",
        ),
        (b'{"a": "\x01"}', "The body is not valid JSON: Invalid control character at (at character 7)."),
        (b'{"a":' * 100_000, "The body is nested deeper than 64 levels."),
        (b'{"a": ' + b"[" * 100_000, "The body is nested deeper than 64 levels."),
    ],
)
def test_a_malformed_body_is_refused_as_a_whole(client: Client, body: bytes, message: str) -> None:
    assert details(post(client, body)) == [{"path": "", "message": message}]


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        (rb'{"goal": {"objective": "a\u0000b"}}', "goal.objective", "NUL"),
        (rb'{"metadata": {"items": [0, {"name": "\ud83d"}]}}', "metadata.items[1].name", "surrogates"),
        (rb'{"metadata": {"a\u0000": 1}}', "metadata", "A key contains NUL"),
        (rb'{"\udc00": 1}', "", "A key contains NUL"),
        (b'{"a": [1e999]}', "a[0]", "too large"),
        (b'{"a": -1' + b"0" * 309 + b"}", "a", "too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "a", "too large"),
        (b'{"a": 1' + b"0" * 400_000 + b"}", "a", "too large"),
        (b'{"a": ' + b"[" * 64 + b"]" * 64 + b"}", "a" + "[0]" * 63, "Nested deeper than 64"),
    ],
)
def test_what_can_not_be_stored_is_refused_by_its_path(client: Client, body: bytes, path: str, message: str) -> None:
    [detail] = details(post(client, body))
    assert detail["path"] == path
    assert message in detail["message"]


@pytest.mark.parametrize(
    ("body", "data"),
    [
        (rb'{"a": "\ud83d\ude00"}', {"a": "😀"}),
        (b'{"a": ' + b"[" * 63 + b"]" * 63 + b"}", None),
        (b'{"a": 1' + b"0" * 300 + b"}", {"a": 10**300}),
        (b'{"a": true, "b": 0.1, "c": -7}', {"a": True, "b": 0.1, "c": -7}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
    ],
)
def test_what_can_be_stored_is_let_through(client: Client, body: bytes, data: Any) -> None:
    response = post(client, body)
    assert response.status_code == 200
    assert data is None or response.json()["data"] == data


def test_many_faults_are_told_in_a_bounded_answer(client: Client) -> None:
    response = post(client, json.dumps({"a": ["\0"] * 10_000}).encode())
    assert len(details(response)) == 50


def body_of(size: int) -> bytes:
    return b'{"a": "' + b"x" * (size - 9) + b'"}'


def test_a_body_may_be_one_megabyte(client: Client) -> None:
    assert post(client, body_of(1_000_000)).status_code == 200
    response = post(client, body_of(1_000_001))
    assert (response.status_code, response.json()["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")


def test_no_more_is_read_than_needed_to_refuse() -> None:
    stream = BytesIO(bytes(1000))
    with pytest.raises(api.PayloadTooLarge):
        api.read_at_most(stream, 10)
    assert stream.tell() == 11


def wsgi_post(body: bytes, **environ: str) -> tuple[str, dict[str, Any]]:
    """What the WSGI application answers to a POST whose headers are as given, whatever the body is."""
    answered: list[str] = []
    request = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/echo",
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "CONTENT_TYPE": "application/json",
        "wsgi.input": BytesIO(body),
        "wsgi.url_scheme": "http",
        **environ,
    }
    chunks: Any = application(request, lambda *start: answered.append(start[0]))  # type: ignore[arg-type]
    return answered[0], json.loads(b"".join(chunks))


@pytest.mark.django_db  # Django looks at its connections around each WSGI request
def test_a_content_length_that_lies_does_no_harm() -> None:
    assert wsgi_post(b'{"a": 1}', CONTENT_LENGTH="7")[0] == "400 Bad Request"
    assert wsgi_post(b'{"a": 1}', CONTENT_LENGTH="999")[0] == "200 OK"
    assert wsgi_post(b'{"a": 1}', CONTENT_LENGTH="-5")[0] in {"200 OK", "400 Bad Request"}


# --- Outside of REST framework ---


@pytest.mark.parametrize("path", ["/nothing", "/nothing/", "/%ff%fe", "/echo/%2e%2e/x", "/%E0%A4%A"])
def test_an_unknown_route_needs_no_key(client: Client, path: str) -> None:
    for response in (client.get(path), client.post(path, {}, content_type="application/json")):
        assert (response.status_code, response.json()["error"]["code"]) == (404, "NOT_FOUND")


@pytest.mark.urls("offload_project.urls")
@pytest.mark.parametrize("path", ["/", "/admin", "/static", "/static/", "/static/nothing", "/static/cases/staff.css"])
@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
def test_what_can_only_be_read_says_so_in_the_envelope(path: str, method: str) -> None:
    response = getattr(Client(enforce_csrf_checks=True), method)(path)
    assert (response.status_code, response.json()["error"]["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert response["Allow"] == "GET, HEAD"


@pytest.mark.urls("offload_project.urls")
@pytest.mark.parametrize("method", ["get", "head"])
def test_the_root_leads_to_the_staff_pages(client: Client, method: str) -> None:
    for address in ("/", "/admin"):
        response = getattr(client, method)(address)
        assert (response.status_code, response["Location"]) == (302, "/admin/")


@pytest.mark.django_db  # Django looks at its connections when a file is closed
@pytest.mark.urls("offload_project.urls")
def test_a_static_file_can_be_read(client: Client) -> None:
    with closing(client.get("/static/cases/staff.css")) as style:
        assert (style.status_code, style["Content-Type"]) == (200, 'text/css; charset="utf-8"')


@pytest.mark.parametrize("address", ["/echo%00", "/echo?x=%00", "/nothing/%00"])
def test_a_nul_in_the_address_is_refused(client: Client, address: str) -> None:
    response = client.get(address)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("suspicious", 400, "INVALID_REQUEST"),
        ("django-forbidden", 403, "FORBIDDEN"),
        ("django-not-found", 404, "NOT_FOUND"),
        ("bug", 500, "INTERNAL_ERROR"),
    ],
)
def test_plain_views_fail_in_the_envelope_and_staff_pages_as_pages(
    client: Client, name: str, status: int, code: str
) -> None:
    response = client.get(f"/page?with={name}")
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    page = client.get(f"/admin/page?with={name}")
    assert (page.status_code, page["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert b"internals" not in response.content + page.content


def test_an_unknown_host_is_refused_in_the_envelope(client: Client) -> None:
    response = client.get("/echo", headers={"host": "evil.example"})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "INVALID_REQUEST")


@override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=1000)
def test_form_data_beyond_djangos_limit_is_too_large(client: Client) -> None:
    assert client.post("/upload", {"a": "b"}).json() == {"ok": True, "data": {"fields": 1}}
    response = client.post("/upload", {"a": "x" * 1001})
    assert (response.status_code, response.json()["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")
