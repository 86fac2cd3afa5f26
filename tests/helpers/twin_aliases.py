"""Two aliases, "default" and "second", that reach one place in two ways."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from django.conf import settings
from django.test import override_settings

from tests import servers
from tests.helpers.backends import _local, _memory, _s3, _sftp, folder, scratch, server

Options = dict[str, Any]


def by_localhost(options: Options) -> Options:
    """Return options that reach an S3 server by another name."""
    fs_options = options["fs_options"]
    address = fs_options["endpoint_url"].replace("127.0.0.1", "localhost")
    return {**options, "fs_options": {**fs_options, "endpoint_url": address}}


def _s3_twice(name: str) -> tuple[Options, Options]:
    options = _s3(servers.SeaweedS3)(name)
    return options, by_localhost(options)


def _sftp_and_mounted(name: str) -> tuple[Options, Options]:
    return _sftp(servers.OpenSSH)(name), {
        "fs": "file",
        "prefix": str(server(servers.OpenSSH).root / name),
    }


def _mounted_and_sftp(name: str) -> tuple[Options, Options]:
    sftp, mounted = _sftp_and_mounted(name)
    return mounted, sftp


def _behind_link(name: str) -> tuple[Options, Options]:
    (scratch() / name).mkdir()
    link = scratch() / f"{name}-link"
    link.symlink_to(scratch() / name)
    return _local(name), {"fs": "file", "prefix": str(link)}


def _memory_twice(name: str) -> tuple[Options, Options]:
    return _memory(name), {**_memory(name), "timeout": 5}


def _djangos(name: str) -> tuple[Options, Options]:
    return _local(name), {"location": str(scratch() / name)}


def _djangos_twice(name: str) -> tuple[Options, Options]:
    return {"location": str(scratch() / name)}, {"location": str(scratch() / name)}


#: ways to one place of which the settings tell
BY_SETTINGS: dict[str, Callable[[str], tuple[Options, Options]]] = {
    "memory": _memory_twice,
    "behind a link": _behind_link,
    "Django's own": _djangos,
    "Django's own twice": _djangos_twice,
}
#: ways to one place that only a trial file finds
BY_TRIAL: dict[str, Callable[[str], tuple[Options, Options]]] = {
    "s3 by two addresses": _s3_twice,
    "sftp and mounted": _sftp_and_mounted,
    "mounted and sftp": _mounted_and_sftp,
}
ALL = {**BY_SETTINGS, **BY_TRIAL}


@contextlib.contextmanager
def twins(kind: str, inner: str = "", **others: Options) -> Iterator[None]:
    """Put the aliases in place; `inner` is a folder in which "second" has its root."""
    options = ALL[kind](folder())
    if inner:
        options[1]["prefix"] = f"{options[1]['prefix']}/{inner}"
    with installed(default=options[0], second=options[1], **others):
        yield


@contextlib.contextmanager
def installed(**options: Options) -> Iterator[None]:
    """Put aliases in place: of Django's own storage where options name a location."""
    changed = dict(settings.STORAGES)
    for alias, given in options.items():
        backend = "django_fsspec.storage.FSSpecStorage"
        if "location" in given:
            backend = "django.core.files.storage.FileSystemStorage"
        changed[alias] = {"BACKEND": backend, "OPTIONS": given}
    with override_settings(STORAGES=changed):
        yield
