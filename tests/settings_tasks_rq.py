"""Tasks are jobs in Redis; ``rqworker`` does them."""

from __future__ import annotations

import os

from tests.settings_tasks import *  # noqa: F403
from tests.settings_tasks import INSTALLED_APPS, QUEUE

INSTALLED_APPS = [*INSTALLED_APPS, "django_rq"]
# results are looked up through the queue "default", of whatever queue they are
RQ_QUEUES = {
    name: {"URL": os.environ["REDIS_URL"], "DEFAULT_TIMEOUT": 600} for name in ("default", QUEUE)
}
TASKS = {"default": {"BACKEND": "django_tasks_rq.RQBackend", "QUEUES": [QUEUE]}}
