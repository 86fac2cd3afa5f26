"""Settings of the site: its storages and its queue are told by the environment."""

from __future__ import annotations

from tests.settings_tasks import *  # noqa: F403
from tests.settings_tasks import DATABASES as _DATABASES

# a site has one database: the suite's second is not there
DATABASES = {"default": _DATABASES["default"]}
ROOT_URLCONF = "tests.soak.production.site"
MIDDLEWARE = []
