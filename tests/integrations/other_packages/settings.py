"""Settings of a site with one of the packages, which the environment names."""

from __future__ import annotations

import json
import os

SECRET_KEY = "of a test"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "/static/"
ROOT_URLCONF = f"{__package__}.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}

_WAGTAIL = [
    *("wagtail.users", "wagtail.documents", "wagtail.images", "wagtail.admin", "wagtail"),
    *("modelcluster", "taggit"),
]
_APPS = {
    "easy_thumbnails": ["easy_thumbnails"],
    "sorl": ["sorl.thumbnail"],
    "sorl_dbm": ["sorl.thumbnail"],
    "imagekit": ["imagekit"],
    "filer": ["easy_thumbnails", "filer"],
    "wagtail": _WAGTAIL,
    # {% load thumbnail %} is that of the last one
    "thumbnails": ["imagekit", "sorl.thumbnail", "easy_thumbnails"],
    "managers": ["easy_thumbnails", "filer", *_WAGTAIL],
    "reporters": ["debug_toolbar"],
    "cleanup": ["django_cleanup.apps.CleanupConfig"],
}
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_fsspec",
    "tests.integrations.other_packages.gallery",
    *_APPS[os.environ["PACKAGE"]],
]

if os.environ["PACKAGE"] == "sorl_dbm":
    THUMBNAIL_KVSTORE = "sorl.thumbnail.kvstores.dbm_kvstore.KVStore"
    THUMBNAIL_DBM_FILE = os.environ["DBM_FILE"]

# django-imagekit imports django-rq where that is installed, and it asks for a setting
RQ_QUEUES = {"default": {"HOST": "127.0.0.1"}}

TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
# a project's choice: which size, for which field
THUMBNAIL_ALIASES = {"gallery.Print.photo": {"tiny": {"size": (4, 4)}}}
THUMBNAIL_DEBUG = True

_OURS = "django_fsspec.storage.FSSpecStorage"
if os.environ["PACKAGE"] == "reporters":
    DEBUG = True
    ALLOWED_HOSTS = ["testserver"]
    INTERNAL_IPS = ["127.0.0.1"]
    MIDDLEWARE = ["debug_toolbar.middleware.DebugToolbarMiddleware"]
    DEBUG_TOOLBAR_CONFIG = {"IS_RUNNING_TESTS": False}
    DEFAULT_EXCEPTION_REPORTER_FILTER = f"{__package__}.reporters.WithoutStorages"

_MEMORY = {"fs": "memory", "prefix": "media"}
_MEDIA = json.loads(os.environ.get("MEDIA", "null")) or _MEMORY
STORAGES: dict[str, dict[str, object]] = {
    "default": {"BACKEND": _OURS, "OPTIONS": _MEDIA},
    "private": {"BACKEND": _OURS, "OPTIONS": {"fs": "memory", "prefix": "private"}},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}


def _storage(prefix: str, **more: object) -> dict[str, object]:
    folder = prefix if _MEDIA is _MEMORY else f"{_MEDIA['prefix']}/{prefix}"
    return {"ENGINE": _OURS, "OPTIONS": {**_MEDIA, "prefix": folder}, **more}


FILER_STORAGES = {
    "public": {
        "main": _storage("media"),
        "thumbnails": _storage("media", THUMBNAIL_OPTIONS={"base_dir": "public-thumbnails"}),
    },
    "private": {
        "main": _storage("private"),
        # in a folder of "default", which is no alias
        "thumbnails": _storage("media/private-thumbnails"),
    },
}


# aliases that can't be reached, with secrets
STORAGES |= {
    alias: {"BACKEND": _OURS, "OPTIONS": {**options, "retries": 0, "timeout": 3}}
    for alias, options in json.loads(os.environ.get("BROKEN", "{}")).items()
}
