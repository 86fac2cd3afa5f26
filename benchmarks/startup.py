"""Starting a process against django-storages: `python -m benchmarks.startup`.

django-storages imports boto3 with its module, which Django imports when a storage is first used,
and its settings are not checked. Ours imports a client library when it is first used.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from benchmarks.rows import OURS, Row, Work, in_turns, main, rows_of, turns

_SITE = """
import django
from django.conf import settings
from django.core.management import call_command
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", *{apps}],
    ROOT_URLCONF="django.contrib.auth.urls",
    SECRET_KEY="s",
    STORAGES={{"default": {{"BACKEND": {backend!r}, "OPTIONS": {options}}}}},
)
django.setup()
"""
_OURS = _SITE.format(
    apps=["django_fsspec"],
    backend="django_fsspec.storage.FSSpecStorage",
    options={"fs": "s3", "prefix": "bucket/media", "fs_options": {"key": "k", "secret": "s"}},
)
_THEIRS = _SITE.format(
    apps=[],
    backend="storages.backends.s3.S3Storage",
    options={"bucket_name": "bucket", "access_key": "k", "secret_key": "s"},
)
_CHECK = "call_command('check', verbosity=0)\n"
_USE = "from django.core.files.storage import default_storage\ndefault_storage.url('a.txt')\n"

#: what a process does, ours and theirs
STARTS = {
    "import the storage": ("import django_fsspec.storage", "import storages.backends.s3"),
    "django.setup()": (_OURS, _THEIRS),
    "manage.py check": (_OURS + _CHECK, _THEIRS + _CHECK),
    "start and one url()": (_OURS + _USE, _THEIRS + _USE),
}


def process(code: str) -> Work:
    """Return a work that runs `code` in a process."""
    command = [sys.executable, "-c", code]
    return lambda n: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def rows(*, quick: bool) -> Iterator[Row]:
    for work, (ours, theirs) in STARTS.items():
        works = {OURS: process(ours), "django-storages": process(theirs)}
        yield from rows_of(work, in_turns(works, rounds=turns(quick)))


if __name__ == "__main__":
    main(rows, __doc__ or "")
