"""All settings, and the only reader of the environment.

Two ways to be configured. In production the environment says everything, and SECRET_KEY, ALLOWED_HOSTS and
OFFLOAD_BASE_URL are required. At a desk nothing is set: `make` targets write a key to `var/secret_key`, and where that
file exists and SECRET_KEY is not set, the rest defaults to this machine over plain HTTP.

Lengths of time are in seconds; tests shorten them through the environment of the processes they start.
"""

import socket
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

env = environ.Env()

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(env("OFFLOAD_VAR_DIR", default=str(BASE_DIR / "var"))).absolute()

# --- Who we are: required in production, made at a desk ---

DESK_KEY = VAR_DIR / "secret_key"
AT_A_DESK = not env("SECRET_KEY", default="") and DESK_KEY.exists()


def _required(name: str) -> str:
    """The variable's value, or ImproperlyConfigured with what to do about it."""
    value = str(env(name, default=""))
    if not value:
        raise ImproperlyConfigured(
            f"{name} is not set. In production set SECRET_KEY, ALLOWED_HOSTS and OFFLOAD_BASE_URL; "
            "at a desk run `make desk` (or `make run`), which needs no configuration."
        )
    return value


def _number(name: str, default: float) -> float:
    """The variable as a number, or ImproperlyConfigured that names it."""
    try:
        return float(env(name, default=default))
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is {env(name)!r}; give a number, such as {default:g}.") from error


DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = DESK_KEY.read_text().strip() if AT_A_DESK else _required("SECRET_KEY")
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])

# Encrypt clients' secrets in the database, the first one; without any, SECRET_KEY does. Others are old ones.
OFFLOAD_ENCRYPTION_KEYS = env.list("OFFLOAD_ENCRYPTION_KEYS", default=[])

if AT_A_DESK:
    ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
    OFFLOAD_BASE_URL = env("OFFLOAD_BASE_URL", default=f"http://localhost:{env.int('PORT', default=8000)}").rstrip("/")
else:
    ALLOWED_HOSTS = [host.strip() for host in _required("ALLOWED_HOSTS").split(",")]
    OFFLOAD_BASE_URL = _required("OFFLOAD_BASE_URL").rstrip("/")

if urlsplit(OFFLOAD_BASE_URL).scheme not in {"http", "https"} or not urlsplit(OFFLOAD_BASE_URL).hostname:
    raise ImproperlyConfigured(f"OFFLOAD_BASE_URL is {OFFLOAD_BASE_URL!r}; give https://<host> (http:// at a desk).")

# --- Django ---

INSTALLED_APPS = [
    "unfold",  # the admin's theme: before the admin
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "csp",
    "axes",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "anymail",
    "django_q",
    "cases",
    "outreach",
    "webhooks",
    "offload_project",  # for its commands
]
MIDDLEWARE = [
    "offload_project.tracing.follow",
    "offload_project.metrics.answer",
    "django.middleware.security.SecurityMiddleware",
    "offload_project.answers.add_headers",
    "offload_project.api.refuse_nul",
    "offload_project.api.guard_static",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "offload_project.answers.ContentSecurity",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "offload_project.staff.sessions.lead_back",
    "offload_project.staff.second_factor.guard",
    "offload_project.staff.zones.in_the_readers_zone",
    "axes.middleware.AxesMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "offload_project.urls"
WSGI_APPLICATION = "offload_project.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
APPEND_SLASH = False  # the API's routes have none, and a redirected POST would lose its body
LANGUAGE_CODE = "en"
USE_I18N = False
FORMAT_MODULE_PATH = ["offload_project.formats"]  # a DATETIME_FORMAT here would yield to Django's own for English
TIME_ZONE = "UTC"
USE_TZ = True
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

# --- The staff's login ---

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
OFFLOAD_REQUIRE_TOTP = env.bool("OFFLOAD_REQUIRE_TOTP", default=False)  # of all staff; else who has set it up uses it
OTP_TOTP_ISSUER = "Offload"
SESSION_COOKIE_AGE = env.int("OFFLOAD_SESSION_HOURS", default=12) * 3600  # since the login
CSRF_COOKIE_HTTPONLY = True

# Five wrong passwords for one name from one address, and both wait together: nobody locks somebody else out.
AXES_ONLY_ADMIN_SITE = True
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_TEMPLATE = "admin/locked_out.html"
AXES_CLIENT_IP_CALLABLE = "cases.client_address.address_of"
AXES_VERBOSE = False

# --- The staff's pages: offload_project/staff/navigation.py has the menu ---

UNFOLD = {
    "SITE_TITLE": "Offload",
    "SITE_HEADER": "Offload",
    "SITE_URL": None,  # there is no other site than these pages
    "SITE_SYMBOL": "outgoing_mail",
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "LOGIN": {"form": "django.contrib.admin.forms.AdminAuthenticationForm"},
    "SIDEBAR": {"navigation": "offload_project.staff.navigation.menu"},
}

# --- Transport security: follows the scheme under which the service is reached ---

HTTPS = OFFLOAD_BASE_URL.startswith("https://")
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]  # probes speak plain HTTP to the process itself
SECURE_HSTS_SECONDS = env.int("OFFLOAD_HSTS_SECONDS", default=365 * 24 * 3600) if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
# Only behind a proxy that itself sets or removes these headers (X-Forwarded-Proto, X-Forwarded-For): anyone else could
# claim to speak HTTPS, and to come from anywhere.
OFFLOAD_BEHIND_PROXY = env.bool("OFFLOAD_BEHIND_PROXY", default=False)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if OFFLOAD_BEHIND_PROXY else None
CSRF_TRUSTED_ORIGINS = ["{0.scheme}://{0.netloc}".format(urlsplit(OFFLOAD_BASE_URL))]
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

# --- Work: how much at once, and how long ---

OFFLOAD_CONCURRENCY = env.int("OFFLOAD_CONCURRENCY", default=32)
# So many at least, however busy a process is; OFFLOAD_CONCURRENCY: always all; 0: a quarter. See cases/width.py.
OFFLOAD_CONCURRENCY_FLOOR = env.int("OFFLOAD_CONCURRENCY_FLOOR", default=0)
OFFLOAD_WORKERS = env.int("OFFLOAD_WORKERS", default=2)
OFFLOAD_LEASE_SECONDS = env.float("OFFLOAD_LEASE_SECONDS", default=30.0)
OFFLOAD_RENEW_SECONDS = env.float("OFFLOAD_RENEW_SECONDS", default=10.0)
OFFLOAD_CLAIM_SECONDS = env.float("OFFLOAD_CLAIM_SECONDS", default=20.0)  # then a pump stops claiming
OFFLOAD_STEP_SECONDS = env.float("OFFLOAD_STEP_SECONDS", default=120.0)  # a step's deadline, everything included
OFFLOAD_TRANSPORT_SECONDS = env.float("OFFLOAD_TRANSPORT_SECONDS", default=20.0)
OFFLOAD_STALL_SECONDS = env.float("OFFLOAD_STALL_SECONDS", default=15.0)  # no heartbeat: the cluster is replaced
OFFLOAD_CLOCK_SECONDS = env.float("OFFLOAD_CLOCK_SECONDS", default=1.0)

# What a row of each kind is done by. Dotted paths, so that `cases` need not know the rooms that import it.
OFFLOAD_WORK_KINDS = {
    "case": "outreach.tasks.CASES",
    "payload": "outreach.tasks.PAYLOADS",
    "delivery": "webhooks.tasks.DELIVERIES",
    "notice": "outreach.notices.NOTICES",
    "chore": "cases.chores.CHORES",
}
OFFLOAD_EVENT_LISTENERS = {
    "case.completed": ["webhooks.listeners.enqueue"],
    "case.failed": ["webhooks.listeners.enqueue"],
    "case.input_needed": ["webhooks.listeners.enqueue", "outreach.notices.tell_staff"],
    "case.input_overdue": ["outreach.notices.tell_staff"],
    "case.draft_ready": ["outreach.notices.tell_staff_of_draft"],
    "webhook.parked": ["outreach.notices.tell_staff_of_parking"],
}
# Clients hear of these only where they have asked for them (Client.event_types).
OFFLOAD_OPTIONAL_EVENTS = [
    "case.created",
    "case.draft_ready",
    "case.input_overdue",
    "message.received",
    "message.sent",
]
for _type in OFFLOAD_OPTIONAL_EVENTS:
    OFFLOAD_EVENT_LISTENERS.setdefault(_type, []).append("webhooks.listeners.enqueue_if_asked_for")

# What other rooms add to the timeline on a case's page, and where its mail is kept as it came.
OFFLOAD_TIMELINE_SOURCES = ["webhooks.timeline.of_case"]
OFFLOAD_MAIL_ORIGINALS = "outreach.originals.ORIGINALS"

# What `manage.py doctor` looks at, in this order.
OFFLOAD_DOCTOR_CHECKS = [
    "offload_project.doctor.settings_are_safe",
    "cases.doctor.database_is_fit",
    "cases.doctor.files_can_be_kept",
    "cases.doctor.disk_has_room",
    "cases.doctor.work_is_done",
    "offload_project.doctor.rows_get_on",
    "offload_project.doctor.files_have_rows",
    "outreach.doctor.mail_can_leave",
    "outreach.doctor.mail_can_come",
    "outreach.doctor.erased_people_are_told_again",
    "outreach.doctor.model_answers",
    "outreach.doctor.providers_are_called",
    "outreach.doctor.staff_are_told",
    "webhooks.doctor.secrets_can_be_read",
    "webhooks.doctor.names_are_resolved",
    "webhooks.doctor.deliveries_arrive",
    "webhooks.doctor.endpoints_are_served",
    "cases.doctor.keys_are_in_order",
    "offload_project.doctor.people_are_in_order",
]

# --- Database ---

_SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",  # a transaction that reads first and writes later would fail, not wait
    "timeout": 30,
    # FULL: what was acknowledged survives a power cut too; NORMAL in WAL mode would survive only a killed process.
    "init_command": f"PRAGMA journal_mode=WAL; PRAGMA synchronous={env('OFFLOAD_SQLITE_SYNCHRONOUS', default='FULL')}",
}
# A step holds no connection while it talks, so far fewer are needed than there are steps. Those that find none wait for
# one: that keeps hundreds of them from computing at once, when the pump would get no turn to renew their leases. The
# fewer there are, the sooner each has kept its plans (cases/database.py); what a process can keep busy is far below it.
_POSTGRES_POOL = {
    "min_size": 1,
    "max_size": env.int("OFFLOAD_DATABASE_POOL", default=min(OFFLOAD_CONCURRENCY, 8) + 8),
    "timeout": 10,  # of a web request; a step waits longer, see cases/work.py
}


def _database(url: str) -> dict[str, Any]:
    """Django's settings for a `sqlite:///` or `postgres://` URL, with the options that the engine relies on."""
    database: dict[str, Any] = environ.Env.db_url_config(url)
    options = database.get("OPTIONS", {})
    if database["ENGINE"] == "django.db.backends.sqlite3":
        Path(database["NAME"]).parent.mkdir(parents=True, exist_ok=True)
        return {**database, "CONN_MAX_AGE": 60, "OPTIONS": {**_SQLITE_OPTIONS, **options}}
    if database["ENGINE"] == "django.db.backends.postgresql":
        # Checked as they leave the pool: after a restart of the server no step fails on a stale connection.
        lasting = {"CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": True}
        return {**database, **lasting, "OPTIONS": {"pool": _POSTGRES_POOL, **options}}
    raise ImproperlyConfigured("DATABASE_URL must begin with sqlite:/// or postgres://.")


DATABASES = {"default": _database(env("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'offload.sqlite3'}"))}

# --- Broker: only wake-ups pass through it; see django_q/conf.py for the names ---


def _broker(url: str) -> dict[str, Any]:
    """django-q2's part of Q_CLUSTER for `orm`, `redis://…` or `sqs://<region>[/<queue>]`."""
    if url == "orm":
        return {"broker_class": "cases.orm_broker.OrmBroker", "orm": "default", "poll": 0.2}
    if url.startswith(("redis://", "rediss://")):
        return {"broker_class": "cases.brokers.RedisBroker", "redis": url}
    if url.startswith("sqs://"):
        if endpoint := env("SQS_ENDPOINT_URL", default=""):
            env.ENVIRON["AWS_ENDPOINT_URL_SQS"] = endpoint  # boto3 reads it from here
        region, _, queue = url.removeprefix("sqs://").partition("/")
        options = {"aws_region": region, "receive_message_wait_time_seconds": 1}
        return {"broker_class": "cases.brokers.SqsBroker", "sqs": options, "name": queue or "offload"}
    raise ImproperlyConfigured("Q_BROKER must be orm, redis://… or sqs://<region>.")


Q_CLUSTER = {
    "name": "offload",
    "log_level": "WARNING",  # else a line for each wake-up and each heartbeat
    "workers": OFFLOAD_WORKERS,
    "timeout": 300,
    "retry": 360,
    "ack_failures": True,  # with max_attempts: a wake-up is never repeated, the clock sends a new one
    "max_attempts": 1,
    "save_limit": -1,
    "scheduler": False,
    "catch_up": False,
    "bulk": 10,
    "queue_limit": 50,
    "recycle": 100_000,
    **_broker(env("Q_BROKER", default="orm")),
}

# --- Files ---

MEDIA_ROOT = VAR_DIR / "media"  # never served as it stands: downloads go through signed links
STATIC_URL = "/static/"
# Over HTTPS `manage.py collectstatic` fills STATIC_ROOT once per release; at a desk nothing has to be collected.
STATIC_ROOT = Path(env("OFFLOAD_STATIC_DIR", default=str(VAR_DIR / "static"))) if HTTPS else None
WHITENOISE_USE_FINDERS = not HTTPS


def _file_storage(bucket: str) -> dict[str, Any]:
    """Where attachments go: the bucket, or MEDIA_ROOT where none is named. Credentials are boto3's own variables."""
    if not bucket:
        return {"BACKEND": "django.core.files.storage.FileSystemStorage"}
    from botocore.config import Config

    style = env("AWS_S3_ADDRESSING_STYLE", default="auto")
    return {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": bucket,
            "endpoint_url": env("AWS_S3_ENDPOINT_URL", default=None),
            "region_name": env("AWS_S3_REGION_NAME", default=None),
            "default_acl": None,
            "file_overwrite": False,
            "querystring_auth": True,
            "querystring_expire": 15 * 60,
            # s3v4: without it strict servers answer 403 to a presigned link. Time-outs below a step's deadline.
            "client_config": Config(
                signature_version="s3v4", s3={"addressing_style": style}, connect_timeout=5, read_timeout=20
            ),
        },
    }


_STATIC_FILES = (
    "whitenoise.storage.CompressedManifestStaticFilesStorage"
    if HTTPS
    else "django.contrib.staticfiles.storage.StaticFilesStorage"
)
STORAGES = {
    "default": _file_storage(env("AWS_STORAGE_BUCKET_NAME", default="")),
    "staticfiles": {"BACKEND": _STATIC_FILES},
}

# --- Mail and its writer ---

AGENTMAIL_API_KEY = env("AGENTMAIL_API_KEY", default="")
AGENTMAIL_INBOX = env("AGENTMAIL_INBOX", default="")
AGENTMAIL_WEBHOOK_SECRET = env.list("AGENTMAIL_WEBHOOK_SECRET", default=[])  # several while one replaces another
AGENTMAIL_BASE_URL = env(
    "AGENTMAIL_BASE_URL", default="https://api.agentmail.to"
)  # in the EU: https://api.agentmail.eu

EMAIL_URL = env("EMAIL_URL", default="")
globals().update(env.email_url("EMAIL_URL", default="consolemail://"))  # EMAIL_BACKEND, EMAIL_HOST …
EMAIL_TIMEOUT = OFFLOAD_TRANSPORT_SECONDS
if EMAIL_URL.startswith("smtp"):
    EMAIL_BACKEND = "outreach.transports.smtp.EmailBackend"  # Django's, with an end to the whole send
# A provider's API instead of SMTP: its name, and django-anymail's settings, each a variable of the name it has there.
ANYMAIL_ESP = env("ANYMAIL_ESP", default="")
ANYMAIL = {
    "REQUESTS_TIMEOUT": OFFLOAD_TRANSPORT_SECONDS,
    **{name.removeprefix("ANYMAIL_"): value for name, value in env.ENVIRON.items() if name.startswith("ANYMAIL_")},
}
# A provider posts whole mails, attachments in base64. The API's own limit is OFFLOAD_MAX_BODY_BYTES.
if "WEBHOOK_SECRET" in ANYMAIL:
    DATA_UPLOAD_MAX_MEMORY_SIZE = 40_000_000
if ANYMAIL_ESP:
    if EMAIL_URL:
        raise ImproperlyConfigured("EMAIL_URL and ANYMAIL_ESP are two ways to send mail; set one of them.")
    EMAIL_BACKEND = f"anymail.backends.{ANYMAIL_ESP}.EmailBackend"
OFFLOAD_MAIL_FROM = env("OFFLOAD_MAIL_FROM", default=f"offload@{urlsplit(OFFLOAD_BASE_URL).hostname}")
DEFAULT_FROM_EMAIL = SERVER_EMAIL = OFFLOAD_MAIL_FROM
IMAP_URL = env("IMAP_URL", default="")  # what `manage.py poll_imap` empties: imaps://user:password@host/INBOX
# Answers come to <local part>+<token>@<domain> of this address; empty: of OFFLOAD_MAIL_FROM. `off`: no plus-addressing.
OFFLOAD_REPLY_ADDRESS = env("OFFLOAD_REPLY_ADDRESS", default="")
# What our own mail server calls itself in the Authentication-Results that it writes; empty: none is believed.
OFFLOAD_AUTHSERV_ID = env("OFFLOAD_AUTHSERV_ID", default="")
# Mail addresses, and https:// URLs of incoming webhooks (Slack and what understands the same); these are secrets.
OFFLOAD_STAFF_NOTICES = env.list("OFFLOAD_STAFF_NOTICES", default=[])
# After one notice the next ones to the same recipient wait so long, and go out as one; 0: each at once, by itself.
OFFLOAD_NOTICE_DIGEST_MINUTES = _number("OFFLOAD_NOTICE_DIGEST_MINUTES", default=10)
OFFLOAD_NOTICE_QUIET_HOURS = env("OFFLOAD_NOTICE_QUIET_HOURS", default="")  # 20:00-07:00 Sat,Sun Europe/Berlin
# Staff are told of mail that was kept from its case, or belongs to none, once it has waited so long; 0: never.
OFFLOAD_NOTICE_MAIL_HOURS = _number("OFFLOAD_NOTICE_MAIL_HOURS", default=2)
# Whether the endpoint of a webhook.parked event is parked still.
OFFLOAD_PARKING_CHECK = "webhooks.endpoints.is_still_parked"

_CHOSEN_TRANSPORT = (
    env("OFFLOAD_TRANSPORT", default="")
    or (AGENTMAIL_API_KEY and "agentmail")
    or ((EMAIL_URL or ANYMAIL_ESP) and "email")
)
OFFLOAD_TRANSPORT = _CHOSEN_TRANSPORT or "sandbox"
OFFLOAD_LIVE_CASES = bool(_CHOSEN_TRANSPORT)  # a live key's cases go to the sandbox only if the operator says so

# What is done every so many seconds, by one worker at a time: name to dotted path and pause; see cases/chores.py.
OFFLOAD_CHORES: dict[str, tuple[str, float]] = {"count_days": ("cases.days.count", 300.0)}
if AGENTMAIL_API_KEY:
    OFFLOAD_CHORES["reconcile_mail"] = (
        "outreach.agentmail.reconcile.look",
        60 * env.float("OFFLOAD_RECONCILE_MINUTES", default=15.0),
    )

OPENAI_API_KEY = env("OPENAI_API_KEY", default="")
OPENAI_BASE_URL = env("OPENAI_BASE_URL", default="")
OFFLOAD_MODEL = env("OFFLOAD_MODEL", default="")
# Loaded before the processes of a worker are forked, so that they share it; the SDK only where there is a model.
OFFLOAD_SHARED_MODULES = ["outreach.tasks", "webhooks.tasks", "django_q.cluster"]
OFFLOAD_SHARED_MODULES += ["outreach.agents.openai"] if OFFLOAD_MODEL else []
OFFLOAD_CHECK_MODEL = env("OFFLOAD_CHECK_MODEL", default="")  # looks at drafts; empty: the same model, asked afresh
OFFLOAD_MODEL_TAKES_IMAGES = env.bool("OFFLOAD_MODEL_TAKES_IMAGES", default=False)  # pictures and scanned pages
OFFLOAD_TEMPERATURE = env.float("OFFLOAD_TEMPERATURE", default=0.2)  # left out for models that refuse it
OFFLOAD_MAX_OUTPUT_TOKENS = env.int("OFFLOAD_MAX_OUTPUT_TOKENS", default=4_000)  # of one answer, thoughts included
OFFLOAD_CONTEXT_TOKENS = env.int("OFFLOAD_CONTEXT_TOKENS", default=24_000)  # of a thread; counted as characters / 3.5
OFFLOAD_MODEL_SECONDS = env.float("OFFLOAD_MODEL_SECONDS", default=60.0)  # one request
OFFLOAD_MACHINE_DISCLOSURE = env("OFFLOAD_MACHINE_DISCLOSURE", default="")  # a line below each mail of a model

# Model to its prices for a million prompt and completion tokens: {"some-model": [0.5, 1.5]}
OFFLOAD_MODEL_PRICES: dict[str, list[float]] = env.json("OFFLOAD_MODEL_PRICES", default={})
OFFLOAD_MODEL_CURRENCY = env("OFFLOAD_MODEL_CURRENCY", default="")  # of these prices, as staff read it: EUR
OFFLOAD_MAX_MODEL_CALLS = env.int("OFFLOAD_MAX_MODEL_CALLS", default=60)  # of one case; beyond it a human is asked
# In the currency of the price table; 0: no ceiling. Beyond it a human is asked instead of a model.
OFFLOAD_MAX_COST_PER_CASE = env.float("OFFLOAD_MAX_COST_PER_CASE", default=0.0)
OFFLOAD_MAX_COST_PER_CLIENT_DAY = env.float("OFFLOAD_MAX_COST_PER_CLIENT_DAY", default=0.0)
OFFLOAD_CLOSING_MAIL = env.bool(
    "OFFLOAD_CLOSING_MAIL", default=False
)  # thank the counterparty when the goal is reached

OFFLOAD_SETTLE_SECONDS = env.float("OFFLOAD_SETTLE_SECONDS", default=60.0)  # a correction joins the reply it corrects
OFFLOAD_WORKING_HOURS = env("OFFLOAD_WORKING_HOURS", default="Mon-Fri 08-18")  # where the counterparty is; or "off"
OFFLOAD_MAX_MESSAGES_PER_HOUR = env.int("OFFLOAD_MAX_MESSAGES_PER_HOUR", default=20)  # of one case
# Of all cases together; 0: no limit. What is beyond it waits, and fails for it never.
OFFLOAD_MAX_MAILS_PER_CLIENT_HOUR = env.int("OFFLOAD_MAX_MAILS_PER_CLIENT_HOUR", default=1000)
OFFLOAD_MAX_MAILS_PER_CLIENT_DAY = env.int("OFFLOAD_MAX_MAILS_PER_CLIENT_DAY", default=0)  # a client may have its own
OFFLOAD_MAX_MAILS_PER_RECIPIENT_HOUR = env.int("OFFLOAD_MAX_MAILS_PER_RECIPIENT_HOUR", default=20)

# --- API and webhooks ---

OFFLOAD_WEB_THREADS = env.int("WEB_THREADS", default=8)  # requests that one web process works on side by side
OFFLOAD_MAX_BODY_BYTES = env.int("OFFLOAD_MAX_BODY_BYTES", default=1_000_000)
# A request's body must have come in this time, a long one in more: a second for each 50 kB. A reader who takes nothing
# of a file for so long is cut off.
OFFLOAD_BODY_SECONDS = env.float("OFFLOAD_BODY_SECONDS", default=20.0)
# Calls of one endpoint at once, over all workers: far fewer than a process has threads, or one that hangs takes all.
OFFLOAD_WEBHOOK_CONCURRENCY = env.int("OFFLOAD_WEBHOOK_CONCURRENCY", default=max(1, OFFLOAD_CONCURRENCY // 8))
OFFLOAD_RATE_PER_MINUTE = env.int("OFFLOAD_RATE_PER_MINUTE", default=600)  # requests of one key; 0: no limit
OFFLOAD_RATE_BURST = env.int("OFFLOAD_RATE_BURST", default=0)  # of these at once; 0: all of a minute's
OFFLOAD_FAILED_KEYS_PER_MINUTE = env.int("OFFLOAD_FAILED_KEYS_PER_MINUTE", default=60)  # of one address; 0: no limit
OFFLOAD_RATES_DIR = VAR_DIR  # the counters of this machine's web processes
OFFLOAD_KEY_USE_SECONDS = env.float("OFFLOAD_KEY_USE_SECONDS", default=60.0)  # how often last_used_at is kept; 0: never
OFFLOAD_WEBHOOK_ALLOW_CIDRS = env.list("OFFLOAD_WEBHOOK_ALLOW_CIDRS", default=[])
# Raises InvalidCase for a clientWebhookUrl that can be told to be refused without asking the DNS.
OFFLOAD_WEBHOOK_URL_CHECK = "webhooks.addresses.check_url"
# Raises InvalidCase for a channel on which a case of this kind of key (`is_test`) could never be advanced.
OFFLOAD_CHANNEL_CHECK = "outreach.channels.check"
# Tells a safe name and the real type of a file that a client gives along.
OFFLOAD_FILE_TELLER = "outreach.inbound.attachments.tell"
# For staff: pictures of a file, and its text where it was not read when it came in; each by a process with bounds.
OFFLOAD_FILE_PREVIEW = "outreach.reading.pictures.draw"
OFFLOAD_FILE_READER = "outreach.reading.read"
# What other rooms show on the page of a client.
OFFLOAD_CLIENT_SECTIONS = ["webhooks.admin.sections.of_client"]
# Says what must not stand in a mail, given the case and the words of a draft: a list, empty for nothing.
OFFLOAD_DRAFT_CHECK = "outreach.agents.guard.leaks"
# Shows a mail as it would leave, given the case and a person's own words: see outreach/preview.py for what comes back.
OFFLOAD_MAIL_PREVIEW = "outreach.preview.of_reply"
# Likewise the mail into which an answer to a question goes word for word; None where it does not.
OFFLOAD_ANSWER_PREVIEW = "outreach.preview.of_answer"

# What waits for staff, on their home page; see cases/admin/waiting.py.
OFFLOAD_HOME_SOURCES = [
    "cases.admin.waiting.of_cases",
    "outreach.waiting.of_mail",
    "webhooks.waiting.of_webhooks",
]
# Tells calls, tokens and cost of models within a period, and the page on which staff see them.
OFFLOAD_MODEL_USE = "outreach.model_use.between"
OFFLOAD_MODEL_CALLS_PAGE = "admin:outreach_modelcall_changelist"

# What `manage.py mcp` gives an agent: the service at this address, with what this key may do.
OFFLOAD_MCP_URL = env("OFFLOAD_MCP_URL", default=OFFLOAD_BASE_URL)
OFFLOAD_MCP_API_KEY = env("OFFLOAD_MCP_API_KEY", default="")

REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["offload_project.api.EnvelopeRenderer"],
    "DEFAULT_PARSER_CLASSES": ["offload_project.api.StrictJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "offload_project.api.AlwaysJSON",
    "DEFAULT_AUTHENTICATION_CLASSES": ["cases.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated", "cases.authentication.KeyHasScope"],
    "DEFAULT_THROTTLE_CLASSES": ["cases.throttling.KeyThrottle"],
    "DEFAULT_SCHEMA_CLASS": "cases.openapi.OperationSchema",
    "DEFAULT_METADATA_CLASS": "offload_project.api.NoMetadata",
    "EXCEPTION_HANDLER": "offload_project.api.exception_handler",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Offload API",
    "DESCRIPTION": "Reach a goal with someone by mail: post a case, hear of its end by webhook.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "offload_project.schema.describe_envelope",
        "offload_project.schema.describe_webhooks",
        "offload_project.schema.add_examples",
    ],
    "TAGS": [
        {"name": "cases", "description": "What an application asks for, and what has come of it."},
        {
            "name": "webhooks",
            "description": "What the service posts, and has posted, to the clientWebhookUrl of a case.",
        },
        {"name": "drafts", "description": "Mail that is looked at before it is sent, on cases with a reviewMode."},
        {"name": "client", "description": "What goes for all cases of the client that the key belongs to."},
        {"name": "sandbox", "description": "For test keys: everything that a counterparty and its mail system can do."},
    ],
    "WEBHOOKS": "webhooks.openapi.WEBHOOKS",
    "ENUM_NAME_OVERRIDES": {
        "FailureStatusEnum": "webhooks.openapi.FAILURES",
        "OpenStatusEnum": "webhooks.openapi.OPEN",
        "DeliveryStateEnum": "webhooks.models.DeliveryState",
    },
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "persistAuthorization": False, "displayRequestDuration": True},
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

# --- Figures and readiness ---

# Each machine's own, also where machines or containers share OFFLOAD_VAR_DIR: see cases/metrics.py.
OFFLOAD_METRICS_DIR = VAR_DIR / "metrics" / socket.gethostname()
env.ENVIRON["PROMETHEUS_MULTIPROC_DIR"] = str(OFFLOAD_METRICS_DIR)  # where prometheus_client looks, and nowhere else
OFFLOAD_METRICS_CIDRS = env.list("OFFLOAD_METRICS_CIDRS", default=["127.0.0.0/8", "::1/128"])  # may read /metrics
OFFLOAD_METRICS_TOKEN = env("OFFLOAD_METRICS_TOKEN", default="")  # as may whoever sends this: Authorization: Bearer …
OFFLOAD_METRICS_PORT = env("OFFLOAD_METRICS_PORT", default="")  # a worker's own door: PORT (this machine) or HOST:PORT
OFFLOAD_METRICS_DOOR = "offload_project.metrics.serve"
try:
    _networks = [ip_network(cidr, strict=False) for cidr in OFFLOAD_METRICS_CIDRS]
except ValueError as error:
    raise ImproperlyConfigured(f"OFFLOAD_METRICS_CIDRS: {error}") from error
if OFFLOAD_METRICS_PORT and not OFFLOAD_METRICS_PORT.rpartition(":")[2].isdecimal():
    raise ImproperlyConfigured(f"OFFLOAD_METRICS_PORT is {OFFLOAD_METRICS_PORT!r}; give PORT or HOST:PORT.")
# For so long a row may be due and taken by nobody before /readyz says 503; 0: for ever.
OFFLOAD_READY_OLDEST_DUE_SECONDS = _number("OFFLOAD_READY_OLDEST_DUE_SECONDS", default=300)

# --- Logs: to stderr, for whoever collects them; no bodies, no keys ---

OFFLOAD_LOG_LEVEL = env("OFFLOAD_LOG_LEVEL", default="INFO").upper()
OFFLOAD_LOG_FORMAT = env("OFFLOAD_LOG_FORMAT", default="text" if AT_A_DESK else "json")
if OFFLOAD_LOG_FORMAT not in {"json", "text"}:
    raise ImproperlyConfigured(f"OFFLOAD_LOG_FORMAT is {OFFLOAD_LOG_FORMAT!r}; give json or text.")
_LOG_LEVEL_OF_CLIENTS = "INFO" if OFFLOAD_LOG_LEVEL == "DEBUG" else OFFLOAD_LOG_LEVEL
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "offload_project.logs.JsonFormatter"},
        "text": {
            "()": "offload_project.logs.TextFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
        },
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": OFFLOAD_LOG_FORMAT}},
    "root": {"handlers": ["stderr"], "level": OFFLOAD_LOG_LEVEL},
    "loggers": {
        "django": {"handlers": [], "level": OFFLOAD_LOG_LEVEL, "propagate": True},
        "mail.log": {"level": "WARNING"},  # aiosmtpd's: else a line for each word that is said
        "django.security.DisallowedHost": {"level": "CRITICAL"},  # scanners' doing, and a traceback each time
        "urllib3": {"level": "INFO"},  # at DEBUG it writes the paths of URLs, which of staff's webhooks are secrets
        # At DEBUG these write whole requests and answers, keys and mails in them; httpx2 a line for each call at INFO.
        **{name: {"level": _LOG_LEVEL_OF_CLIENTS} for name in ("openai", "httpx2", "httpcore2", "boto3", "s3transfer")},
        "django-q": {"level": "WARNING"},  # its own log_level counts only where nobody else has configured logging
        "axes": {"level": "WARNING"},  # else four lines for each login, which stand in its tables
        "botocore": {"level": "WARNING"},  # else two lines for each of its clients
        "flufl.bounce": {"level": "WARNING"},  # else a line for each of its detectors and each mail
    },
}
