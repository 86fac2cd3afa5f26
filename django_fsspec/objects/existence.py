"""Whether stored files exist, asked for many at once; never raises."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from django.core.files.storage import storages

from django_fsspec.core.log_fields import log_fields
from django_fsspec.storage.prefixes import pin, pins_of

from .aliases import AliasAndName

logger = logging.getLogger("django_fsspec")


def missing(stored: Iterable[AliasAndName], *, concurrency: int = 32) -> list[AliasAndName]:
    """Return those of stored files that do not exist: 1 request each, 32 at once.

    Never raises: logs files of which a storage does not say it.
    """
    files = list(stored)
    exists = existence(files, concurrency=concurrency)
    return [file for file in files if exists[file] is False]


def existence(
    stored: Iterable[AliasAndName], *, concurrency: int = 32
) -> dict[AliasAndName, bool | None]:
    """Return whether stored files exist; None, and a log line, where a storage does not say it.

    1 request for each file. Never raises.
    """
    files = list(dict.fromkeys(stored))
    if len(files) < 2:
        return {file: _exists(file) for file in files}
    pins = pins_of({alias for alias, _ in files})
    with ThreadPoolExecutor(
        concurrency, "django-fsspec-existence", initializer=pin, initargs=(pins,)
    ) as pool:
        return dict(zip(files, pool.map(_exists, files), strict=True))


def _exists(file: AliasAndName) -> bool | None:
    alias, name = file
    try:
        return storages[alias].exists(name)
    except Exception as error:
        # only the type of the error: messages of client libraries may hold a secret
        logger.warning(
            "Whether %r exists on %r is unknown (%s).",
            name,
            alias,
            type(error).__name__,
            extra=log_fields(alias, name, operation="exists", error=error),
        )
        return None
