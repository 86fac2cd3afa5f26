"""``ReadThroughStorage``: two storages as one, while files move from one to the other."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import Any

from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import File
from django.core.files.storage import Storage, storages
from django.utils.deconstruct import deconstructible

from .core import flows
from .core.flows import Flow
from .storage.foreign import aperform, call_method, perform
from .storage.prefixes import PrefixCallable, pinned_storage, pins_of

#: names that are known to be on the new storage already
_REMEMBERED = 10_000


@deconstructible(path="django_fsspec.readthrough.ReadThroughStorage")
class ReadThroughStorage(Storage):
    """Reads from the alias `primary`, and from `fallback` what is not there; writes to `primary`.

    Example::

        storage = ReadThroughStorage(primary="s3", fallback="archive")
        name = storage.save("may.txt", ContentFile(b"all is well"))
        assert storages["s3"].exists(name)

    For a site whose ``FileField`` moves while it runs: configure it under the alias that the
    field uses, run ``migrate_files``, then put the new storage in its place. Any Django storages
    will do. Every method that does I/O has an async twin. A read costs what it costs on
    `primary`, and once more for what has not moved yet; so does ``url()``, which has to know
    where the file is, the first time.
    """

    def __init__(self, *, primary: str, fallback: str) -> None:
        if primary == fallback:
            raise ImproperlyConfigured(
                f"ReadThroughStorage: primary and fallback are both {primary!r}: name two aliases."
            )
        self._aliases = primary, fallback
        #: names, after the prefixes that callables told
        self._moved: OrderedDict[tuple[str, ...], None] = OrderedDict()
        #: both under the prefixes of one tenant
        self._pinned: tuple[Storage, Storage] | None = None

    def check(self) -> list[checks.CheckMessage]:
        """Return what `manage.py check` reports about the two aliases. No request."""
        aliases = ", ".join(map(repr, storages.backends))
        return [
            checks.Error(
                f"ReadThroughStorage: {option} {alias!r} is not in STORAGES, which has {aliases}.",
                hint="Add it, or name another.",
                id="django_fsspec.E014",
            )
            for option, alias in zip(("primary", "fallback"), self._aliases, strict=True)
            if alias not in storages.backends
        ]

    @property
    def primary(self) -> Storage:
        """Where files are written, and looked for first."""
        return storages[self._aliases[0]] if self._pinned is None else self._pinned[0]

    @property
    def fallback(self) -> Storage:
        """Where files are that have not moved yet."""
        return storages[self._aliases[1]] if self._pinned is None else self._pinned[1]

    @property
    def prefix_callables(self) -> tuple[PrefixCallable, ...]:
        """The callables that tell the prefixes of both."""
        both = (self.primary, self.fallback)
        return tuple(told for each in both for told in getattr(each, "prefix_callables", ()))

    @property
    def current_prefixes(self) -> tuple[str, ...]:
        """The prefixes of both now, of which callables tell them. Raises as ``pinned()``."""
        both = (self.primary, self.fallback)
        return tuple(told for each in both for told in getattr(each, "current_prefixes", ()))

    def pinned(self) -> ReadThroughStorage:
        """Return this storage under the prefixes of now, for work that goes on elsewhere.

        Raises ``ImproperlyConfigured`` where a callable tells no prefix.
        """
        storage = type(self)(primary=self._aliases[0], fallback=self._aliases[1])
        storage._pinned = pinned_storage(self.primary), pinned_storage(self.fallback)
        return storage

    @property
    def is_pinned(self) -> bool:
        """Whether ``pinned()`` gave this storage."""
        return self._pinned is not None

    def _run(self, flow: Flow[Any]) -> Any:
        return flows.run(flow, perform)

    async def _arun(self, flow: Flow[Any]) -> Any:
        return await flows.arun(flow, aperform)

    def _reading(self, method: str, name: str, *args: Any) -> Flow[Any]:
        try:
            return (yield from call_method(self.primary, method, name, *args))
        except FileNotFoundError:
            return (yield from call_method(self.fallback, method, name, *args))

    # reading

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        return self._run(self._opening(name, mode))  # type: ignore[no-any-return]

    async def aopen(self, name: str, mode: str = "rb") -> File[Any]:
        """See open()."""
        return await self._arun(self._opening(name, mode))  # type: ignore[no-any-return]

    def _opening(self, name: str, mode: str) -> Flow[Any]:
        if "r" in mode and "+" not in mode:
            return (yield from self._reading("open", name, mode))
        return (yield from call_method(self.primary, "open", name, mode))

    def exists(self, name: str) -> bool:
        """Return whether either storage has the file: 1 request, 2 where `primary` lacks it."""
        return bool(self._run(self._existing(name)))

    async def aexists(self, name: str) -> bool:
        """See exists()."""
        return bool(await self._arun(self._existing(name)))

    def _existing(self, name: str) -> Flow[bool]:
        if (yield from call_method(self.primary, "exists", name)):
            return True
        return bool((yield from call_method(self.fallback, "exists", name)))

    def size(self, name: str) -> int:
        """Return the size of the file in bytes. Raises ``FileNotFoundError``."""
        return int(self._run(self._reading("size", name)))

    async def asize(self, name: str) -> int:
        """See size()."""
        return int(await self._arun(self._reading("size", name)))

    def get_modified_time(self, name: str) -> datetime:
        """Return when the file last changed, aware iff USE_TZ. Raises ``FileNotFoundError``."""
        return self._run(self._reading("get_modified_time", name))  # type: ignore[no-any-return]

    async def aget_modified_time(self, name: str) -> datetime:
        """See get_modified_time()."""
        return await self._arun(self._reading("get_modified_time", name))  # type: ignore[no-any-return]

    def get_created_time(self, name: str) -> datetime:
        """Return when the file was created, aware iff USE_TZ. Raises ``FileNotFoundError``."""
        return self._run(self._reading("get_created_time", name))  # type: ignore[no-any-return]

    async def aget_created_time(self, name: str) -> datetime:
        """See get_created_time()."""
        return await self._arun(self._reading("get_created_time", name))  # type: ignore[no-any-return]

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """Return the directories and files that either storage has in `path`.

        Raises ``FileNotFoundError`` when neither has the directory.
        """
        return self._run(self._listing(path))  # type: ignore[no-any-return]

    async def alistdir(self, path: str) -> tuple[list[str], list[str]]:
        """See listdir()."""
        return await self._arun(self._listing(path))  # type: ignore[no-any-return]

    def _listing(self, path: str) -> Flow[tuple[list[str], list[str]]]:
        listings: list[tuple[list[str], list[str]]] = []
        missing: FileNotFoundError | None = None
        for storage in (self.primary, self.fallback):
            try:
                listings.append((yield from call_method(storage, "listdir", path)))
            except FileNotFoundError as error:
                missing = error
        if not listings and missing is not None:
            raise missing
        directories = {name: None for directories, _ in listings for name in directories}
        files = {name: None for _, files in listings for name in files}
        return list(directories), list(files)

    def url(self, name: str | None) -> str:
        """Return a URL of the storage that has the file: 1 request the first time, then none.

        Raises ``ValueError`` for None.
        """
        if name is None:
            raise ValueError("This file has no name, so it has no URL.")
        moved = self._key(name)
        if moved not in self._moved:
            if not self.primary.exists(name):
                return self.fallback.url(name)
            self._moved[moved] = None
            if len(self._moved) > _REMEMBERED:
                self._moved.popitem(last=False)
        return self.primary.url(name)

    def _key(self, name: str) -> tuple[str, ...]:
        """Return what a name is remembered by: it is another file for each tenant."""
        return (*pins_of(self._aliases).values(), name)

    # changing

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        """Return a name that `fallback` lacks: a file of the same name would be hidden."""
        storage = self.fallback
        if storage.exists(name):
            name = storage.get_available_name(name, max_length=max_length)
            while storage.exists(name):
                name = Storage.get_available_name(storage, name, max_length=max_length)
        return self.primary.get_available_name(name, max_length=max_length)

    def _save(self, name: str, content: Any) -> str:
        return self.primary._save(name, content)  # type: ignore[attr-defined, no-any-return]

    async def asave(self, name: str | None, content: Any, max_length: int | None = None) -> str:
        """See save()."""
        return await flows.in_thread(self.save, name, content, max_length)

    def delete(self, name: str) -> None:
        """Delete the file from both storages."""
        self._run(self._deleting(name))

    async def adelete(self, name: str) -> None:
        """See delete()."""
        await self._arun(self._deleting(name))

    def _deleting(self, name: str) -> Flow[None]:
        self._moved.pop(self._key(name), None)
        # the old one first: it must not come to light again
        yield from call_method(self.fallback, "delete", name)
        yield from call_method(self.primary, "delete", name)
