"""The service's settings for a run of scenarios: a database and files of its own, which end with the process.

Only what configures the model is taken over from the environment. Nothing here can reach a real mailbox, bucket,
broker or database.
"""

import atexit
import os
import secrets
import shutil
import tempfile
from pathlib import Path

OUTSIDE = ("AWS_", "AGENTMAIL_", "ANYMAIL_", "EMAIL_", "IMAP_", "SQS_", "Q_", "DATABASE_URL", "OFFLOAD_TRANSPORT")
LEFT_OUT = ("OFFLOAD_STAFF_NOTICES", "OFFLOAD_MAIL_FROM", "OFFLOAD_MAX_MESSAGES_PER_HOUR", "DEBUG")

for name in [name for name in os.environ if name.startswith((*OUTSIDE, *LEFT_OUT))]:
    del os.environ[name]

SCRATCH = Path(tempfile.mkdtemp(prefix="offload-evaluation-"))
atexit.register(shutil.rmtree, SCRATCH, ignore_errors=True)

os.environ |= {
    "SECRET_KEY": secrets.token_urlsafe(50),
    "ALLOWED_HOSTS": "testserver",
    "OFFLOAD_BASE_URL": "http://testserver",
    "OFFLOAD_VAR_DIR": str(SCRATCH),
    "OFFLOAD_SQLITE_SYNCHRONOUS": "OFF",
    "OFFLOAD_LOG_LEVEL": "ERROR",
}

from offload_project.settings import *  # noqa: E402, F403
