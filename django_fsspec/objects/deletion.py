"""Delete stored files by alias and name; never raises, so that others are deleted all the same."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable

from django.core.files.storage import storages

from django_fsspec import signals
from django_fsspec.core.log_fields import log_fields
from django_fsspec.exceptions import StorageError
from django_fsspec.storage.fsspec_storage import FSSpecStorage

from .aliases import AliasAndName
from .file_object import FileObject

logger = logging.getLogger("django_fsspec")


def discard(stored: Iterable[FileObject | AliasAndName]) -> list[AliasAndName]:
    """Delete stored files, given as files or (alias, name): 1 request for 1000 files on S3.

    Never raises: files that could not be deleted are logged and returned.
    """
    by_alias: defaultdict[str, list[str]] = defaultdict(list)
    for file in stored:
        alias, name = (file.backend, file.filename) if isinstance(file, FileObject) else file
        by_alias[alias].append(name)
    return [
        (alias, name)
        for alias, file_names in by_alias.items()
        for name in _undeleted(alias, file_names)
    ]


async def adiscard(stored: Iterable[FileObject | AliasAndName]) -> list[AliasAndName]:
    """See discard()."""
    return await asyncio.to_thread(discard, stored)


def _undeleted(alias: str, file_names: list[str]) -> list[str]:
    """Delete files of one storage; log and return those that could not be deleted."""
    errors: dict[str, Exception] = {}
    try:
        storage = storages[alias]
        if isinstance(storage, FSSpecStorage):
            # one bad name in a row keeps no files of other rows
            errors = storage.flows.refusals(file_names)
            with signals.muted():  # the caller knows what it means
                storage.delete_many([name for name in file_names if name not in errors])
        else:
            for name in file_names:
                try:
                    storage.delete(name)
                except Exception as error:
                    errors[name] = error
    except Exception as error:
        undeleted = error.names if isinstance(error, StorageError) else ()
        left = undeleted or [name for name in file_names if name not in errors]
        errors |= dict.fromkeys(left, error)
    if errors:
        # only the types of errors: messages of client libraries may hold a secret
        types = sorted({type(error).__name__ for error in errors.values()})
        logger.warning(
            "Unused files on %r could not be deleted (%s): %s. Find unreferenced files "
            "with `manage.py sweep_files`.",
            alias,
            ", ".join(types),
            ", ".join(map(repr, errors)),
            extra=log_fields(alias, operation="delete", files=[(alias, name) for name in errors]),
        )
    return list(errors)
