"""Settings of the tests: those of the demo, with the tests' models and a second database."""

from __future__ import annotations

from testproject.settings import *  # noqa: F403
from testproject.settings import DATABASES, INSTALLED_APPS, MIDDLEWARE

INSTALLED_APPS = [*INSTALLED_APPS, "tests.library"]
MIDDLEWARE = [*MIDDLEWARE, "django_fsspec.middleware.UploadsMiddleware"]
_default = DATABASES["default"]
_on_disk = "sqlite" not in _default["ENGINE"]
if _default["ENGINE"] == "django.db.backends.postgresql":
    _default["ENGINE"] = "tests.helpers.postgresql"
DATABASES = {
    **DATABASES,
    "other": {
        **_default,
        "TEST": {"NAME": f"test_{_default['NAME']}_other" if _on_disk else None},
    },
}
