"""``FSSpecStorage``: Django's storage API over any fsspec filesystem, sync and async."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Self

from django.apps import AppConfig, apps
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import File
from django.core.files.storage import Storage
from django.core.files.utils import validate_file_name
from django.core.signals import setting_changed
from django.utils import timezone

from django_fsspec.core import names
from django_fsspec.core.flows import Flow
from django_fsspec.core.stat import Stat
from django_fsspec.exceptions import NotSupported

from .aliases import alias_of, get_storage
from .errors import ErrorTranslator
from .flows import StorageFlows
from .open_files import StoredFile
from .options import ObjectOptions, OptionError, StorageOptions, check_names
from .urls import StorageURLs

#: settings of Django's that storages of local files follow
_DJANGO_SETTINGS = frozenset(
    {"MEDIA_ROOT", "MEDIA_URL", "FILE_UPLOAD_PERMISSIONS", "FILE_UPLOAD_DIRECTORY_PERMISSIONS"}
)
#: option -> number of the check that finds it wrong
_CHECK_IDS = {
    "fs": 3,
    "fs_options": 4,
    "prefix": 5,
    "object_options": 6,
    "gzip": 7,
}


@checks.register(checks.Tags.files)
def check_installed(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Check that the app of the storages in use is installed, which registers all other checks."""
    if apps.is_installed("django_fsspec"):
        return []
    return [
        checks.Error(
            "STORAGES uses django_fsspec, which is not in INSTALLED_APPS.",
            hint="Add 'django_fsspec' to INSTALLED_APPS.",
            id="django_fsspec.E002",
        )
    ]


class FSSpecStorage(Storage):
    """Files on any fsspec filesystem, configured by OPTIONS in ``settings.STORAGES``.

    Every method that does I/O has an async twin with an ``a`` in front and the same signature.
    Names are relative to `prefix`; one that could leave it raises ``SuspiciousFileOperation``.
    Failures are ``FileNotFoundError``, ``FileExistsError``, ``PermissionError``,
    ``TimeoutError`` or ``django_fsspec.exceptions.StorageError``, all of them ``OSError``.
    Sizes are in bytes, durations in seconds, request counts those of S3.
    """

    #: the options as given, by which the alias is found
    _given: Mapping[str, Any]

    def __new__(cls, *args: Any, **options: Any) -> Self:
        """Remember the options before a subclass' ``__init__()`` changes them."""
        storage = super().__new__(cls)
        storage._given = options
        return storage

    def __init__(
        self,
        *,
        fs: Any = None,
        fs_options: Mapping[str, Any] | None = None,
        prefix: str = "",
        base_url: str | None = None,
        url_expires_in: int = 3600,
        allow_overwrite: bool = False,
        object_options: ObjectOptions | None = None,
        gzip: bool | Collection[str] = False,
        checksum: str | None = "sha256",
        chunk_size: int = 8 * 1024 * 1024,
        max_concurrency: int = 4,
        timeout: float = 30,
        retries: int = 2,
        file_permissions_mode: int | None = None,
        directory_permissions_mode: int | None = None,
        **unknown: Any,
    ) -> None:
        given = {k: v for k, v in locals().items() if k in StorageOptions.__slots__}
        try:
            check_names([*unknown, *(["fs"] if fs is not None else [])])
            given |= {"fs_options": fs_options or {}, "object_options": object_options or {}}
            self.options = StorageOptions(**given)
        except OptionError as error:
            raise self._misconfigured(error) from None
        self._reset()
        setting_changed.connect(self._setting_changed)

    def _misconfigured(self, error: OptionError) -> ImproperlyConfigured:
        alias = alias_of(self, self._given)
        return ErrorTranslator({}, alias, 0, 0).misconfigured(error)

    def _reset(self) -> None:
        self.flows = StorageFlows(self, self.options, self._given)
        self.urls = StorageURLs(self.flows)

    def _setting_changed(self, *, setting: str, **kwargs: Any) -> None:
        if setting in _DJANGO_SETTINGS:
            self._reset()

    @property
    def alias(self) -> str | None:
        """The alias in ``settings.STORAGES``, or None for a storage made by hand."""
        return self.flows.alias

    def __repr__(self) -> str:
        fs = self.options.fs
        shown = self.flows.errors.hidden(fs) if isinstance(fs, str) else type(fs).__name__
        return f"<{type(self).__name__} {shown} alias={self.alias!r}>"

    def deconstruct(self) -> tuple[str, tuple[str, ...], dict[str, Any]]:
        """Return the alias for migrations: options may hold secrets."""
        if self.alias is None:
            raise ImproperlyConfigured(
                "A FSSpecStorage made by hand can't go into a migration, where its secrets would "
                "be written down: configure it in STORAGES and pass storages['alias'] or a "
                "callable that returns it."
            )
        return "django_fsspec.storage.get_storage", (self.alias,), {}

    def __reduce__(self) -> tuple[Any, ...]:
        _, arguments, _ = self.deconstruct()
        return get_storage, arguments

    def check(self) -> list[checks.CheckMessage]:
        """Return what `manage.py check` says of these options; no I/O."""
        errors = self.flows.errors
        try:
            self.flows.validate()
        except OptionError as error:
            number = _CHECK_IDS.get(error.option, 1)
            return [
                checks.Error(str(errors.misconfigured(error)), id=f"django_fsspec.E{number:03}")
            ]
        if self.urls.need_views and not self.urls.have_views:
            return [
                checks.Warning(
                    f"{errors.where} can't sign URLs and django_fsspec's own are not included.",
                    hint=f"Set {errors.setting('base_url')}, or add "
                    "path('files/', include('django_fsspec.urls')) to the URLconf.",
                    id="django_fsspec.W001",
                )
            ]
        return []

    # names

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        """Return `name`, cut to `max_length` and checked; makes no request.

        Whether it is free is found out by writing it: a check here would be true only until
        the next process writes (and cost a request). A clash ends in ``get_alternative_name()``.
        """
        name = names.truncated(str(name), max_length)
        self.flows.path(name)
        return name if self.options.allow_overwrite else names.RoomyName(name, max_length)

    async def ais_name_available(self, name: str, max_length: int | None = None) -> bool:
        """See is_name_available()."""
        exceeds_max_length = max_length and len(name) > max_length
        return not await self.aexists(name) and not exceeds_max_length

    # saving

    def _save(self, name: str, content: Any) -> str:
        return self.flows.run(self._saving(name, content)).name

    def _saving(self, name: str, content: Any) -> Flow[Stat]:
        return self.flows.save(
            str(name),
            content,
            overwrite=self.options.allow_overwrite,
            max_length=getattr(name, "max_length", None),
            # save() returns the name alone: nobody would see it
            checksum=False,
        )

    async def asave(self, name: str | None, content: Any, max_length: int | None = None) -> str:
        """See save()."""
        prepared, content = self._prepared(name, content, max_length)
        stored = (await self.flows.arun(self._saving(prepared, content))).name
        validate_file_name(stored, allow_relative_path=True)
        return stored

    def _prepared(self, name: str | None, content: Any, max_length: int | None) -> tuple[str, Any]:
        """Do what ``Storage.save()`` does before ``_save()``."""
        if name is None:
            name = content.name
        if not hasattr(content, "chunks"):
            content = File(content, name)
        validate_file_name(name, allow_relative_path=True)
        name = self.get_available_name(name, max_length=max_length)
        validate_file_name(name, allow_relative_path=True)
        return name, content

    def store(
        self,
        name: str,
        content: Any,
        *,
        max_length: int | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        checksum: bool | str = True,
        exact: bool = False,
    ) -> Stat:
        """Save `content` and return what was stored: 1 request up to ``chunk_size``.

        As ``save()``, which returns the name alone. `checksum` is an algorithm of ``hashlib``,
        True for that of the options, False for none. With `exact` a taken name is a
        ``FileExistsError``.
        """
        own_options = {"content_type": content_type, "metadata": metadata}
        return self.flows.run(
            self._storing(name, content, max_length, own_options, checksum, exact)
        )

    async def astore(
        self,
        name: str,
        content: Any,
        *,
        max_length: int | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        checksum: bool | str = True,
        exact: bool = False,
    ) -> Stat:
        """See store()."""
        own_options = {"content_type": content_type, "metadata": metadata}
        return await self.flows.arun(
            self._storing(name, content, max_length, own_options, checksum, exact)
        )

    def _storing(
        self,
        name: str,
        content: Any,
        max_length: int | None,
        own_options: Mapping[str, Any],
        checksum: bool | str,
        exact: bool,
    ) -> Flow[Stat]:
        return self.flows.save(
            # a plain str: pickles of a FileObject hold the name
            str(self.get_available_name(name, max_length)),
            content,
            overwrite=self.options.allow_overwrite and not exact,
            max_length=max_length,
            own_options={key: value for key, value in own_options.items() if value},
            checksum=checksum,
            exact=exact,
        )

    # reading

    def _open(self, name: str, mode: str = "rb") -> StoredFile:
        return self.flows.run(self.flows.open(name, mode))

    async def aopen(self, name: str, mode: str = "rb") -> StoredFile:
        """See open()."""
        return await self.flows.arun(self.flows.open(name, mode))

    def get_content(self, name: str, start: int | None = None, end: int | None = None) -> bytes:
        """Return the file's bytes from `start` to `end` (exclusive): 1 request.

        Negative offsets count from the end, for 1 request more. Past the end is ``b""``.
        """
        return self.flows.run(self.flows.content(name, start, end))

    async def aget_content(
        self, name: str, start: int | None = None, end: int | None = None
    ) -> bytes:
        """See get_content()."""
        return await self.flows.arun(self.flows.content(name, start, end))

    def stream(
        self, name: str, start: int | None = None, end: int | None = None
    ) -> Iterator[bytes]:
        """Yield the file's bytes from `start` to `end` in pieces: 1 request, flat memory.

        A broken connection is resumed from where it broke, up to `retries` times.
        """
        return self.flows.iterate(self.flows.chunks(name, start, end))

    def astream(
        self, name: str, start: int | None = None, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """See stream()."""
        return self.flows.aiterate(self.flows.chunks(name, start, end))

    def stat(self, name: str) -> Stat:
        """Return all that the backend tells about a file: 1 request."""
        return self.flows.run(self.flows.stat(name))

    async def astat(self, name: str) -> Stat:
        """See stat()."""
        return await self.flows.arun(self.flows.stat(name))

    def digest(self, name: str, algorithm: str = "sha256") -> tuple[int, str]:
        """Read a file and return its size and ``"<algorithm>:<hex>"``, as stored: 1 request."""
        return self.flows.run(self.flows.digest(name, algorithm))

    async def adigest(self, name: str, algorithm: str = "sha256") -> tuple[int, str]:
        """See digest()."""
        return await self.flows.arun(self.flows.digest(name, algorithm))

    def exists(self, name: str) -> bool:
        """Return whether there is a file of this name: 1 request. A directory is no file."""
        return self.flows.run(self.flows.exists(name))

    async def aexists(self, name: str) -> bool:
        """See exists()."""
        return await self.flows.arun(self.flows.exists(name))

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """Return the names of directories and of files in `path`: 1 request a thousand."""
        return self.flows.run(self.flows.listdir(path))

    async def alistdir(self, path: str) -> tuple[list[str], list[str]]:
        """See listdir()."""
        return await self.flows.arun(self.flows.listdir(path))

    def walk(self, prefix: str = "") -> Iterator[Stat]:
        """Yield every file under the directory `prefix`, in the order of the listing.

        Object stores' listings are in constant memory, and most of them ordered by name.
        1 request a thousand files; on backends with real directories 1 a directory.
        """
        return self.flows.iterate(self.flows.walk(prefix))

    def awalk(self, prefix: str = "") -> AsyncIterator[Stat]:
        """See walk()."""
        return self.flows.aiterate(self.flows.walk(prefix))

    def size(self, name: str) -> int:
        """Return the size of a file, in bytes: 1 request."""
        return self._size(self.flows.run(self.flows.size(name)))

    async def asize(self, name: str) -> int:
        """See size()."""
        return self._size(await self.flows.arun(self.flows.size(name)))

    def _size(self, size: int | None) -> int:
        if size is None:
            raise NotSupported(f"{self.flows.errors.where} does not tell sizes.")
        return size

    def get_modified_time(self, name: str) -> datetime:
        """Return when the file last changed, aware iff USE_TZ: 1 request."""
        return self._time(self.stat(name), "last_modified")

    async def aget_modified_time(self, name: str) -> datetime:
        """See get_modified_time()."""
        return self._time(await self.astat(name), "last_modified")

    def get_created_time(self, name: str) -> datetime:
        """Return when the file was created, aware iff USE_TZ: 1 request.

        Objects are never changed in place, so where a backend tells no creation time the time
        of the last change is it.
        """
        return self._time(self.stat(name), "created", "last_modified")

    async def aget_created_time(self, name: str) -> datetime:
        """See get_created_time()."""
        return self._time(await self.astat(name), "created", "last_modified")

    def get_accessed_time(self, name: str) -> datetime:
        """Return when the file was last read, aware iff USE_TZ: 1 request.

        ``NotImplementedError`` where the backend does not keep it, as Django's base class.
        """
        return self._time(self.stat(name), "accessed")

    async def aget_accessed_time(self, name: str) -> datetime:
        """See get_accessed_time()."""
        return self._time(await self.astat(name), "accessed")

    def _time(self, stat: Stat, *fields: str) -> datetime:
        found = next((t for f in fields if (t := getattr(stat, f)) is not None), None)
        if found is None:
            kind = fields[0].replace("_", " ")
            raise NotImplementedError(f"{self.flows.errors.where} keeps no {kind} time.")
        return found if settings.USE_TZ else timezone.make_naive(found)

    def path(self, name: str) -> str:
        """Return where the file lies on this machine's disk; local filesystems only."""
        # "" is the root: collectstatic asks for it to find out whether files are local
        path = self.flows.path(name) if name else self.flows.directory("")
        return self.flows.adapter.local_path(path)

    # changing

    def delete(self, name: str) -> None:
        """Delete a file: 1 request. A missing one is no error."""
        if not name:
            raise ValueError("The name must be given to delete().")
        self.flows.run(self.flows.delete(name))

    async def adelete(self, name: str) -> None:
        """See delete()."""
        if not name:
            raise ValueError("The name must be given to delete().")
        await self.flows.arun(self.flows.delete(name))

    def delete_many(self, names: Iterable[str]) -> None:
        """Delete files: 1 request a thousand. Missing ones are no error.

        ``StorageError`` tells of what could not be deleted, after all of it was tried.
        """
        self.flows.run(self.flows.delete_many(list(names)))

    async def adelete_many(self, names: Iterable[str]) -> None:
        """See delete_many()."""
        await self.flows.arun(self.flows.delete_many(list(names)))

    def copy(self, src: str, dst: str, *, origin: FSSpecStorage | None = None) -> str:
        """Copy a file and return the copy's name, which is another one when `dst` is taken.

        Inside the backend where it can; else the bytes pass through here. `origin` is the storage
        of `src` when it is another one: ``NotSupported`` unless both are of one filesystem.
        """
        return self.flows.run(self.flows.copy(src, dst, origin.flows if origin else None))

    async def acopy(self, src: str, dst: str, *, origin: FSSpecStorage | None = None) -> str:
        """See copy()."""
        return await self.flows.arun(self.flows.copy(src, dst, origin.flows if origin else None))

    # URLs

    def url(self, name: str | None) -> str:
        """Return a URL for reading the file: under `base_url`, else signed. No request.

        Signed URLs live `url_expires_in` seconds, up to a tenth less so that they stay the same
        for a while and browsers can cache what they point at.
        """
        if name is None:
            raise ValueError("This file has no name, so it has no URL.")
        return self.urls.public(name) or self.sign(name)

    def sign(
        self,
        name: str,
        expires_in: int | None = None,
        for_upload: bool = False,
        **headers: Any,
    ) -> str:
        """Return a URL that reads the file, or with `for_upload` writes it by PUT. No request.

        `headers` are object options (``content_type="text/csv"``): for reading, what the answer
        shall say; for uploading, what the client must send. Order: `base_url`, the backend's own
        signature, a URL of ``django_fsspec.urls``.
        """
        return self.flows.run(self.urls.url(name, expires_in, for_upload, headers))

    async def asign(
        self,
        name: str,
        expires_in: int | None = None,
        for_upload: bool = False,
        **headers: Any,
    ) -> str:
        """See sign()."""
        return await self.flows.arun(self.urls.url(name, expires_in, for_upload, headers))
