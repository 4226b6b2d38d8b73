"""What may be wrong with the settings and with the people."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.core.checks import ERROR, run_checks
from django.core.files.storage import FileSystemStorage, default_storage
from django.db.models import Q

from cases import work
from cases.examination import Examination, Finding, fail, ok, warn
from offload_project.maintenance import files, stuck
from offload_project.staff.roles import ADMIN

STUCK = timedelta(minutes=10)


def settings_are_safe(examination: Examination) -> Iterator[Finding]:
    """Django's own deployment check, and what it does not know."""
    if settings.DEBUG:
        yield fail("settings", "DEBUG is on: errors show secrets to strangers", "Unset DEBUG.")
    if settings.AT_A_DESK:
        yield warn(
            "settings", "configured for a desk", "Set SECRET_KEY, ALLOWED_HOSTS and OFFLOAD_BASE_URL in production."
        )
    if not settings.HTTPS:
        yield warn("settings", "served over plain HTTP", "Put a proxy with TLS before it; OFFLOAD_BASE_URL=https://…")
    elif not settings.OFFLOAD_BEHIND_PROXY:
        yield warn(
            "settings",
            "HTTPS without OFFLOAD_BEHIND_PROXY: every request is redirected, and all seem to come from the proxy",
            "Set OFFLOAD_BEHIND_PROXY=on behind a proxy that sets X-Forwarded-Proto and X-Forwarded-For.",
        )
    if "*" in settings.ALLOWED_HOSTS:
        yield warn("settings", "ALLOWED_HOSTS takes any host", "Name the hosts.")
    if settings.OFFLOAD_LOG_FORMAT == "text" and not settings.AT_A_DESK:
        yield warn(
            "settings", "the log is text, whose tracebacks may quote mails", "Set OFFLOAD_LOG_FORMAT=json, or unset it."
        )
    if not settings.OFFLOAD_RATE_PER_MINUTE:
        yield warn(
            "settings", "keys have no rate limit", "Unset OFFLOAD_RATE_PER_MINUTE, or limit rates in your proxy."
        )
    found = [message for message in run_checks(include_deployment_checks=settings.HTTPS) if not message.is_silenced()]
    for message in found:
        make = fail if message.level >= ERROR else warn
        yield make(
            "settings",
            f"{message.id}: {message.msg}".splitlines()[0],
            message.hint or "See `manage.py check --deploy`.",
        )
    if not found:
        yield ok("settings", "pass Django's checks" + (" for deployment" if settings.HTTPS else ""))
    if settings.SECRET_KEY_FALLBACKS:
        yield ok("settings", f"{len(settings.SECRET_KEY_FALLBACKS)} earlier SECRET_KEYs are accepted")


def people_are_in_order(examination: Examination) -> Iterator[Finding]:
    """Somebody can answer questions, and whoever can do most has a second factor."""
    staff = User.objects.filter(is_active=True, is_staff=True)
    if not staff.exists():
        yield warn("staff", "nobody can answer questions in the admin", "Run `manage.py createsuperuser`.")
        return
    mighty = staff.filter(Q(is_superuser=True) | Q(groups__name=ADMIN)).distinct()
    bare = mighty.exclude(totpdevice__confirmed=True).values_list("username", flat=True)
    if bare and not settings.OFFLOAD_REQUIRE_TOTP:
        remedy = "Let them set one up in the admin, or set OFFLOAD_REQUIRE_TOTP=on."
        yield warn("staff", f"without a second factor: {', '.join(sorted(bare))}", remedy)
    else:
        yield ok("staff", f"{staff.count()} accounts; whoever keeps keys has, or must set up, a second factor")


def rows_get_on(examination: Examination) -> Iterator[Finding]:
    """Rows that workers have given up, or put off after failures."""
    rows = [row for kind in work.kinds() for row in stuck.find(kind, STUCK)]
    if rows:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(Counter(row.kind for row in rows).items()))
        yield warn("stuck rows", f"{len(rows)} do not get on ({kinds})", "`manage.py requeue_stuck` lists them.")
    else:
        yield ok("stuck rows", "none")


def files_have_rows(examination: Examination) -> Iterator[Finding]:
    """Files that a killed process has left. In a bucket, where to look costs money, only `deep`."""
    if not examination.deep and not isinstance(default_storage, FileSystemStorage):
        return
    count = sum(1 for _ in files.unknown_files())
    if count:
        yield warn("files", f"{count} have no row", "`manage.py purge_cases` deletes them along.")
    else:
        yield ok("files", "each has its row")
