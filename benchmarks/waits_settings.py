"""Django's settings for the plain django-q2 that `benchmarks.waits` measures beside: nothing but its tables."""

import os

import environ

DATABASES = {"default": environ.Env.db_url_config(os.environ["DATABASE_URL"])}
SECRET_KEY = "of a benchmark"
INSTALLED_APPS = ["django_q"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
Q_CLUSTER = {
    "name": "waits",
    "orm": "default",
    "workers": int(os.environ.get("WAITS_WORKERS", "16")),
    "timeout": 60,
    "retry": 120,
    "poll": 0.2,
    "queue_limit": 64,
    "bulk": 10,
    "save_limit": -1,
    "scheduler": False,
    "log_level": "WARNING",
}
