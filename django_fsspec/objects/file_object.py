"""FileObject: a file in a storage, with sync and async methods."""

from __future__ import annotations

import asyncio
import copy
import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from django.core.files.storage import Storage

from django_fsspec.core.flows import Flow, call
from django_fsspec.exceptions import NotSupported
from django_fsspec.storage.foreign import ForeignStorage, call_method
from django_fsspec.storage.fsspec_storage import FSSpecStorage

from . import pending_content
from .aliases import alias_for
from .readable_file import ReadableFile

if TYPE_CHECKING:
    from django_fsspec.core.stat import Stat


class FileObject(ReadableFile):
    """A file in a storage, stored or about to be: its alias, name, size, type and checksum.

    Example::

        file = FileObject("default", "notes/may.txt", content=b"all is well")
        file.save()
        assert (file.get_content(), file.size) == (b"all is well", 11)

    It can be used like a ``FieldFile``; its JSON and constructor are those of advanced-alchemy.
    `content` is stored by ``save()``, which never replaces a file: afterwards `filename` is the
    name that was free. Where `filename` is the name that the user gave the file, `to_filename` is
    the path to store it under. `metadata` holds what the nine keys have no place for
    (`original_name`, `width`, `height`).

    `size`, `content_type` and `url` make no request. Every method that does I/O has an async
    version with an ``a`` in front. Numbers of requests are those on S3. ``==`` and ``hash()`` use
    alias and name, which ``save()`` may change.

    Raises ``TypeError`` for a `backend`, name or content of a wrong type, and ``ValueError`` for
    an empty name, a negative size, content given twice, and a storage without an alias. Methods
    that do I/O raise ``FileNotFoundError`` for a missing file, ``StorageError`` and other
    ``OSError`` for what the storage answers, ``SuspiciousFileOperation`` for a name outside of
    the storage, and ``ValueError`` for unsaved content that must be stored first.
    """

    # pickles name this, wherever the class is defined
    __module__ = "django_fsspec.objects"

    # saving

    def save(
        self,
        name: Any = None,
        content: Any = None,
        save: bool = True,
        *,
        max_length: int | None = None,
    ) -> Self:
        """Store `content`, or the unsaved content, and set size, etag and checksum.

        1 request for content up to the storage's `chunk_size`. Called as ``save()``,
        ``save(content=…)``, ``save(b"…")``, or ``save(name, content)`` like that of a
        ``FieldFile``. A file of a row saves the row as well, unless `save` is false. `max_length`
        is of the name, in characters. After a failure the file is what it was.

        Raises ``TypeError`` where there is no content, or content that is no file,
        ``SuspiciousFileOperation`` for a name that the storage can't store, ``StorageError`` and
        other ``OSError`` for what the storage answers.
        """
        if self._row is not None:
            self._row.save(self, name, content, save)
            return self
        return self._store(name, content, max_length)

    async def asave(
        self,
        name: Any = None,
        content: Any = None,
        save: bool = True,
        *,
        max_length: int | None = None,
    ) -> Self:
        """See save(). Accepts async iterables too."""
        if self._row is not None:
            await self._row.asave(self, name, content, save)
            return self
        return await self._astore(name, content, max_length)

    def _store(self, name: Any = None, content: Any = None, max_length: int | None = None) -> Self:
        """Save the file alone, without its row."""
        return self._run(self._saving(name, content, max_length, None))

    async def _astore(
        self, name: Any = None, content: Any = None, max_length: int | None = None
    ) -> Self:
        """See _store()."""
        loop = asyncio.get_running_loop()
        return await self._arun(self._saving(name, content, max_length, loop))

    def _saving(
        self,
        name: Any,
        content: Any,
        max_length: int | None,
        loop: asyncio.AbstractEventLoop | None,
    ) -> Flow[Self]:
        if content is None and name is not None and not isinstance(name, str):
            name, content = None, name
        is_new = content is not None
        content = pending_content.accepted(content) if is_new else self._pending
        if content is None:
            raise TypeError(f"{self!r} has nothing to save: give save() the content.")
        target = self.filename if name is None else name
        content_type = self._type_to_send(content if is_new else None)
        stat = yield from self._storing(target, content, content_type, max_length, loop)
        if is_new:
            original = pending_content.name_of(content) or posixpath.basename(target)
            self._drop_dimensions()
            self.metadata["original_name"] = original
        self.checksum = None
        self._take_stat(stat)
        self._pending = None
        self._drop()
        return self

    def _storing(
        self,
        target: str,
        content: Any,
        content_type: str | None,
        max_length: int | None,
        loop: asyncio.AbstractEventLoop | None,
    ) -> Flow[Stat]:
        """Store `content` as `target`; an async iterable is iterated over on `loop`."""
        source = content
        if isinstance(content, Path):
            source = yield from call(content.open, "rb")
        try:
            if isinstance(content, pending_content.AsyncOnce):
                content.attach(loop)
            stat: Stat = yield from call_method(
                self._wrapped_storage(),
                "store",
                target,
                source,
                max_length=max_length or self._max_length,
                content_type=content_type,
                checksum=self._algorithm,
            )
        finally:
            if source is not content:
                source.close()
            if isinstance(content, pending_content.AsyncOnce):
                content.detach()
        return stat

    def _type_to_send(self, content: Any) -> str | None:
        """Return the content type to send: new content does not keep that of the stored file."""
        stored = content is not None and self.last_modified is not None
        return None if stored else self._content_type

    # presigned URLs

    def sign(self, expires_in: int | None = None, for_upload: bool = False, **headers: Any) -> str:
        """Return a presigned URL to read the file, or with `for_upload` to PUT it: no request.

        `expires_in` is in seconds. `headers` are those that the PUT must send. Raises
        ``NotImplementedError`` where the storage can't sign, ``ValueError`` for unsaved content.
        """
        return str(self._run(self._signing(expires_in, for_upload, headers)))

    async def asign(
        self, expires_in: int | None = None, for_upload: bool = False, **headers: Any
    ) -> str:
        """See sign()."""
        return str(await self._arun(self._signing(expires_in, for_upload, headers)))

    def _signing(
        self, expires_in: int | None, for_upload: bool, headers: Mapping[str, Any]
    ) -> Flow[Any]:
        if self.scan_state and not for_upload:
            return self._guarded_url(expires_in)
        if not (for_upload or headers.keys() & {"content_disposition", "content_type"}):
            headers = {**self._attachment_headers(), **headers}
        return (yield from self._call_storage("sign", expires_in, for_upload, **headers))

    # deleting and copying

    def delete(self, save: bool = True) -> None:
        """Delete the stored file: 1 request. A missing file is no error.

        A file of a row is removed from the row, and deleted when that is committed; `save` is as
        in ``save()``. Raises ``StorageError``, and ``ValueError`` for unsaved content.
        """
        if self._row is not None:
            self._row.delete(self, save)
        else:
            self._run(self._deleting())

    async def adelete(self, save: bool = True) -> None:
        """See delete()."""
        if self._row is not None:
            await self._row.adelete(self, save)
        else:
            await self._arun(self._deleting())

    def _deleting(self) -> Flow[None]:
        self._stored_name()  # raises before anything is dropped
        self._drop()
        yield from self._call_storage("delete")

    def copy_to(self, backend: str | Storage, name: str | None = None) -> FileObject:
        """Copy the file to the alias `backend`, as `name`, and return the copy.

        The service copies where both storages are on one filesystem (3 requests); otherwise this
        process downloads and uploads. Never replaces a file, unless the storage has
        `allow_overwrite`. Raises ``FileNotFoundError``, ``StorageError``, and ``ValueError`` for
        unsaved content.
        """
        return self._run(self._copying(backend, name))

    async def acopy_to(self, backend: str | Storage, name: str | None = None) -> FileObject:
        """See copy_to()."""
        return await self._arun(self._copying(backend, name))

    def _copying(self, backend: str | Storage, name: str | None) -> Flow[FileObject]:
        stored_name = self._stored_name()
        target = stored_name if name is None else name
        copied = copy.deepcopy(self)
        copied.backend = alias_for(backend)
        copied._raw = copied._db = None
        copied.metadata.setdefault("original_name", self.original_name)
        origin, goal = self._wrapped_storage(), copied._wrapped_storage()
        new_name = yield from self._copied_inside(origin, goal, target)
        if new_name is not None:
            copied.filename = new_name
            copied.etag = copied.version_id = copied.last_modified = None
            try:
                yield from copied._refreshing()
            except FileNotFoundError:
                raise
            except OSError:
                pass  # the copy exists, and its size and type are known
            return copied
        # any storage may save this: a thread may wait for a stream
        pieces = pending_content.Once(origin.stream(stored_name))
        pieces.size = self._size
        options = {"content_type": self._content_type}
        copied.checksum = None
        copied._take_stat((yield from call_method(goal, "store", target, pieces, **options)))
        return copied

    def _copied_inside(
        self,
        origin: FSSpecStorage | ForeignStorage,
        goal: FSSpecStorage | ForeignStorage,
        target: str,
    ) -> Flow[str | None]:
        """Let the service copy; return the name of the copy, None where it can't copy."""
        if isinstance(origin, ForeignStorage) or isinstance(goal, ForeignStorage):
            return None
        if self._has_malformed_type:
            return None  # the service would copy the type
        try:
            name: str = yield from call_method(goal, "copy", self.filename, target, origin=origin)
        except NotSupported:
            return None
        return name

    #: advanced-alchemy's names
    save_async = asave
    sign_async = asign
    delete_async = adelete
