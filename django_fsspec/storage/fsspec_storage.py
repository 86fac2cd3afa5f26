"""``FSSpecStorage``: Django's storage API over any fsspec filesystem, sync and async."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import File
from django.core.files.storage import storages
from django.core.files.utils import validate_file_name

from django_fsspec.core import names
from django_fsspec.core.flows import Flow
from django_fsspec.core.stat import Stat
from django_fsspec.exceptions import NotSupported
from django_fsspec.signals import file_deleted, file_stored

from .configured_storage import ConfiguredStorage
from .open_files import StoredFile


class FSSpecStorage(ConfiguredStorage):
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
        return self.flows.change(file_stored, self._saving(name, content), "save", name).name

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
        stored = (await self.flows.achange(file_stored, saving, "save", prepared)).name
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
        return self.flows.change(file_stored, storing, "save", name)

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
        return await self.flows.achange(file_stored, storing, "save", name)

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
        return self.flows.run(self.flows.open(name, mode), "open", name)

    async def aopen(self, name: str, mode: str = "rb") -> StoredFile:
        """See open()."""
        return await self.flows.arun(self.flows.open(name, mode), "open", name)

    def get_content(self, name: str, start: int | None = None, end: int | None = None) -> bytes:
        """Return the file's bytes from `start` to `end` (exclusive): 1 request.

        Negative offsets count from the end, for 1 request more. Past the end is ``b""``.
        Raises ``FileNotFoundError``.
        """
        return self.flows.run(self.flows.content(name, start, end), "get_content", name)

    async def aget_content(
        self, name: str, start: int | None = None, end: int | None = None
    ) -> bytes:
        """See get_content()."""
        return await self.flows.arun(self.flows.content(name, start, end), "get_content", name)

    def stream(
        self, name: str, start: int | None = None, end: int | None = None
    ) -> Iterator[bytes]:
        """Yield the file's bytes from `start` to `end` (exclusive) in pieces: 1 request.

        Memory is bounded. A broken connection is resumed from where it broke, up to `retries`
        times. The iterator raises ``FileNotFoundError`` when it is first used, and
        ``StorageError`` when the file changed before it was resumed.
        """
        return self.flows.iterate(self.flows.chunks(name, start, end), "stream", name)

    def astream(
        self, name: str, start: int | None = None, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """See stream()."""
        return self.flows.aiterate(self.flows.chunks(name, start, end), "stream", name)

    def stat(self, name: str) -> Stat:
        """Return what the service says about a file: 1 request. Raises ``FileNotFoundError``."""
        return self.flows.run(self.flows.stat(name), "stat", name)

    async def astat(self, name: str) -> Stat:
        """See stat()."""
        return await self.flows.arun(self.flows.stat(name), "stat", name)

    def digest(self, name: str, algorithm: str = "sha256") -> tuple[int, str]:
        """Read a file and return its size and ``"<algorithm>:<hex>"``: 1 request.

        Both are those of the stored bytes, which are compressed with the option `gzip`.
        Raises ``FileNotFoundError``, and ``ValueError`` for an algorithm that ``hashlib`` lacks.
        """
        return self.flows.run(self.flows.digest(name, algorithm), "digest", name)

    async def adigest(self, name: str, algorithm: str = "sha256") -> tuple[int, str]:
        """See digest()."""
        return await self.flows.arun(self.flows.digest(name, algorithm), "digest", name)

    def exists(self, name: str) -> bool:
        """Return whether a file of this name exists: 1 request. A directory is not a file."""
        return self.flows.run(self.flows.exists(name), "exists", name)

    async def aexists(self, name: str) -> bool:
        """See exists()."""
        return await self.flows.arun(self.flows.exists(name), "exists", name)

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """Return the names of directories and of files in `path`: 1 request per 1000.

        Raises ``FileNotFoundError`` when there is no such directory.
        """
        return self.flows.run(self.flows.listdir(path), "listdir")

    async def alistdir(self, path: str) -> tuple[list[str], list[str]]:
        """See listdir()."""
        return await self.flows.arun(self.flows.listdir(path), "listdir")

    def walk(self, prefix: str = "") -> Iterator[Stat]:
        """Yield every file under the directory `prefix`, in the order of the listing.

        Object stores list in constant memory, most of them ordered by name. 1 request per 1000
        files; on filesystems with real directories 1 per directory. A directory that does not
        exist yields nothing. Files that are reached through a link to a directory are left out,
        unless the link is `prefix`.
        """
        return self.flows.iterate(self.flows.walk(prefix), "walk")

    def awalk(self, prefix: str = "") -> AsyncIterator[Stat]:
        """See walk()."""
        return self.flows.aiterate(self.flows.walk(prefix), "walk")

    def size(self, name: str) -> int:
        """Return the size of a file in bytes, as stored: 1 request.

        Raises ``FileNotFoundError``, and ``NotSupported`` where the service does not say sizes.
        """
        return self._size(self.flows.run(self.flows.size(name), "size", name))

    async def asize(self, name: str) -> int:
        """See size()."""
        return self._size(await self.flows.arun(self.flows.size(name), "size", name))

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
        deleting = self.flows.delete(name)
        self.flows.change(file_deleted, deleting, "delete", name, deleted=[name])

    async def adelete(self, name: str) -> None:
        """See delete()."""
        deleting = self.flows.delete(name)
        await self.flows.achange(file_deleted, deleting, "delete", name, deleted=[name])

    def delete_many(self, names: Iterable[str]) -> None:
        """Delete files: 1 request per 1000 files. Missing files are not an error.

        Raises ``StorageError`` for files that could not be deleted, whose attribute `names` lists
        them. The others were tried, unless a whole request failed. Raises ``NotSupported`` on a
        read-only filesystem, and ``SuspiciousFileOperation`` for a name that is refused; then no
        file was deleted.
        """
        names = list(dict.fromkeys(names))
        deleting = self.flows.delete_many(names)
        self.flows.change(file_deleted, deleting, "delete_many", deleted=names)

    async def adelete_many(self, names: Iterable[str]) -> None:
        """See delete_many()."""
        names = list(dict.fromkeys(names))
        deleting = self.flows.delete_many(names)
        await self.flows.achange(file_deleted, deleting, "delete_many", deleted=names)

    def copy(self, src: str, dst: str, *, origin: FSSpecStorage | None = None) -> str:
        """Copy a file and return the name of the copy, a free one when `dst` is taken.

        1 request where the service can copy (S3: 2, one to look at `dst`); else the bytes are
        downloaded and uploaded. `origin` is the storage of `src` when it is not this one.

        Raises ``FileNotFoundError``; ``NotSupported`` on a read-only filesystem, and for an
        `origin` on another filesystem or with another option `gzip`.
        """
        copying = self.flows.copy(src, dst, origin.flows if origin else None)
        return self.flows.change(file_stored, copying, "copy", dst)

    async def acopy(self, src: str, dst: str, *, origin: FSSpecStorage | None = None) -> str:
        """See copy()."""
        copying = self.flows.copy(src, dst, origin.flows if origin else None)
        return await self.flows.achange(file_stored, copying, "copy", dst)

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
