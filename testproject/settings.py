"""Settings of the demo and of the tests."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

BASE_DIR = Path(__file__).resolve().parent.parent
VAR = Path(os.environ.get("DJANGO_FSSPEC_VAR", BASE_DIR / "var")).resolve()

SECRET_KEY = "not-a-secret: the demo and the tests only"
DEBUG = True
# not "*": any page could resolve its own name to this machine, and read what DEBUG shows
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
ROOT_URLCONF = "testproject.urls"
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_fsspec",
    "testproject",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_fsspec.middleware.UploadsMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
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


def _database(kind: str) -> dict[str, Any]:
    env = os.environ.get
    if kind == "postgresql":
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": env("PGDATABASE", "test"),
            "USER": env("PGUSER", "postgres"),
            "PASSWORD": env("PGPASSWORD", ""),
            "HOST": env("PGHOST", "127.0.0.1"),
            "PORT": env("PGPORT", "5432"),
        }
    if kind == "mariadb":
        import pymysql

        pymysql.install_as_MySQLdb()
        return {
            "ENGINE": "django.db.backends.mysql",
            "NAME": env("MYSQL_DATABASE", "test"),
            "USER": env("MYSQL_USER", "root"),
            "PASSWORD": env("MYSQL_PASSWORD", ""),
            "HOST": env("MYSQL_HOST", "127.0.0.1"),
            "PORT": env("MYSQL_PORT", "3306"),
            "OPTIONS": {"charset": "utf8mb4"},
        }
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": VAR / "demo.sqlite3"}


DATABASES = {"default": _database(os.environ.get("DJANGO_FSSPEC_DATABASE", "sqlite"))}

STATIC_URL = "static/"
STORAGES: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "django_fsspec.storage.FSSpecStorage",
        "OPTIONS": {"fs": "file", "prefix": str(VAR / "media"), "label": "Local disk"},
    },
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# The demo starts an S3 server and tells its address here, as a deployment would.
if "DEMO_S3" in os.environ:
    STORAGES["s3"] = {
        "BACKEND": "django_fsspec.storage.FSSpecStorage",
        "OPTIONS": {
            "fs": "s3",
            "prefix": "demo/media",
            "label": "S3",
            "fs_options": json.loads(os.environ["DEMO_S3"]),
        },
    }
