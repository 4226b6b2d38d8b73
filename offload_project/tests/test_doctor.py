"""`manage.py doctor`: what it finds in deployments that lack something, and that it gives nothing away."""

import json
import os
import smtplib
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from django_otp.plugins.otp_totp.models import TOTPDevice
from pytest_django import Settings
from pytest_httpserver import HTTPServer

from cases import database, doctor
from cases.examination import Examination, Finding, Level, findings
from cases.factories import ApiKeyFactory, CaseFactory, ClientFactory
from cases.models import Case, Heartbeat
from offload_project import doctor as project_doctor
from outreach import doctor as outreach_doctor
from outreach import fingerprints
from outreach.factories import InboundPayloadFactory
from outreach.transports import TRANSPORTS
from webhooks import doctor as webhooks_doctor
from webhooks import signing
from webhooks.models import Endpoint

pytestmark = pytest.mark.django_db
Check = Callable[[Examination], Any]


def found(check: Check, *, deep: bool = False) -> list[tuple[str, str]]:
    return [(finding.level.name, finding.what) for finding in check(Examination(deep=deep))]


def run(*arguments: str) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("doctor", *arguments, stdout=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


@pytest.fixture
def no_dns(settings: Settings) -> None:
    settings.OFFLOAD_DOCTOR_CHECKS = [
        path for path in settings.OFFLOAD_DOCTOR_CHECKS if path != "webhooks.doctor.names_are_resolved"
    ]


# --- The command ---


def of_levels(*levels: Level) -> Check:
    return lambda examination: (Finding(level, "x", f"is {level.name}", "Mend it.") for level in levels)


@pytest.mark.parametrize(
    ("levels", "code"), [([], 0), ([Level.OK], 0), ([Level.WARN, Level.OK], 1), ([Level.FAIL, Level.WARN], 2)]
)
def test_the_exit_code_is_the_worst_finding(
    levels: list[Level], code: int, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OFFLOAD_DOCTOR_CHECKS = ["cases.doctor.disk_has_room"]
    monkeypatch.setattr(doctor, "disk_has_room", of_levels(*levels))
    exit_code, text = run()
    assert exit_code == code
    assert text.splitlines() == [f"{level.name:<4}  x: is {level.name}. Mend it." for level in levels]
    assert [entry["level"] for entry in json.loads(run("--json")[1])] == [level.name for level in levels]


def test_a_check_that_breaks_is_a_finding_and_the_others_run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(examination: Examination) -> Any:
        raise RuntimeError("postgres://user:a-password@db")

    monkeypatch.setattr(doctor, "files_can_be_kept", broken)
    settings.OFFLOAD_DOCTOR_CHECKS = ["cases.doctor.files_can_be_kept", "cases.doctor.disk_has_room"]
    first, second = findings(Examination())
    assert (first.level, first.about, first.what) == (
        Level.FAIL,
        "files can be kept",
        "could not be examined: RuntimeError",
    )
    assert second.about == "disk"


def test_it_never_prints_a_secret(settings: Settings, no_dns: None) -> None:
    settings.SECRET_KEY_FALLBACKS = ["an-earlier-key-of-the-service"]
    settings.OPENAI_API_KEY, settings.OFFLOAD_MODEL = "sk-model-secret", "m"
    settings.OPENAI_BASE_URL = "http://127.0.0.1:9/v1"
    key = ApiKeyFactory()
    secret = signing.new_secret(key.client)
    text = run()[1] + run("--json")[1]
    secrets = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS, settings.OPENAI_API_KEY, key.key, secret]
    assert [value for value in secrets if value in text] == []
    assert len(text.splitlines()) > 10


def test_every_finding_that_is_not_well_says_what_to_do(no_dns: None) -> None:
    assert [finding for finding in findings(Examination()) if finding.level and not finding.remedy] == []


# --- Settings and people ---


def test_settings_that_are_unsafe(settings: Settings) -> None:
    settings.DEBUG, settings.ALLOWED_HOSTS, settings.OFFLOAD_RATE_PER_MINUTE = True, ["*"], 0
    levels = found(project_doctor.settings_are_safe)
    assert ("FAIL", "DEBUG is on: errors show secrets to strangers") in levels
    assert ("WARN", "served over plain HTTP") in levels
    assert ("WARN", "ALLOWED_HOSTS takes any host") in levels
    assert ("WARN", "keys have no rate limit") in levels


def test_a_weak_key_is_told_over_https(settings: Settings) -> None:
    settings.HTTPS, settings.SECRET_KEY = True, "short"
    said = [what for level, what in found(project_doctor.settings_are_safe) if level == "WARN"]
    assert [what for what in said if what.startswith("security.W009")]
    assert "short" not in "".join(said).replace("shorter", "")


def test_somebody_who_can_do_most_needs_a_second_factor(settings: Settings) -> None:
    assert found(project_doctor.people_are_in_order)[0][1] == "nobody can answer questions in the admin"
    root = User.objects.create_superuser("root")
    assert found(project_doctor.people_are_in_order) == [("WARN", "without a second factor: root")]
    TOTPDevice.objects.create(user=root, confirmed=False)
    assert found(project_doctor.people_are_in_order)[0][0] == "WARN"
    TOTPDevice.objects.update(confirmed=True)
    assert found(project_doctor.people_are_in_order)[0][0] == "OK"


# --- Below the cases ---


def test_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    level, what = found(doctor.database_is_fit)[0]
    assert (level, what.partition(" ")[2]) == ("OK", "answers, all migrations are applied")
    monkeypatch.setattr("django.db.migrations.executor.MigrationExecutor.migration_plan", lambda self, nodes: [1, 2])
    assert found(doctor.database_is_fit)[0] == ("FAIL", "2 migrations are pending")


def test_the_storage(no_dns: None, monkeypatch: pytest.MonkeyPatch, media_root: Path) -> None:
    assert found(doctor.files_can_be_kept) == [("OK", "a file was written, read and deleted")]
    assert [path for path in media_root.rglob("*") if path.is_file()] == []
    monkeypatch.setattr(default_storage, "save", lambda *_: (_ for _ in ()).throw(PermissionError))
    [finding] = [f for f in findings(Examination()) if f.about == "files can be kept"]
    assert finding.what == "could not be examined: PermissionError"


def test_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LOW_DISK_BYTES", 10**18)
    assert found(doctor.disk_has_room)[0][0] == "WARN"


def test_workers_of_several_machines_do_not_share_sqlite() -> None:
    if database.is_server():
        return
    now = database.now()
    for name in ("one:1", "one:2", "two:1"):
        Heartbeat.objects.create(name=name, started_at=now, finished_at=now)
    assert ("FAIL", "workers of 2 machines use SQLite") in found(doctor.database_is_fit)


def test_work_without_a_worker() -> None:
    CaseFactory(created_at=database.now() - timedelta(hours=1))
    broker, worker, clock, due = found(doctor.work_is_done)
    assert broker == ("OK", "answers; 0 wake-ups wait")
    assert worker == ("FAIL", "none has finished anything for 60 s")
    assert clock == ("FAIL", "none has looked for due work for 60 s")
    assert due[0] == "FAIL"
    assert due[1].startswith("a row has been due for 36")


def test_a_log_of_text_is_warned_of_but_at_a_desk(settings: Settings) -> None:
    warned = "the log is text, whose tracebacks may quote mails"
    settings.OFFLOAD_LOG_FORMAT = "text"
    settings.AT_A_DESK = True
    assert ("WARN", warned) not in found(project_doctor.settings_are_safe)
    settings.AT_A_DESK = False
    assert ("WARN", warned) in found(project_doctor.settings_are_safe)
    settings.OFFLOAD_LOG_FORMAT = "json"
    assert ("WARN", warned) not in found(project_doctor.settings_are_safe)


def test_doctor_fails_for_waiting_work_when_readyz_does_and_warns_before(settings: Settings) -> None:
    CaseFactory(created_at=database.now() - timedelta(minutes=2))
    assert found(doctor.work_is_done)[3][0] == "WARN"  # /readyz is content for five minutes
    settings.OFFLOAD_READY_OLDEST_DUE_SECONDS = 119
    assert found(doctor.work_is_done)[3][0] == "FAIL"
    settings.OFFLOAD_READY_OLDEST_DUE_SECONDS = 0
    assert found(doctor.work_is_done)[3][0] == "WARN"
    settings.OFFLOAD_READY_OLDEST_DUE_SECONDS = 130
    Case.objects.update(due_at=database.now() - timedelta(seconds=50))
    assert found(doctor.work_is_done)[3] == ("OK", "none waits")


def test_work_that_is_done() -> None:
    now = database.now()
    Heartbeat.objects.create(name="host-1", started_at=now, finished_at=now)
    Heartbeat.objects.create(name="clock host-1", role="clock", started_at=now, finished_at=now)
    CaseFactory()  # due this very moment
    assert found(doctor.work_is_done)[1:3] == [("OK", "1 alive"), ("OK", "1 alive")]
    assert [level for level, _ in found(doctor.work_is_done)] == ["OK", "OK", "OK", "OK"]
    Heartbeat.objects.filter(role="clock").update(finished_at=now - timedelta(seconds=61))
    assert found(doctor.work_is_done)[2] == ("FAIL", "none has looked for due work for 60 s")


def test_a_clock_is_no_worker_of_another_machine() -> None:
    now = database.now()
    Heartbeat.objects.create(name="one:1", started_at=now, finished_at=now)
    Heartbeat.objects.create(name="clock one:1", role="clock", started_at=now, finished_at=now)
    assert [what for _, what in found(doctor.database_is_fit) if "machines" in what] == []


def test_rows_that_do_not_get_on() -> None:
    assert found(project_doctor.rows_get_on) == [("OK", "none")]
    long_ago = database.now() - timedelta(hours=1)
    for _ in range(2):
        InboundPayloadFactory(state="FAILED", due_at=None, received_at=long_ago)
    CaseFactory(created_at=long_ago)
    assert found(project_doctor.rows_get_on) == [("WARN", "3 do not get on (1 case, 2 payload)")]


def test_files_without_a_row(media_root: Path) -> None:
    default_storage.save("enclosures/1/2", ContentFile(b"left over"))
    assert found(project_doctor.files_have_rows) == [("OK", "each has its row")]  # it may be of a request under way
    os.utime(media_root / "enclosures/1/2", (0, 0))
    assert found(project_doctor.files_have_rows) == [("WARN", "1 have no row")]
    assert (media_root / "enclosures/1/2").exists()


def test_keys() -> None:
    assert found(doctor.keys_are_in_order) == [("WARN", "there is no client")]
    client = ClientFactory(name="Acme")
    assert found(doctor.keys_are_in_order) == [("WARN", "no key is usable")]
    now = database.now()
    soon = ApiKeyFactory(client=client, expires_at=now + timedelta(days=3))
    old = ApiKeyFactory(client=client, last_used_at=now - timedelta(days=91))
    type(old).objects.filter(pk=old.pk).update(created_at=now - timedelta(days=200))
    assert found(doctor.keys_are_in_order) == [
        ("WARN", f"{soon} of Acme expires on {soon.expires_at:%Y-%m-%d}"),
        ("WARN", "1 usable keys were not used for 90 days"),
        ("OK", "2 usable"),
    ]


# --- Mail, model, webhooks ---


def test_mail_that_cannot_leave(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(outreach_doctor.mail_can_leave) == [
        ("WARN", "no transport is configured: only test keys can post cases")
    ]
    settings.OFFLOAD_TRANSPORT = "pigeon"
    assert found(outreach_doctor.mail_can_leave)[0][0] == "FAIL"

    class Examined:
        @staticmethod
        def check(examination: Examination) -> Any:
            yield Finding(Level.FAIL, "mail", "the loft is empty", "Get pigeons.")

    settings.OFFLOAD_LIVE_CASES = True
    monkeypatch.setitem(TRANSPORTS, "pigeon", Examined)
    assert found(outreach_doctor.mail_can_leave) == [("FAIL", "the loft is empty")]


def test_mail_by_a_server_that_is_not_there(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.OFFLOAD_TRANSPORT, settings.OFFLOAD_LIVE_CASES = "email", True
    assert found(outreach_doctor.mail_can_leave) == [("OK", f"email by locmem, from {settings.OFFLOAD_MAIL_FROM}")]

    def refuse(self: Any) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("django.core.mail.backends.locmem.EmailBackend.open", refuse)
    assert found(outreach_doctor.mail_can_leave) == [("FAIL", "the server does not let us in: ConnectionRefusedError")]


def test_agentmail_that_does_not_know_the_key(settings: Settings, httpserver: HTTPServer) -> None:
    settings.OFFLOAD_TRANSPORT, settings.OFFLOAD_LIVE_CASES = "agentmail", True
    settings.AGENTMAIL_API_KEY, settings.AGENTMAIL_INBOX = "am_secret", "us@agentmail.to"
    settings.AGENTMAIL_BASE_URL = httpserver.url_for("")
    httpserver.expect_request("/v0/inboxes/us@agentmail.to").respond_with_json({"message": "no"}, status=403)
    assert found(outreach_doctor.mail_can_leave) == [
        ("FAIL", "AgentMail does not open the inbox (status 403)"),
        ("FAIL", "AgentMail's events are not taken: there is no secret"),
    ]


def test_live_mail_without_a_way_in(settings: Settings) -> None:
    assert found(outreach_doctor.mail_can_come) == []  # the sandbox needs none
    settings.OFFLOAD_TRANSPORT = "email"
    nothing = "nothing is configured that takes answers, and none has come for 30 days"
    assert found(outreach_doctor.mail_can_come) == [("FAIL", nothing)]
    InboundPayloadFactory(source="smtp", received_at=database.now() - timedelta(days=31))
    InboundPayloadFactory(source="sandbox")
    assert found(outreach_doctor.mail_can_come) == [("FAIL", nothing)]
    settings.IMAP_URL = "imaps://u:imap_password@h/INBOX"
    settings.ANYMAIL = {"WEBHOOK_SECRET": "u:anymail_password"}
    known = "by IMAP_URL and ANYMAIL_WEBHOOK_SECRET; none has come in the last 30 days"
    assert found(outreach_doctor.mail_can_come) == [("OK", known)]
    settings.IMAP_URL, settings.ANYMAIL = "", {}
    payload = InboundPayloadFactory(source="pipe")
    came = f"the last one came by pipe at {payload.received_at:%Y-%m-%d %H:%M} UTC"
    assert found(outreach_doctor.mail_can_come) == [("OK", came)]


def test_agentmail_beside_another_transport_needs_its_secret(settings: Settings) -> None:
    settings.AGENTMAIL_API_KEY = "am_secret"
    assert found(outreach_doctor.mail_can_come) == [("FAIL", "AgentMail's events are not taken: there is no secret")]
    settings.AGENTMAIL_WEBHOOK_SECRET = ["whsec_x"]
    assert found(outreach_doctor.mail_can_come) == []


def test_a_key_without_which_erased_people_are_not_told_again(settings: Settings) -> None:
    assert found(outreach_doctor.erased_people_are_told_again) == []
    fingerprints.fingerprint("ann@x.example")
    assert found(outreach_doctor.erased_people_are_told_again) == []
    settings.SECRET_KEY = "another-key-that-has-encrypted-nothing"
    said = "those of erased people can't be read: no mail is sent to anybody"
    assert found(outreach_doctor.erased_people_are_told_again) == [("FAIL", said)]


def test_parked_endpoints() -> None:
    assert found(webhooks_doctor.endpoints_are_served) == [("OK", "none is parked")]
    now, client = database.now(), ClientFactory(name="Acme")
    Endpoint.objects.create(client=client, origin="https://b.example:443", created_at=now)
    Endpoint.objects.create(client=client, origin="https://a.example:443", created_at=now, parked_at=now)
    said = "1 are parked, such as https://a.example of Acme; 0 events are kept for them"
    assert found(webhooks_doctor.endpoints_are_served) == [("WARN", said)]


def test_staff_notices(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(outreach_doctor.staff_are_told) == [("WARN", "nobody is told of questions")]
    settings.OFFLOAD_STAFF_NOTICES = ["ann@acme.example"]
    assert found(outreach_doctor.staff_are_told)[0][0] == "OK"

    def refuse(self: Any) -> None:
        raise smtplib.SMTPAuthenticationError(535, b"no")

    monkeypatch.setattr("django.core.mail.backends.locmem.EmailBackend.open", refuse)
    assert found(outreach_doctor.staff_are_told) == [("FAIL", "EMAIL_URL: SMTPAuthenticationError")]


@pytest.mark.parametrize(("status", "level"), [(200, "OK"), (401, "FAIL"), (500, "WARN")])
def test_the_models_server(status: int, level: str, settings: Settings, httpserver: HTTPServer) -> None:
    settings.OFFLOAD_MODEL, settings.OPENAI_BASE_URL = "m", httpserver.url_for("/v1")
    httpserver.expect_request("/v1/models").respond_with_json({"data": []}, status=status)
    assert [found(outreach_doctor.model_answers)[0][0]] == [level]
    assert [request.path for request, _ in httpserver.log] == ["/v1/models"]


def test_only_a_deep_look_asks_the_model(settings: Settings, httpserver: HTTPServer) -> None:
    settings.OFFLOAD_MODEL, settings.OPENAI_BASE_URL = "m", httpserver.url_for("/v1")
    httpserver.expect_request("/v1/chat/completions", method="POST").respond_with_json({})
    assert found(outreach_doctor.model_answers, deep=True) == [("OK", "m: answers")]


def test_secrets_of_another_secret_key(settings: Settings) -> None:
    client = ClientFactory(name="Acme")
    signing.new_secret(client)
    assert found(webhooks_doctor.secrets_can_be_read) == [("OK", "1, all readable")]
    settings.SECRET_KEY = "another-key-that-has-encrypted-nothing"
    assert found(webhooks_doctor.secrets_can_be_read) == [("FAIL", "unreadable for 1 clients, such as Acme")]


def test_names_and_networks(settings: Settings, network_refusals: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda *_: (_ for _ in ()).throw(OSError("no DNS")))
    settings.OFFLOAD_WEBHOOK_ALLOW_CIDRS = ["10.0.0.0/8", "10.1.2.0/24"]
    assert found(webhooks_doctor.names_are_resolved) == [
        ("WARN", "the name example.com is not resolved"),
        ("WARN", "10.0.0.0/8 is wide open to clients' URLs"),
    ]
