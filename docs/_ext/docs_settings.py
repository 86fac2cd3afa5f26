"""Settings with which Sphinx imports the package."""

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.admin",
    "django_fsspec",
]
USE_TZ = True
