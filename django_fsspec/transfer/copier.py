"""One file from one storage to another: copied, verified, never replacing anything."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from django.core.files.storage import storages

from django_fsspec.core import flows
from django_fsspec.exceptions import NotSupported
from django_fsspec.objects.file_object import FileObject
from django_fsspec.objects.pending_content import AsyncAgain
from django_fsspec.storage.foreign import Plain, reach
from django_fsspec.storage.fsspec_storage import FSSpecStorage

from .glibc import give_back

if TYPE_CHECKING:
    from django_fsspec.core.stat import Stat

#: bytes in memory, all copies together
BUDGET = 64 << 20
#: what a copy takes of it: as much as its content, once read and once on its way out of here
SMALL_TAKES = 2
#: a streamed one: its parts
STREAMED_TAKES = BUDGET

VERIFY = ("checksum", "size", "none", "full")


class Mismatch(Exception):
    """The bytes are not those that the row describes."""


class Taken(Exception):
    """The target has another file of this name."""


class Budget:
    """A bound on bytes in flight; whoever asks for more than all of it waits for all of it.

    Of one event loop. First come, first served.
    """

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> None:
        """Wait for `size` bytes, which ``give()`` gives back."""
        size = min(size, self._size)
        if not self._waiting and size <= self._free:
            self._free -= size
            return
        granted = asyncio.get_running_loop().create_future()
        self._waiting.append((size, granted))
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self.give(size)
            raise

    def give(self, size: int) -> None:
        """Give back what was taken."""
        self._free += min(size, self._size)
        while self._waiting:
            size, granted = self._waiting[0]
            if not granted.done():
                if size > self._free:
                    return
                self._free -= size
                granted.set_result(None)
            self._waiting.popleft()


class Copier:
    """Copies files from the storage `source` to the storage `target`.

    Runs on one event loop. A small file is one read and one write; the server checks what it
    gets. Between aliases on one service the server copies by itself.
    """

    def __init__(self, source: str, target: str, *, verify: str = "checksum") -> None:
        self.target = target
        self._verify = verify
        self._from, self._to = reach(storages[source]), reach(storages[target])
        self._budget = Budget(BUDGET)
        self._small = getattr(getattr(self._to, "options", None), "chunk_size", 8 << 20)
        both = (self._from, self._to)
        self._inside = all(isinstance(storage, FSSpecStorage) for storage in both)
        # where files are packed, a row says size and checksum of what is not what is read
        self._comparable = not _packs(self._from)
        # a checksum that was compared is known of what is stored as it is
        self._keeps_checksum = (
            verify in ("checksum", "full") and self._comparable and not _packs(self._to)
        )

    async def copy(self, file: FileObject, *, exact: bool) -> tuple[FileObject, bool]:
        """Return the copy, and whether it was there already.

        Raises ``Mismatch``, ``Taken`` (with `exact`), and whatever the storages raise. Nothing
        is left behind by a copy that fails.
        """
        if self._inside and (done := await self._copy_inside(file, exact=exact)) is not None:
            return done
        size = file.size
        small = size is not None and size <= self._small
        takes = SMALL_TAKES * size if small and size is not None else STREAMED_TAKES
        await self._budget.take(takes)
        try:
            copy = self._copy_small if small else self._copy_streamed
            return await copy(file, exact=exact)
        finally:
            self._budget.give(takes)

    async def _copy_inside(
        self, file: FileObject, *, exact: bool
    ) -> tuple[FileObject, bool] | None:
        """Have the service copy; None where it can't."""
        origin, goal = self._from, self._to
        assert isinstance(origin, FSSpecStorage)
        assert isinstance(goal, FSSpecStorage)
        if not goal.flows._reads_as(origin.flows):
            self._inside = False
            return None
        try:
            await self._inside_copy(origin, goal, file.filename, exact=True)
            name = file.filename
        except NotSupported:
            self._inside = False
            return None
        except FileExistsError:
            if exact or await self._is_there(file, file.filename):
                return await self._present(file)
            name = await self._inside_copy(origin, goal, file.filename, exact=False)
        made = self._described(file, name)
        await made.arefresh()
        if self._verify != "none" and file.size not in (None, made.size):
            await goal.adelete(name)
            raise Mismatch(f"{made.size} bytes were copied, the row says {file.size}")
        # the service copied what it had: is that what the row describes?
        same = file.etag is not None and file.etag == made.etag
        if self._verify == "full" or (self._verify == "checksum" and not same):
            await self._read_back(file, made)
        return made, False

    async def _inside_copy(
        self, origin: FSSpecStorage, goal: FSSpecStorage, name: str, *, exact: bool
    ) -> str:
        # never in the place of a file, whatever `allow_overwrite` says
        copying = goal.flows.copy(name, name, origin.flows, overwrite=False, exact=exact)
        return await goal.flows.arun(copying)

    async def _copy_small(self, file: FileObject, *, exact: bool) -> tuple[FileObject, bool]:
        data: bytes = await _call(self._from, "get_content", file.filename)
        self._check(file, len(data), _Digest(file.checksum, data))
        return await self._placed(file, data, exact=exact)

    async def _copy_streamed(self, file: FileObject, *, exact: bool) -> tuple[FileObject, bool]:
        # all of it would be sent before its name is refused
        taken = await _call(self._to, "exists", file.filename)
        if taken and (exact or await self._is_there(file, file.filename)):
            return await self._present(file)
        content = AsyncAgain(_Pieces(self, file))
        content.attach(asyncio.get_running_loop())
        content.size = file.size
        # the parts come on top of the holes that small files left
        await flows.in_thread(give_back)
        try:
            if taken:
                return await self._stored(file, content, exact=False), False
            return await self._placed(file, content, exact=exact)
        finally:
            content.detach()

    def _check(self, file: FileObject, size: int, digest: _Digest) -> None:
        if self._verify == "none" or not self._comparable:
            return
        if file.size not in (None, size):
            raise Mismatch(f"{size} bytes were read, the row says {file.size}")
        if self._verify != "size" and not digest.matches(file.checksum):
            raise Mismatch(f"what was read has another checksum than the row: {file.checksum}")

    async def _placed(
        self, file: FileObject, content: Any, *, exact: bool
    ) -> tuple[FileObject, bool]:
        """Store `content` under the name it had; beside a file of that name, under another."""
        try:
            return await self._stored(file, content, exact=True), False
        except FileExistsError:
            if exact or await self._is_there(file, file.filename):
                return await self._present(file)
        return await self._stored(file, content, exact=False), False

    async def _present(self, file: FileObject) -> tuple[FileObject, bool]:
        """Return what the target has under the name; ``Taken`` when that is another file."""
        if not await self._is_there(file, file.filename):
            raise Taken(f"another file has the name {file.filename!r}")
        made = self._described(file, file.filename)
        await made.arefresh()
        return made, True

    async def _stored(self, file: FileObject, content: Any, *, exact: bool) -> FileObject:
        known = self._keeps_checksum and _Digest(file.checksum).known
        stat: Stat = await _call(
            self._to,
            "store",
            file.filename,
            content,
            content_type=file.content_type,
            checksum=not known,
            exact=exact,
        )
        made = self._described(file, stat.name)
        made._become(stat)
        made.checksum = stat.checksum or file.checksum
        if self._verify == "full":
            await self._read_back(file, made)
        return made

    async def _read_back(self, file: FileObject, made: FileObject) -> None:
        """Compare what was stored with what is known of it; where it differs, it goes."""
        digest = _Digest(made.checksum)
        if made.checksum is not None and not digest.known:
            return
        size, found = await _call(self._to, "digest", made.filename, digest.algorithm or "sha256")
        if made.checksum not in (None, found) or made.size not in (None, size):
            await _call(self._to, "delete", made.filename)
            raise Mismatch(f"what was stored reads back as {found}, not {made.checksum}")

    async def _is_there(self, file: FileObject, name: str) -> bool:
        """Whether the target holds these very bytes: what a run left that was killed."""
        stat: Stat = await _call(self._to, "stat", name)
        if None not in (stat.size, file.size) and stat.size != file.size:
            return False
        known, expected = _Digest(file.checksum), file.checksum
        algorithm = known.algorithm if known.known else "sha256"
        if not (known.known and self._comparable):
            _, expected = await _call(self._from, "digest", file.filename, algorithm)
        _, found = await _call(self._to, "digest", name, algorithm)
        return bool(found == expected)

    def _described(self, file: FileObject, name: str) -> FileObject:
        data = file.to_dict()
        made = FileObject.from_dict({**data, "backend": self.target, "filename": name})
        made.metadata.setdefault("original_name", file.original_name)
        made.etag = made.version_id = made.last_modified = None
        return made


class _Pieces:
    """What a file holds, checked on its way; each time that it is iterated over, all of it."""

    def __init__(self, copier: Copier, file: FileObject) -> None:
        self._copier, self._file = copier, file

    async def __aiter__(self) -> AsyncIterator[bytes]:
        file, copier = self._file, self._copier
        digest = _Digest(file.checksum)
        async for piece in copier._from.astream(file.filename):
            digest.update(piece)
            yield piece
        # before the last part is sent, so that what is wrong is never whole
        copier._check(file, digest.size, digest)


class _Digest:
    """The checksum of what passes, by the algorithm of the one that is known."""

    def __init__(self, known: str | None, data: bytes = b"") -> None:
        algorithm = (known or "").partition(":")[0]
        self._hash = hashlib.new(algorithm) if algorithm in hashlib.algorithms_available else None
        self.algorithm = algorithm
        self.size = 0
        if data:
            self.update(data)

    @property
    def known(self) -> bool:
        """Whether it says something of the bytes."""
        return self._hash is not None

    def update(self, data: bytes) -> None:
        self.size += len(data)
        if self._hash is not None:
            self._hash.update(data)

    def matches(self, known: str | None) -> bool:
        """Whether it is `known`; one that can't be computed says nothing."""
        return self._hash is None or f"{self.algorithm}:{self._hash.hexdigest()}" == known


def _packs(storage: FSSpecStorage | Plain) -> bool:
    return bool(isinstance(storage, FSSpecStorage) and storage.options.gzip)


async def _call(storage: FSSpecStorage | Plain, method: str, *args: Any, **kwargs: Any) -> Any:
    """Call a storage's method by its twin, or in a thread where it has none."""
    if isinstance(storage, FSSpecStorage):
        return await getattr(storage, f"a{method}")(*args, **kwargs)
    return await flows.in_thread(getattr(storage, method), *args, **kwargs)
