"""Settings of a site with one of the packages, which the environment names."""

from __future__ import annotations

import os

SECRET_KEY = "of a test"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "/static/"
ROOT_URLCONF = "tests.helpers.no_urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}

_APPS = {
    "easy_thumbnails": ["easy_thumbnails"],
    "sorl": ["sorl.thumbnail"],
    "sorl_dbm": ["sorl.thumbnail"],
    "imagekit": ["imagekit"],
    "filer": ["easy_thumbnails", "filer"],
    "wagtail": [
        *("wagtail.users", "wagtail.documents", "wagtail.images", "wagtail.admin", "wagtail"),
        *("modelcluster", "taggit"),
    ],
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

_OURS = "django_fsspec.storage.FSSpecStorage"
STORAGES = {
    "default": {"BACKEND": _OURS, "OPTIONS": {"fs": "memory", "prefix": "media"}},
    "private": {"BACKEND": _OURS, "OPTIONS": {"fs": "memory", "prefix": "private"}},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}


def _storage(prefix: str, **more: object) -> dict[str, object]:
    return {"ENGINE": _OURS, "OPTIONS": {"fs": "memory", "prefix": prefix}, **more}


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
