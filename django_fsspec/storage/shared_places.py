"""Whether two storages share files: where settings do not tell, a trial file does.

Two storages may reach one place by two addresses: an internal and a public endpoint of a service,
a disk that is mounted and served by SFTP. Settings alone can't tell that. So before something is
deleted, a file is stored in one storage and looked up in the other.
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
import uuid
from collections.abc import Iterable
from typing import NamedTuple, Self, TypeAlias

from django.conf import STATICFILES_STORAGE_ALIAS, settings
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, Storage, storages
from django.utils.module_loading import import_string
from fsspec.registry import known_implementations

from django_fsspec.core.log_fields import log_fields
from django_fsspec.signals import muted

from .fsspec_storage import FSSpecStorage
from .locations import UNCHANGED, Place, Route, place_of, possible_routes, written_roots
from .prefixes import pins_of
from .url_options import chain_parts

logger = logging.getLogger("django_fsspec")

#: the class of the filesystem of the local disk
_LOCAL = known_implementations["file"]["class"]

#: seconds until aliases are asked again: disks get mounted / where one did not answer
_VALID, PAUSE = 3600, 60


class Sharing(NamedTuple):
    """How names in one storage read in another; no routes where the two share no files.

    `problem` says why that could not be found out. Then `routes` are all that are possible.
    """

    routes: tuple[Route, ...] = ()
    problem: str | None = None

    @property
    def back(self) -> Sharing:
        """The same, seen from the other storage."""
        return Sharing(tuple(route.back for route in self.routes), self.problem)


def known_sharing(place: Place | None, other: Place | None) -> Sharing | None:
    """Return what the settings alone tell, None where they tell nothing. No I/O."""
    if place is None or other is None:
        return None
    route = place.sure_route_to(other)
    if route is not None:
        return Sharing((route,))
    return Sharing() if place.is_apart_from(other) else None


def unknown_sharing(place: Place | None, other: Place | None, error: Exception) -> Sharing:
    """Return that two places may share files: `error` kept us from finding out."""
    # only the type of the error: messages of client libraries may hold a secret
    return Sharing(possible_routes(place, other), type(error).__name__)


class TrialFile:
    """A file that is stored in `storage` for a moment, to look it up in other storages.

    Example::

        with TrialFile(storages["default"]) as trial:
            sharing = trial.sharing_with(storages["s3"])

    It is stored when it is first looked up, and deleted at the end: 2 requests. That it can't be
    deleted is logged as a warning. `name` must be a fresh one; by default it is made up.
    """

    def __init__(
        self, storage: Storage, name: str | None = None, content: bytes = b"a trial"
    ) -> None:
        self._storage = storage
        self._wanted = name or f"django-fsspec-{uuid.uuid4().hex}.txt"
        self._content = content
        self._name: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._name is not None:
            self._delete(self._name)

    def store(self) -> str:
        """Store the file, unless it is stored; return its name. Raises what the storage raises."""
        if self._name is None:
            try:
                with muted():
                    self._name = self._storage.save(self._wanted, ContentFile(self._content))
            except BaseException:
                # only the answer may be lost
                self._delete(self._wanted)
                raise
        return self._name

    def _delete(self, name: str) -> None:
        try:
            with muted():
                self._storage.delete(name)
        except Exception as error:
            logger.warning(
                "The trial file %r could not be deleted from %r (%s).",
                name,
                self._storage,
                type(error).__name__,
                extra=log_fields(
                    getattr(self._storage, "alias", None),
                    name,
                    operation="delete",
                    error=error,
                ),
            )

    def is_in(self, other: Storage, route: Route = UNCHANGED) -> bool:
        """Return whether `other` has the file: 1 request; 2 for another package's without it.

        Raises what the storages raise.
        """
        name = route(self.store())
        return name is not None and (other.exists(name) or self._is_denied(other, name))

    def is_denied(self) -> bool:
        """Return whether the storage says that the file does not exist; raises what it raises."""
        return not self._storage.exists(self.store())

    def _is_denied(self, other: Storage, name: str) -> bool:
        """Return whether `other` has the file and says that it does not exist."""
        # storages of other packages may say so of any file, for saves to overwrite it
        if not isinstance(other, FSSpecStorage):
            # it answered a moment ago: that it raises now means that there is no file
            with contextlib.suppress(Exception), other.open(name) as file:
                return bool(file.read() == self._content)
        return False

    def sharing_with(self, other: Storage) -> Sharing:
        """Return how names in the storage of this file read in `other`.

        No request where settings tell, otherwise 1; where the roots lie in one another by their
        names 1 more, or 3 where that of `other` is the inner one. What `other` raises makes a
        `problem`. Raises ``ImproperlyConfigured``, and what storing the file raises.
        """
        place, other_place = place_of(self._storage), place_of(other)
        known = known_sharing(place, other_place)
        if known is not None:
            return known
        self.store()
        routes = possible_routes(place, other_place)
        try:
            return Sharing(tuple(route for route in routes if self._reaches(other, route)))
        except Exception as error:
            return unknown_sharing(place, other_place, error)

    def _reaches(self, other: Storage, route: Route) -> bool:
        if not route.strip:
            return self.is_in(other, route)
        # stored in the inner one: the outer one may not have the folder
        with TrialFile(other) as inner:
            return inner.is_in(self._storage, route.back)


# aliases


class _Answer(NamedTuple):
    sharing: Sharing
    #: when it was found out, in seconds of ``time.monotonic()``
    time: float


#: an alias, and what callables told of its prefix
_Key: TypeAlias = "tuple[str, *tuple[str, ...]]"


def _key(alias: str) -> _Key:
    return (alias, *pins_of([alias]).values())


#: what trials told of pairs of aliases, in this process
_answers: dict[tuple[_Key, _Key], _Answer] = {}
#: ``storages.backends`` of that time: another object after STORAGES changed
_backends: object = None


def remember(alias: str, other: str, sharing: Sharing) -> None:
    """Remember in this process what a trial told of two aliases: for an hour, a problem for 1 min.

    Until STORAGES changes.
    """
    global _backends  # noqa: PLW0603
    if _backends is not storages.backends:
        _answers.clear()
        _backends = storages.backends
    now = time.monotonic()
    key, other_key = _key(alias), _key(other)
    _answers[key, other_key] = _Answer(sharing, now)
    _answers[other_key, key] = _Answer(sharing.back, now)


def remembered(alias: str, other: str) -> Sharing | None:
    """Return what a trial told of two aliases lately, None where none did."""
    answer = _answers.get((_key(alias), _key(other)))
    if answer is None or _backends is not storages.backends:
        return None
    valid = PAUSE if answer.sharing.problem else _VALID
    return answer.sharing if time.monotonic() < answer.time + valid else None


def sharing_of(alias: str, others: Iterable[str]) -> dict[str, Sharing]:
    """Return how names on `alias`, from which files are to be deleted, read on other aliases.

    Asks by a trial file where neither settings nor an earlier trial tell: 3 requests for the first
    alias, 1 for each further one. Never raises.
    """
    sharings: dict[str, Sharing] = {}
    with contextlib.ExitStack() as stack:
        trial: TrialFile | None = None
        for other in others:
            sharing = remembered(alias, other)
            if sharing is None:
                try:
                    trial = trial or stack.enter_context(TrialFile(storages[alias]))
                    sharing = _sharing_by(trial, storages[alias], storages[other])
                except Exception as error:
                    sharing = unknown_sharing(_place_of(alias), _place_of(other), error)
                remember(alias, other, sharing)
            sharings[other] = sharing
    return sharings


def _sharing_by(trial: TrialFile, storage: Storage, other: Storage) -> Sharing:
    sharing = trial.sharing_with(other)
    if sharing.routes or place_of(storage) is not None:
        return sharing
    # a storage of an unknown class may delete in more places than it stores in
    with TrialFile(other) as theirs:
        return theirs.sharing_with(storage).back


def routes_to_other_aliases(alias: str) -> set[Route]:
    """Return by which routes names on `alias` may read on other aliases, besides unchanged.

    Without that of static files, which no row references. No request. Imports no client library
    but that of `alias` and of aliases that may have its kind of filesystem. Never raises.
    """
    place = _place_of(alias)
    routes: set[Route] = set()
    for other in settings.STORAGES:
        sharing = remembered(alias, other)
        if sharing is not None:
            routes.update(sharing.routes)
        elif other not in (alias, STATICFILES_STORAGE_ALIAS):
            for other_place in _possible_places(alias, other):
                routes.update(possible_routes(place, other_place))
    return routes - {UNCHANGED}


def _possible_places(alias: str, other: str) -> list[Place | None]:
    """Return where `other` may keep its files.

    A filesystem of another kind may be the same one, as a disk that is mounted and served by
    SFTP. Its root is told without importing a client library, as the settings write it.
    """
    if _is_cheap(alias, other):
        return [_place_of(other)]
    # that the options of an alias are wrong is told when it is used
    with contextlib.suppress(Exception):
        storage = storages[other]
        if isinstance(storage, FSSpecStorage):
            return [Place(root=root) for root in written_roots(storage.options)]
    return []


def _place_of(alias: str) -> Place | None:
    # that the options of an alias are wrong is told when it is used
    with contextlib.suppress(Exception):
        return place_of(storages[alias])
    return None


def _is_cheap(alias: str, other: str) -> bool:
    """Return whether the place of `other` needs no further import: it is local, or like `alias`.

    True, too, where only an import would tell.
    """
    kinds, other_kinds = _kinds(alias), _kinds(other)
    if kinds is None or other_kinds is None:
        return True
    return not other_kinds.isdisjoint(kinds | {_LOCAL})


def _kinds(alias: str) -> frozenset[str] | None:
    """Return the classes of an alias' filesystems, None where only an import would tell."""
    config = settings.STORAGES.get(alias, {})
    try:
        backend = import_string(config["BACKEND"])
    except Exception:
        return frozenset()
    if not isinstance(backend, type) or not issubclass(backend, FSSpecStorage):
        is_django = isinstance(backend, type) and issubclass(backend, FileSystemStorage)
        return frozenset({_LOCAL}) if is_django else frozenset()
    options = config.get("OPTIONS", {})
    fs = options.get("fs")
    has_target = "target_protocol" in (options.get("fs_options") or {})
    return _classes_of(fs) if isinstance(fs, str) and not has_target else None


def _classes_of(fs: str) -> frozenset[str] | None:
    protocols = [re.split(r"://|\?", part)[0] for part in chain_parts(fs)]
    classes = [known_implementations.get(protocol, {}).get("class") for protocol in protocols]
    # "dir" alone is a folder of a filesystem that is given ready-made
    return None if protocols == ["dir"] or None in classes else frozenset(classes)
