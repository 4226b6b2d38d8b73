"""The service's settings for tests and checks, whatever the developer's own environment says.

Only DATABASE_URL (SQLite, or a PostgreSQL to create test databases on) is taken over. Everything here goes through the
environment, so that a process which a test starts sees what the test sees; such a process needs DATABASE_URL and
OFFLOAD_VAR_DIR of its own where it must not share the defaults.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

OURS = ("OFFLOAD_", "AWS_", "OPENAI_", "AGENTMAIL_", "EMAIL_", "IMAP_", "ANYMAIL_", "SQS_", "Q_", "SECRET_KEY")
KEPT = {"OFFLOAD_REQUIRE_COMPONENTS"}

for name in [name for name in os.environ if name.startswith(OURS) and name not in KEPT]:
    del os.environ[name]
for name in ("DEBUG", "ALLOWED_HOSTS", "PORT"):
    os.environ.pop(name, None)

scratch = Path(tempfile.mkdtemp(prefix="offload-test-"))
atexit.register(shutil.rmtree, scratch, ignore_errors=True)

os.environ |= {
    "SECRET_KEY": "not-a-secret:the-key-of-every-test-run-and-of-nothing-else",
    "ALLOWED_HOSTS": "localhost,127.0.0.1,testserver",
    "OFFLOAD_BASE_URL": "http://testserver",
    "OFFLOAD_VAR_DIR": str(scratch),
    "OFFLOAD_SQLITE_SYNCHRONOUS": "OFF",  # a test database need not survive a power cut
    "OFFLOAD_FAILED_KEYS_PER_MINUTE": "0",  # all tests come from one address
    "OFFLOAD_LOG_FORMAT": "text",  # for people, who read the logs of failed tests
    "OFFLOAD_KEY_USE_SECONDS": "0",  # its thread would wait for the transaction that a test is wrapped in
    "DJANGO_SETTINGS_MODULE": "offload_project.settings",  # for processes that tests start
}

from offload_project.settings import *  # noqa: E402, F403

WHITENOISE_AUTOREFRESH = True  # else each test client begins with a look at every static file
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the real one takes half a second on purpose

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":  # noqa: F405
    # A file, not memory: threads with connections of their own must see one database, with WAL as in production.
    DATABASES["default"]["TEST"] = {"NAME": scratch / "test.sqlite3"}  # noqa: F405
else:
    # As many threads as a test lets loose at one moment, each with a connection of its own.
    DATABASES["default"]["OPTIONS"]["pool"]["max_size"] = 40  # noqa: F405
