"""``FSSpecStorage``: Django's storage API over any fsspec filesystem, sync and async."""

from __future__ import annotations

import functools
from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from datetime import datetime
from typing import Any, NamedTuple, Self

from django.apps import AppConfig, apps
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import File
from django.core.files.storage import Storage, storages
from django.core.files.utils import validate_file_name
from django.core.signals import setting_changed

from django_fsspec.core import names
from django_fsspec.core.flows import Flow
from django_fsspec.core.stat import Stat
from django_fsspec.exceptions import NotSupported
from django_fsspec.signals import file_deleted, file_stored

from .aliases import alias_of, storage_of
from .error_translation import ErrorTranslator
from .flows import StorageFlows
from .open_files import StoredFile
from .options import Arguments, ObjectOptions, OptionError, StorageOptions, check_names
from .prefixes import ToldPrefix
from .url_options import MaskedURL, holds_secret, read_url
from .urls import StorageURLs

#: settings of Django's that storages of local files follow
_DJANGO_SETTINGS = frozenset(
    {
        "MEDIA_ROOT",
        "MEDIA_URL",
        "STATIC_ROOT",
        "FILE_UPLOAD_PERMISSIONS",
        "FILE_UPLOAD_DIRECTORY_PERMISSIONS",
    }
)
#: option -> id of the check that finds it wrong; E001 for the others
_CHECK_IDS = {
    "fs": "django_fsspec.E003",
    "fs_options": "django_fsspec.E004",
    "prefix": "django_fsspec.E005",
    "object_options": "django_fsspec.E006",
    "gzip": "django_fsspec.E007",
    "url_signer": "django_fsspec.E008",
}


#: tenants whose prefixes a storage has at hand
_TENANTS = 256


class _Bound(NamedTuple):
    """The operations and the URLs under one prefix."""

    flows: StorageFlows
    urls: StorageURLs


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

    Example::

        storage = FSSpecStorage(fs="memory", prefix="example-of-storage")
        name = storage.save("may.txt", ContentFile(b"all is well"))
        assert storage.get_content(name) == b"all is well"

    Every method that does I/O has an async twin with an ``a`` in front and the same signature.
    Sizes are in bytes, durations in seconds, request counts those of S3.

    Names are relative to `prefix`. Each method that takes a name raises
    ``SuspiciousFileOperation`` for one that is unsafe or that the service can't hold (URLs under
    `base_url`: only for an unsafe one). Each method that makes a request raises
    ``PermissionError`` where the service refuses access,
    ``TimeoutError`` where it does not answer in `timeout`, and
    ``django_fsspec.exceptions.StorageError`` for other failures; all are ``OSError``. Options
    that can't work raise ``ImproperlyConfigured``. The docstrings of the methods name what they
    raise beyond these.
    """

    #: the options as passed, by which the alias is found
    _arguments: Arguments
    #: whether `fs` is a URL with a secret that settings pages show
    _shows_secret = False

    def __new__(cls, *args: Any, **options: Any) -> Self:
        """Remember the options before a subclass' ``__init__()`` changes them."""
        storage = super().__new__(cls)
        # an alias passes OPTIONS by name: positional ones make a storage that no alias has
        storage._arguments = Arguments({**options, "*": args} if args else options)
        return storage

    def __init__(
        self,
        *,
        fs: Any = None,
        fs_options: Mapping[str, Any] | None = None,
        prefix: str | Callable[[], str] = "",
        base_url: str | None = None,
        url_expires_in: int = 3600,
        url_signer: Any = None,
        allow_overwrite: bool = False,
        object_options: ObjectOptions | None = None,
        gzip: bool | Collection[str] = False,
        checksum: str | None = "sha256",
        chunk_size: int = 8 * 1024 * 1024,
        max_concurrency: int = 4,
        max_connections: int = 64,
        timeout: float = 30,
        retries: int = 2,
        file_permissions_mode: int | None = None,
        directory_permissions_mode: int | None = None,
        label: Any = "",
        **unknown: Any,
    ) -> None:
        arguments = {k: v for k, v in locals().items() if k in StorageOptions.__slots__}
        try:
            check_names([*unknown, *(["fs"] if fs is not None else [])])
            arguments |= {"fs_options": fs_options or {}, "object_options": object_options or {}}
            arguments |= self._read_url(arguments)
            self.options = StorageOptions(**arguments)
        except OptionError as error:
            # debug pages show what this frame holds
            del fs, fs_options, prefix, object_options, url_signer, unknown, arguments
            raise self._misconfigured(error) from None
        self._reset()
        setting_changed.connect(self._setting_changed)

    def _read_url(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the URL in `fs` says, of which the options beside it say nothing."""
        fs, fs_options = arguments["fs"], arguments["fs_options"]
        if not isinstance(fs, str) or not isinstance(fs_options, Mapping):
            return {}
        read = read_url(fs, fs_options)
        for name in read.options:
            if name in self._arguments.values:
                raise OptionError("fs", f"has {name!r}, which is set twice: leave one out.")
        self._shows_secret = not isinstance(fs, MaskedURL) and holds_secret(read, fs_options)
        return {**read.options, "fs": read.fs, "fs_options": read.fs_options}

    def _misconfigured(self, error: OptionError) -> ImproperlyConfigured:
        alias = alias_of(self, self._arguments)
        return ErrorTranslator({}, alias, 0, 0).misconfigured(error)

    def _reset(self) -> None:
        flows = StorageFlows(self, self.options, self._arguments)
        #: without a prefix that a callable tells
        self.base_flows = flows
        self._told_prefix = ToldPrefix.of(self.options.prefix)
        if self._told_prefix is None:
            self._bound: Callable[[str], _Bound] | None = None
            self._static = _Bound(flows, StorageURLs(flows))
        else:
            # the work of each tenant is bound to its prefix, wherever it goes on
            remembered: dict[Any, Any] = {}
            self._bound = functools.lru_cache(maxsize=_TENANTS)(
                lambda prefix: _Bound(bound := flows.under(prefix), StorageURLs(bound, remembered))
            )

    @property
    def flows(self) -> StorageFlows:
        """The operations, under the prefix of now where a callable tells it.

        Then it raises ``ImproperlyConfigured`` where that tells none.
        """
        return self._static.flows if self._bound is None else self._now().flows

    @property
    def urls(self) -> StorageURLs:
        """The URLs of files, under the prefix of now where a callable tells it. See `flows`."""
        return self._static.urls if self._bound is None else self._now().urls

    def _now(self) -> _Bound:
        assert self._bound is not None
        assert self._told_prefix is not None
        try:
            return self._bound(self._told_prefix())
        except OptionError as error:
            raise self.base_flows.errors.misconfigured(error) from error.__cause__

    @property
    def told_prefixes(self) -> tuple[ToldPrefix, ...]:
        """The callable that tells the prefix, where there is one."""
        return () if self._told_prefix is None else (self._told_prefix,)

    def pinned(self) -> Self:
        """Return this storage under the prefix of now, for work that goes on elsewhere.

        Raises ``ImproperlyConfigured`` where a callable tells no prefix.
        """
        return self if self._bound is None else self._copy_of(self._now())

    @property
    def is_pinned(self) -> bool:
        """Whether ``pinned()`` gave this storage, with a prefix that a callable told."""
        return self._bound is None and self._static.flows is not self.base_flows

    def _at_base(self) -> Self:
        """Return this storage where the folders of all tenants are, to find out what that is."""
        flows = self.base_flows.under("")
        return self._copy_of(_Bound(flows, StorageURLs(flows)))

    def _copy_of(self, bound: _Bound) -> Self:
        # not by copy(), which gives the storage of the alias, as pickle does
        storage = object.__new__(type(self))
        vars(storage).update(vars(self))
        storage._static, storage._bound, storage._told_prefix = bound, None, None
        storage.options = bound.flows.options
        return storage

    def _setting_changed(self, *, setting: str, **kwargs: Any) -> None:
        if setting in _DJANGO_SETTINGS:
            self._reset()

    @property
    def alias(self) -> str | None:
        """The alias in ``settings.STORAGES``, or None for a storage made by hand."""
        return self.base_flows.alias

    def _default_root(self) -> str:
        """Return the folder of a local storage whose options name none: MEDIA_ROOT."""
        return str(settings.MEDIA_ROOT)

    def __repr__(self) -> str:
        if not hasattr(self, "base_flows"):
            return f"<{type(self).__name__} with wrong options>"
        fs = self.options.fs
        shown = self.base_flows.errors.hidden(fs) if isinstance(fs, str) else type(fs).__name__
        return f"<{type(self).__name__} {shown} alias={self.alias!r}>"

    def deconstruct(self) -> tuple[str, tuple[str, ...], dict[str, Any]]:
        """Return ``storage_of`` and the alias, for migrations: options may hold secrets.

        Raises ``ImproperlyConfigured`` for a storage that is not in ``settings.STORAGES``.
        """
        if self.alias is None:
            raise ImproperlyConfigured(
                "A FSSpecStorage made by hand can't go into a migration, where its secrets would "
                "be written down: configure it in STORAGES and pass storages['alias'] or a "
                "callable that returns it."
            )
        return "django_fsspec.storage.storage_of", (self.alias,), {}

    def __reduce__(self) -> tuple[Any, ...]:
        _, arguments, _ = self.deconstruct()
        return storage_of, arguments

    def check(self) -> list[checks.CheckMessage]:
        """Return what `manage.py check` reports about the options. No request."""
        errors = self.base_flows.errors
        try:
            self.base_flows.validate()
            StorageURLs(self.base_flows).validate()
        except OptionError as error:
            check_id = _CHECK_IDS.get(error.option, "django_fsspec.E001")
            return [checks.Error(str(errors.misconfigured(error)), id=check_id)]
        messages: list[checks.CheckMessage] = []
        if self._shows_secret:
            messages.append(
                checks.Warning(
                    f"{errors.setting('fs')} is a URL with a secret, which Django's debug pages "
                    "and diffsettings show.",
                    hint="Write django_fsspec.from_url('…') in its place, or set the secret in "
                    "'fs_options'.",
                    id="django_fsspec.W010",
                )
            )
        urls = StorageURLs(self.base_flows)
        if urls.need_views and not urls.have_views:
            messages.append(
                checks.Warning(
                    f"{errors.where} has no way to make URLs: the service signs none and "
                    "django_fsspec.urls is not in the URLconf.",
                    hint=f"Set {errors.setting('base_url')}, or add "
                    "path('files/', include('django_fsspec.urls')) to the URLconf.",
                    id="django_fsspec.W001",
                )
            )
        return messages

    # names

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        """Check `name`, shorten it to `max_length` characters and return it. No request.

        With a `max_length` it is also shortened to the bytes that the service can hold.
        It may be taken. ``save()`` finds that out when it writes, and tries names of
        ``get_alternative_name()`` then: an answer given here would be outdated at once.
        """
        name = str(name)
        if max_length is not None:
            name = names.shortened(name, self.flows.room(max_length))
        self.flows.path(name)
        return name if self.options.allow_overwrite else names.RoomyName(name, max_length)

    async def ais_name_available(self, name: str, max_length: int | None = None) -> bool:
        """See is_name_available()."""
        exceeds_max_length = max_length and len(name) > max_length
        return not await self.aexists(name) and not exceeds_max_length

    # saving

    def _save(self, name: str, content: Any) -> str:
        return self.flows.change(file_stored, self._saving(name, content)).name

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
        saving = self._saving(prepared, content)
        stored = (await self.flows.achange(file_stored, saving)).name
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

        As ``save()``, which returns only the name. `content` is a file, an iterable of bytes,
        bytes or text. `content_type` and `metadata` go before the object options. `checksum` is
        an algorithm of ``hashlib``, True for that of the options, False for none.

        A taken name is replaced by a free one, unless `exact` is set: then it raises
        ``FileExistsError``. Raises ``NotSupported`` on a read-only filesystem, and for `metadata`
        that the service can't keep. What reading `content` raises passes through.
        """
        own_options = {"content_type": content_type, "metadata": metadata}
        storing = self._storing(name, content, max_length, own_options, checksum, exact)
        return self.flows.change(file_stored, storing)

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
        storing = self._storing(name, content, max_length, own_options, checksum, exact)
        return await self.flows.achange(file_stored, storing)

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
        Raises ``FileNotFoundError``.
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
        """Yield the file's bytes from `start` to `end` (exclusive) in pieces: 1 request.

        Memory is bounded. A broken connection is resumed from where it broke, up to `retries`
        times. The iterator raises ``FileNotFoundError`` when it is first used, and
        ``StorageError`` when the file changed before it was resumed.
        """
        return self.flows.iterate(self.flows.chunks(name, start, end))

    def astream(
        self, name: str, start: int | None = None, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """See stream()."""
        return self.flows.aiterate(self.flows.chunks(name, start, end))

    def stat(self, name: str) -> Stat:
        """Return what the service says about a file: 1 request. Raises ``FileNotFoundError``."""
        return self.flows.run(self.flows.stat(name))

    async def astat(self, name: str) -> Stat:
        """See stat()."""
        return await self.flows.arun(self.flows.stat(name))

    def digest(self, name: str, algorithm: str = "sha256") -> tuple[int, str]:
        """Read a file and return its size and ``"<algorithm>:<hex>"``: 1 request.

        Both are those of the stored bytes, which are compressed with the option `gzip`.
        Raises ``FileNotFoundError``, and ``ValueError`` for an algorithm that ``hashlib`` lacks.
        """
        return self.flows.run(self.flows.digest(name, algorithm))

    async def adigest(self, name: str, algorithm: str = "sha256") -> tuple[int, str]:
        """See digest()."""
        return await self.flows.arun(self.flows.digest(name, algorithm))

    def exists(self, name: str) -> bool:
        """Return whether a file of this name exists: 1 request. A directory is not a file."""
        return self.flows.run(self.flows.exists(name))

    async def aexists(self, name: str) -> bool:
        """See exists()."""
        return await self.flows.arun(self.flows.exists(name))

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """Return the names of directories and of files in `path`: 1 request per 1000.

        Raises ``FileNotFoundError`` when there is no such directory.
        """
        return self.flows.run(self.flows.listdir(path))

    async def alistdir(self, path: str) -> tuple[list[str], list[str]]:
        """See listdir()."""
        return await self.flows.arun(self.flows.listdir(path))

    def walk(self, prefix: str = "") -> Iterator[Stat]:
        """Yield every file under the directory `prefix`, in the order of the listing.

        Object stores list in constant memory, most of them ordered by name. 1 request per 1000
        files; on filesystems with real directories 1 per directory. A directory that does not
        exist yields nothing. Files that are reached through a link to a directory are left out,
        unless the link is `prefix`.
        """
        return self.flows.iterate(self.flows.walk(prefix))

    def awalk(self, prefix: str = "") -> AsyncIterator[Stat]:
        """See walk()."""
        return self.flows.aiterate(self.flows.walk(prefix))

    def size(self, name: str) -> int:
        """Return the size of a file in bytes, as stored: 1 request.

        Raises ``FileNotFoundError``, and ``NotSupported`` where the service does not say sizes.
        """
        return self._size(self.flows.run(self.flows.size(name)))

    async def asize(self, name: str) -> int:
        """See size()."""
        return self._size(await self.flows.arun(self.flows.size(name)))

    def _size(self, size: int | None) -> int:
        if size is None:
            raise NotSupported(f"{self.flows.errors.where} does not say how large a file is.")
        return size

    def get_modified_time(self, name: str) -> datetime:
        """Return when the file last changed, aware iff USE_TZ: 1 request.

        Raises ``FileNotFoundError``, and ``NotImplementedError`` where the service keeps no time.
        """
        return self._time(self.stat(name), "last_modified")

    async def aget_modified_time(self, name: str) -> datetime:
        """See get_modified_time()."""
        return self._time(await self.astat(name), "last_modified")

    def get_created_time(self, name: str) -> datetime:
        """Return when the file was created, aware iff USE_TZ: 1 request.

        Where the service keeps no creation time, this is the time of the last change: objects
        are never changed in place. Raises as ``get_modified_time()``.
        """
        return self._time(self.stat(name), "created", "last_modified")

    async def aget_created_time(self, name: str) -> datetime:
        """See get_created_time()."""
        return self._time(await self.astat(name), "created", "last_modified")

    def get_accessed_time(self, name: str) -> datetime:
        """Return when the file was last read, aware iff USE_TZ: 1 request.

        Raises ``FileNotFoundError``, and ``NotImplementedError`` where the service does not keep
        it, as Django's base class does.
        """
        return self._time(self.stat(name), "accessed")

    async def aget_accessed_time(self, name: str) -> datetime:
        """See get_accessed_time()."""
        return self._time(await self.astat(name), "accessed")

    def _time(self, stat: Stat, *fields: str) -> datetime:
        times = (getattr(stat, field) for field in fields)
        time: datetime | None = next((time for time in times if time is not None), None)
        if time is None:
            label = fields[0].replace("_", " ")
            raise NotImplementedError(f"{self.flows.errors.where} keeps no {label} time.")
        # naive in the system's time zone, not in the active one: as Django's FileSystemStorage
        return time if settings.USE_TZ else time.astimezone().replace(tzinfo=None)

    def path(self, name: str) -> str:
        """Return the path of a file on this machine's disk. No request.

        Raises ``NotImplementedError`` for a filesystem that is not local.
        """
        # "" is the root: collectstatic asks for it to find out whether files are local
        path = self.flows.path(name) if name else self.flows.directory("")
        return self.flows.adapter.local_path(path)

    # changing

    def delete(self, name: str) -> None:
        """Delete a file: 1 request. A missing file is not an error.

        Raises ``ValueError`` for an empty name, ``NotSupported`` on a read-only filesystem.
        """
        self.flows.change(file_deleted, self.flows.delete(name), [name])

    async def adelete(self, name: str) -> None:
        """See delete()."""
        await self.flows.achange(file_deleted, self.flows.delete(name), [name])

    def delete_many(self, names: Iterable[str]) -> None:
        """Delete files: 1 request per 1000 files. Missing files are not an error.

        After all were tried, raises ``StorageError`` for files that could not be deleted; its
        attribute `names` lists them. Raises ``NotSupported`` on a read-only filesystem, and
        ``SuspiciousFileOperation`` for a name that is refused; then no file was deleted.
        """
        names = list(names)
        self.flows.change(file_deleted, self.flows.delete_many(names), names)

    async def adelete_many(self, names: Iterable[str]) -> None:
        """See delete_many()."""
        names = list(names)
        await self.flows.achange(file_deleted, self.flows.delete_many(names), names)

    def copy(self, src: str, dst: str, *, origin: FSSpecStorage | None = None) -> str:
        """Copy a file and return the name of the copy, a free one when `dst` is taken.

        1 request where the service can copy (S3: 2, one to look at `dst`); else the bytes are
        downloaded and uploaded. `origin` is the storage of `src` when it is not this one.

        Raises ``FileNotFoundError``; ``NotSupported`` on a read-only filesystem, and for an
        `origin` on another filesystem or with another option `gzip`.
        """
        copying = self.flows.copy(src, dst, origin.flows if origin else None)
        return self.flows.change(file_stored, copying)

    async def acopy(self, src: str, dst: str, *, origin: FSSpecStorage | None = None) -> str:
        """See copy()."""
        copying = self.flows.copy(src, dst, origin.flows if origin else None)
        return await self.flows.achange(file_stored, copying)

    # URLs

    def url(self, name: str | None) -> str:
        """Return a URL for reading the file: under `base_url`, else signed. No request.

        Where the credentials sign by a request, GCS makes 1 for a file, Azure 1 an hour. Signed
        URLs expire in `url_expires_in` seconds, or up to a tenth earlier: they stay the
        same for a while, so that browsers can cache the file. Presigned URLs of what a browser
        could run, such as HTML, answer with an attachment. Raises ``ValueError`` for None, and
        ``ImproperlyConfigured`` where there is no way to make URLs.
        """
        if name is None:
            raise ValueError("This file has no name, so it has no URL.")
        if self.options.url_signer is None and (public := self.urls.public(name)) is not None:
            return public
        return self.sign(name)

    def sign(
        self,
        name: str,
        expires_in: int | None = None,
        for_upload: bool = False,
        **headers: Any,
    ) -> str:
        """Return a URL to download the file, or with `for_upload` to upload it by PUT. No request.

        `expires_in` is in seconds. `headers` are object options (``content_type="text/csv"``):
        for a download, what the response says (by default an attachment for what a browser could
        run); for an upload, what the client must send. The URL is under `base_url` (downloads
        only), else presigned by the service, else one of ``django_fsspec.urls``. Requests are
        those of ``url()``.

        Raises ``ValueError`` for a lifetime that is not above zero, ``TypeError`` for an unknown
        header, ``ImproperlyConfigured`` where there is no way to make URLs, ``StorageError`` as
        ``url()``, and ``NotSupported`` for an upload to a read-only filesystem.
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


def get_storage(alias: str) -> FSSpecStorage:
    """Return the storage of `alias`, which type checkers then know to be a ``FSSpecStorage``.

    Example::

        assert get_storage("default").store("notes/may.txt", b"all is well").size == 11

    Raises ``ImproperlyConfigured`` for an alias that is of another class, and Django's
    ``InvalidStorageError``, which is one too, for an alias that is not in ``settings.STORAGES``.
    No request.
    """
    storage = storages[alias]
    if not isinstance(storage, FSSpecStorage):
        raise ImproperlyConfigured(
            f"STORAGES[{alias!r}]['BACKEND'] is {type(storage).__module__}."
            f"{type(storage).__qualname__}, which is not an FSSpecStorage. Set it to "
            f"'django_fsspec.storage.FSSpecStorage', or use Django's storages[{alias!r}]."
        )
    return storage
