"""The two ways to be configured: everything from the environment, or nothing at a desk."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

ROOT = Path(__file__).parents[2]
PRODUCTION = {
    "SECRET_KEY": "k7#" + "".join(chr(33 + i % 90) for i in range(60)),
    "ALLOWED_HOSTS": "offload.example.com",
    "OFFLOAD_BASE_URL": "https://offload.example.com",
}


def run(*command: str, var: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the root with this environment and nothing else of ours."""
    bare = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**bare, "OFFLOAD_VAR_DIR": str(var), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def read(names: str, *, var: Path, **environment: str) -> list[Any]:
    """The named settings as a process with this environment sees them; its last line on stderr where it fails."""
    program = f"import json, offload_project.settings as s; print(json.dumps([{names}], default=str))"
    process = run("-c", program, var=var, **environment)
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)  # type: ignore[no-any-return]


@pytest.mark.parametrize("missing", sorted(PRODUCTION))
def test_production_says_what_to_set(tmp_path: Path, missing: str) -> None:
    process = run("manage.py", "check", var=tmp_path, **{**PRODUCTION, missing: ""})
    assert process.returncode == 1
    assert process.stderr.splitlines()[-1] == (
        f"django.core.exceptions.ImproperlyConfigured: {missing} is not set. In production set SECRET_KEY, "
        "ALLOWED_HOSTS and OFFLOAD_BASE_URL; at a desk run `make desk` (or `make run`), which needs no configuration."
    )


@pytest.mark.parametrize("name", ["OFFLOAD_NOTICE_DIGEST_MINUTES", "OFFLOAD_NOTICE_MAIL_HOURS"])
def test_a_length_that_is_no_number_is_named(tmp_path: Path, name: str) -> None:
    process = run("manage.py", "check", var=tmp_path, **PRODUCTION, **{name: "soon"})
    assert process.returncode == 1
    assert f"ImproperlyConfigured: {name} is 'soon'; give a number, such as " in process.stderr.splitlines()[-1]


def test_quiet_hours_that_can_not_be_read_keep_a_worker_from_starting(tmp_path: Path) -> None:
    process = run("manage.py", "worker", var=tmp_path, **PRODUCTION, OFFLOAD_NOTICE_QUIET_HOURS="20:00-07:00")
    assert process.returncode == 1
    assert "OFFLOAD_NOTICE_QUIET_HOURS is '20:00-07:00': name one time zone" in process.stderr


def test_a_desk_needs_nothing_but_its_key(tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text("made-at-the-desk\n")
    names = "s.SECRET_KEY, s.DEBUG, s.OFFLOAD_BASE_URL, s.ALLOWED_HOSTS, s.HTTPS, s.OFFLOAD_TRANSPORT"
    expected = [
        "made-at-the-desk",
        False,
        "http://localhost:8000",
        ["localhost", "127.0.0.1", "[::1]"],
        False,
        "sandbox",
    ]
    assert read(names, var=tmp_path) == expected
    assert read("s.OFFLOAD_BASE_URL", var=tmp_path, PORT="9000") == ["http://localhost:9000"]


def test_a_desk_key_never_weakens_production(tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text("made-at-the-desk\n")
    assert read("s.AT_A_DESK, s.SECRET_KEY, s.SECURE_SSL_REDIRECT", var=tmp_path, **PRODUCTION) == [
        False,
        PRODUCTION["SECRET_KEY"],
        True,
    ]


def test_production_settings_pass_djangos_deployment_check(tmp_path: Path) -> None:
    process = run("manage.py", "check", "--deploy", "--fail-level", "WARNING", var=tmp_path, **PRODUCTION)
    assert process.returncode == 0, process.stderr
    assert "no issues" in process.stdout


def test_probes_are_answered_over_plain_http_in_production(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert Client().get("/healthz").status_code == 200
    response = Client().get("/cases")
    assert (response.status_code, response["Location"]) == (301, "https://testserver/cases")


def test_a_proxys_word_counts_only_where_one_is_announced(tmp_path: Path) -> None:
    assert read("s.SECURE_PROXY_SSL_HEADER", var=tmp_path, **PRODUCTION) == [None]
    behind = read("s.SECURE_PROXY_SSL_HEADER", var=tmp_path, **PRODUCTION, OFFLOAD_BEHIND_PROXY="true")
    assert behind == [["HTTP_X_FORWARDED_PROTO", "https"]]


def test_sqlite_is_durable_and_waits_its_turn(tmp_path: Path) -> None:
    [database] = read("s.DATABASES['default']", var=tmp_path, **PRODUCTION)
    assert database["NAME"] == str(tmp_path / "offload.sqlite3")
    assert database["CONN_MAX_AGE"] == 60
    assert database["OPTIONS"] == {
        "transaction_mode": "IMMEDIATE",
        "timeout": 30,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL",
    }


def test_postgres_gets_a_pool_as_large_as_the_work(tmp_path: Path) -> None:
    url = "postgres://u:p%40ss@db.example:5433/offload?sslmode=require"
    [database] = read("s.DATABASES['default']", var=tmp_path, **PRODUCTION, DATABASE_URL=url, OFFLOAD_CONCURRENCY="4")
    assert database["ENGINE"] == "django.db.backends.postgresql"
    assert [database[name] for name in ("HOST", "PORT", "USER", "PASSWORD")] == ["db.example", 5433, "u", "p@ss"]
    assert database["CONN_MAX_AGE"] == 0
    assert database["OPTIONS"] == {"sslmode": "require", "pool": {"min_size": 1, "max_size": 12, "timeout": 10}}


def test_other_databases_are_refused(tmp_path: Path) -> None:
    process = run("manage.py", "check", var=tmp_path, **PRODUCTION, DATABASE_URL="mysql://u@h/d")
    assert "DATABASE_URL must begin with sqlite:/// or postgres://." in process.stderr


@pytest.mark.parametrize(
    ("broker", "options"),
    [
        ("orm", {"orm": "default", "poll": 0.2}),
        ("redis://cache.example:6379/1", {"redis": "redis://cache.example:6379/1"}),
        ("sqs://eu-west-1", {"sqs": {"aws_region": "eu-west-1", "receive_message_wait_time_seconds": 1}}),
    ],
)
def test_the_broker_is_chosen_by_url(tmp_path: Path, broker: str, options: dict[str, Any]) -> None:
    [cluster] = read("s.Q_CLUSTER", var=tmp_path, **PRODUCTION, Q_BROKER=broker)
    assert {name: cluster[name] for name in options} == options
    assert not {"orm", "redis", "sqs"} & cluster.keys() - options.keys()
    assert (cluster["timeout"], cluster["retry"], cluster["scheduler"]) == (300, 360, False)


def test_a_bucket_takes_the_attachments(tmp_path: Path) -> None:
    assert read("s.STORAGES['default']", var=tmp_path, **PRODUCTION) == [
        {"BACKEND": "django.core.files.storage.FileSystemStorage"}
    ]
    s3 = {"AWS_STORAGE_BUCKET_NAME": "mail", "AWS_S3_ENDPOINT_URL": "http://127.0.0.1:9"}
    program = (
        "import django; django.setup(); "
        "from django.core.files.storage import default_storage as d; "
        "print(d.bucket_name, d.endpoint_url, d.querystring_expire, d.client_config.signature_version)"
    )
    process = run("-c", program, var=tmp_path, **PRODUCTION, **s3, DJANGO_SETTINGS_MODULE="offload_project.settings")
    assert process.stdout.split() == ["mail", "http://127.0.0.1:9", "900", "s3v4"], process.stderr


def test_the_transport_is_what_is_configured(tmp_path: Path) -> None:
    def transport(**environment: str) -> Any:
        """Its name, and whether live keys may use it: the sandbox only where it was asked for."""
        return read("s.OFFLOAD_TRANSPORT, s.OFFLOAD_LIVE_CASES", var=tmp_path, **PRODUCTION, **environment)

    assert transport() == ["sandbox", False]
    assert transport(OFFLOAD_TRANSPORT="") == ["sandbox", False]
    assert transport(EMAIL_URL="smtp://mail.example:25") == ["email", True]
    assert transport(EMAIL_URL="smtp://mail.example:25", AGENTMAIL_API_KEY="am_x") == ["agentmail", True]
    assert transport(AGENTMAIL_API_KEY="am_x", OFFLOAD_TRANSPORT="sandbox") == ["sandbox", True]


def test_every_answer_carries_a_policy_without_inline_scripts(client: Client) -> None:
    policy = client.get("/healthz")["Content-Security-Policy"]
    assert {part.strip() for part in policy.split(";")} >= {"default-src 'self'", "frame-ancestors 'none'"}
    assert "unsafe" not in policy
    docs = {part.strip() for part in client.get("/docs")["Content-Security-Policy"].split(";")}
    assert "style-src 'self' 'unsafe-inline'" in docs
    assert not any(part.startswith("script-src") for part in docs)


def test_tests_run_with_defaults_only() -> None:
    assert settings.OFFLOAD_CONCURRENCY == 32
    assert settings.OPENAI_API_KEY == ""
    assert settings.DEBUG is False


def test_mail_goes_out_by_smtp_or_by_a_provider(tmp_path: Path) -> None:
    names = "s.OFFLOAD_TRANSPORT, s.EMAIL_BACKEND, s.EMAIL_TIMEOUT, s.EMAIL_HOST, s.EMAIL_PORT, s.ANYMAIL"
    smtp = read(names, var=tmp_path, **PRODUCTION, EMAIL_URL="smtp+tls://u:p%40ss@mail.example:587")
    backend = "outreach.transports.smtp.EmailBackend"
    assert smtp == ["email", backend, 20.0, "mail.example", 587, {"REQUESTS_TIMEOUT": 20.0}]
    esp = {"ANYMAIL_ESP": "postmark", "ANYMAIL_POSTMARK_SERVER_TOKEN": "t", "ANYMAIL_WEBHOOK_SECRET": "a:b"}
    names = "s.OFFLOAD_TRANSPORT, s.EMAIL_BACKEND, s.ANYMAIL['POSTMARK_SERVER_TOKEN'], s.DATA_UPLOAD_MAX_MEMORY_SIZE"
    assert read(names, var=tmp_path, **PRODUCTION, **esp) == [
        "email",
        "anymail.backends.postmark.EmailBackend",
        "t",
        40_000_000,
    ]
    process = run("manage.py", "check", "--fail-level", "WARNING", var=tmp_path, **PRODUCTION, **esp)
    assert process.returncode == 0, process.stderr
    process = run("manage.py", "check", var=tmp_path, **PRODUCTION, **esp, EMAIL_URL="smtp://h")
    assert "EMAIL_URL and ANYMAIL_ESP are two ways to send mail; set one of them." in process.stderr


def test_each_check_has_ids_of_its_own() -> None:
    """SILENCED_SYSTEM_CHECKS goes by id: it must never silence the error of another check."""
    ids: dict[str, set[str]] = {}
    for file in Path(settings.BASE_DIR).glob("*/checks.py"):
        for function in ast.walk(ast.parse(file.read_text())):
            if isinstance(function, ast.FunctionDef):
                for found in re.findall(r'"(\w+\.[EW]\d{3})"', ast.unparse(function).replace("'", '"')):
                    ids.setdefault(found, set()).add(function.name)
    assert {"outreach.E001", "cases.E001", "webhooks.E001"} <= ids.keys()
    assert {found: names for found, names in ids.items() if len(names) > 1} == {}


@pytest.mark.parametrize(
    ("environment", "error"),
    [
        ({"OFFLOAD_MAIL_FROM": "nobody"}, "outreach.E020"),
        ({"OFFLOAD_REPLY_ADDRESS": "a+b@ours.example"}, "outreach.E020"),
        ({"OFFLOAD_REPLY_ADDRESS": f"{'x' * 24}@ours.example"}, "outreach.E021"),
        ({"ANYMAIL_ESP": "pigeon"}, "outreach.E022"),
    ],
)
def test_addresses_and_providers_that_can_not_work_are_told_at_start(
    tmp_path: Path, environment: dict[str, str], error: str
) -> None:
    process = run("manage.py", "check", var=tmp_path, **PRODUCTION, **environment)
    assert process.returncode == 1
    assert error in process.stderr
