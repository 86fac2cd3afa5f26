"""Settings of a site on several machines: its storages are told by the environment."""

from __future__ import annotations

import json
import os

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS, STORAGES

# with it Django remembers queries
DEBUG = False
QUEUE = os.environ["DJANGO_FSSPEC_QUEUE"]
STORAGES = {
    "staticfiles": STORAGES["staticfiles"],
    **{
        alias: {"BACKEND": "django_fsspec.storage.FSSpecStorage", "OPTIONS": options}
        for alias, options in json.loads(os.environ["DJANGO_FSSPEC_STORAGES"]).items()
    },
}
# tables are made as the models are: migrations take longer than what is tested
MIGRATION_MODULES = {
    name.rpartition(".")[2]: None
    for name in (*INSTALLED_APPS, "django_rq", "django_tasks_database")
}
