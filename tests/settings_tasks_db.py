"""Tasks are rows of the database; ``db_worker`` does them."""

from __future__ import annotations

from tests.settings_tasks import *  # noqa: F403
from tests.settings_tasks import INSTALLED_APPS, QUEUE

INSTALLED_APPS = [*INSTALLED_APPS, "django_tasks_db"]
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": [QUEUE]}}
