"""Spellings: whether what a storage finds under a name is spelled like it.

To ask for a name is not enough where names that differ in case or Unicode form are one: there, its
folders are listed.
"""

from __future__ import annotations

import itertools
import logging
import posixpath
import time
import weakref

from django.core.files.storage import Storage

from django_fsspec.audit.name_index import NameIndex
from django_fsspec.core.log_fields import log_fields
from django_fsspec.core.stat import Stat
from django_fsspec.storage.shared_places import PAUSE, TrialFile
from django_fsspec.storage.spelling import Folding, folding, trial_name

logger = logging.getLogger("django_fsspec")


class Spellings:
    """Tells whether what a storage finds under a name is spelled like it.

    A trial file beside the first name tells whether the storage folds names: 4 requests. Where it
    does, each folder above a name is listed once, and again for a name that the listing lacks.
    Listed names are kept in a temporary file.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._folding: Folding | None = None
        #: when a trial that failed is repeated, in seconds of ``time.monotonic()``
        self._again = 0.0
        self._index: NameIndex | None = None

    def has(self, name: str) -> bool:
        """Return whether `name`, which the storage finds, is in its listings.

        False where the storage folds names and lists none: nothing tells then. Raises what listing
        a folder raises.
        """
        if not self._folds(posixpath.dirname(name)):
            return True
        folder = ""
        for label in name.split("/"):
            path = posixpath.join(folder, label)
            if not self._lists(folder, path):
                return False
            folder = path
        return True

    def _folds(self, folder: str) -> bool:
        """Return whether the storage folds names, or that is not known.

        A trial that fails is repeated after a minute.
        """
        if self._folding is None and time.monotonic() >= self._again:
            try:
                # in the folder of the files: elsewhere, rights may be others
                name = posixpath.join(folder, trial_name())
                with TrialFile(self._storage, name) as trial:
                    self._folding = folding(self._storage, trial.store())
            except Exception as error:
                self._again = time.monotonic() + PAUSE
                logger.warning(
                    "Whether %r tells names apart by case and Unicode form could not be found out "
                    "(%s), so folders with files that were there before are listed.",
                    self._storage,
                    type(error).__name__,
                    extra=log_fields(
                        getattr(self._storage, "alias", None), operation="migrate", error=error
                    ),
                )
        return self._folding is None or any(self._folding)

    def _lists(self, folder: str, path: str) -> bool:
        if self._index is None:
            self._index = NameIndex()
            # a Copier has no end at which it could be closed; the index is a temporary file
            weakref.finalize(self, self._index.close)
        self._index.add_referenced(0, [path])
        if self._index.unlisted(0, [path]):
            try:
                folders, files = self._storage.listdir(folder)
            except NotImplementedError:
                return False  # Django's API lets a storage list nothing: then it is not confirmed
            labels = itertools.chain(folders, files)
            self._index.add_listed(
                0, (Stat(name=posixpath.join(folder, label)) for label in labels)
            )
        return not self._index.unlisted(0, [path])
