"""Copy one file from one storage to another: verified, and never over an existing file."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from django.core.files.storage import storages

from django_fsspec.core import flows, names
from django_fsspec.exceptions import NotSupported
from django_fsspec.objects.file_object import FileObject
from django_fsspec.objects.pending_content import AsyncAgain
from django_fsspec.storage.foreign import ForeignStorage, acall_method, wrap
from django_fsspec.storage.fsspec_storage import FSSpecStorage

from .glibc import give_back
from .spellings import Spellings

if TYPE_CHECKING:
    from django_fsspec.core.stat import Stat

#: bytes in memory, all copies together
BUDGET = 64 << 20
#: a small copy takes its content twice: as read, and as it is sent
SMALL_TAKES = 2
#: a streamed copy takes the whole budget for its parts
STREAMED_TAKES = BUDGET


class Mismatch(Exception):
    """The bytes that were read or stored differ from what the row describes."""


class Taken(Exception):
    """The target has another file of this name."""


class Renamed(Exception):
    """The target gave the copy another name, which its row can't take."""


class Budget:
    """A bound on bytes in memory, first come, first served, for one event loop.

    Who asks for more than the whole budget waits for the whole budget.
    """

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> None:
        """Wait for `size` bytes of the budget; ``give()`` returns them."""
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
        """Return `size` bytes to the budget, and wake those who wait."""
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
    """Copies files from the alias `source` to the alias `target`, on one event loop.

    A small file costs one read and one write; the server compares the checksum that we send.
    Between two aliases of one service the server copies.
    """

    def __init__(self, source: str, target: str, *, verify: str = "checksum") -> None:
        self.target = target
        self._verify = verify
        self._from, self._to = wrap(storages[source]), wrap(storages[target])
        self._budget = Budget(BUDGET)
        self._spellings, self._spelling = Spellings(storages[target]), asyncio.Lock()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._small = getattr(getattr(self._to, "options", None), "chunk_size", 8 << 20)
        both = (self._from, self._to)
        self._service_copies = all(isinstance(storage, FSSpecStorage) for storage in both)
        # with gzip, the row has size and checksum of the packed bytes, and reading unpacks them
        self._comparable = not _packs(self._from)
        # storages of other packages compare no checksum, and may change what they store
        self._options = {"as_sent": verify != "none"} if self._is_foreign else {}
        # a checksum that was compared on reading also describes the copy, unless it is packed
        self._keeps_checksum = (
            verify in ("checksum", "full") and self._comparable and not _packs(self._to)
        )

    @property
    def _is_foreign(self) -> bool:
        """Whether the target is a storage of another package."""
        return isinstance(self._to, ForeignStorage)

    async def copy(self, file: FileObject, *, exact: bool) -> tuple[FileObject, bool]:
        """Return the copy, and whether the target had it before.

        Raises ``Mismatch``, ``Taken`` (with `exact`), and what the storages raise. A copy that
        fails leaves no file behind.
        """
        # a target that creates without a condition may take two names for one
        turn = self._turns.setdefault(names.folded(file.filename), asyncio.Lock())
        async with turn:
            return await self._copy(file, exact=exact)

    async def _copy(self, file: FileObject, *, exact: bool) -> tuple[FileObject, bool]:
        # the service copies the type of an object too
        inside = self._service_copies and not file._has_malformed_type
        if inside and (done := await self._let_service_copy(file, exact=exact)) is not None:
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

    async def _let_service_copy(
        self, file: FileObject, *, exact: bool
    ) -> tuple[FileObject, bool] | None:
        """Let the service copy; return None where it can't."""
        origin, goal = self._from, self._to
        assert isinstance(origin, FSSpecStorage)
        assert isinstance(goal, FSSpecStorage)
        if not goal.flows._reads_as(origin.flows):
            self._service_copies = False
            return None
        try:
            await self._copy_by_service(origin, goal, file.filename, exact=True)
            name = file.filename
        except NotSupported:
            self._service_copies = False
            return None
        except FileExistsError:
            if (found := await self._found(file, exact=exact)) is not None:
                return found, True
            name = await self._copy_by_service(origin, goal, file.filename, exact=False)
        made = self._described(file, name)
        await made.arefresh()
        if self._verify != "none" and file.size not in (None, made.size):
            await goal.adelete(name)
            raise Mismatch(f"{made.size} bytes were copied, the row says {file.size}")
        # the service copied the bytes it had, which may not be those that the row describes
        same = file.etag is not None and file.etag == made.etag
        if self._verify == "full" or (self._verify == "checksum" and not same):
            await self._read_back(file, made)
        return made, False

    async def _copy_by_service(
        self, origin: FSSpecStorage, goal: FSSpecStorage, name: str, *, exact: bool
    ) -> str:
        # a migration replaces no file, whatever `allow_overwrite` says
        copying = goal.flows.copy(name, name, origin.flows, overwrite=False, exact=exact)
        return await goal.flows.arun(copying, "copy", name)

    async def _copy_small(self, file: FileObject, *, exact: bool) -> tuple[FileObject, bool]:
        data: bytes = await acall_method(self._from, "get_content", file.filename)
        self._check(file, len(data), _Digest(file.checksum, data))
        return await self._placed(file, data, exact=exact)

    async def _copy_streamed(self, file: FileObject, *, exact: bool) -> tuple[FileObject, bool]:
        # asked first: a taken name is refused only after all bytes were sent
        taken = await acall_method(self._to, "exists", file.filename)
        if taken and (found := await self._found(file, exact=exact)) is not None:
            return found, True
        content = AsyncAgain(_Pieces(self, file))
        content.attach(asyncio.get_running_loop())
        content.size = file.size
        # memory freed by small copies goes back to the system before the parts are allocated
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
        """Store `content` under its old name, or under a new one where another file has that."""
        try:
            made = await self._stored(file, content, exact=True)
        except FileExistsError:
            if (found := await self._found(file, exact=exact)) is not None:
                return found, True
            made = await self._stored(file, content, exact=False)
        if exact and made.filename != file.filename:
            await acall_method(self._to, "delete", made.filename)
            raise Renamed(
                f"the target named the copy {made.filename!r}, and rows of a FileField keep their "
                f"name {file.filename!r}"
            )
        return made, False

    async def _found(self, file: FileObject, *, exact: bool) -> FileObject | None:
        """Return the copy that the target has already, as a killed run leaves it.

        None, or with `exact` ``Taken``, where it is another file: one with other bytes, or with a
        name in another spelling, which belongs to another row.
        """
        name = file.filename
        stat: Stat = await acall_method(self._to, "stat", name)
        reason = f"another file has the name {name!r}"
        if await self._is_same(file, stat):
            if await self._is_spelled(name):
                return self._as_found(self._described(file, name), stat)
            reason = (
                f"the target takes {name!r} for the name of another file, which differs in case "
                "or Unicode form alone"
            )
        if exact:
            raise Taken(reason)
        return None

    def _as_found(self, made: FileObject, stat: Stat) -> FileObject:
        # its bytes were compared; the size that a foreign storage says may be that of packed bytes
        size = made._size if self._is_foreign else stat.size
        made._take_stat(replace(stat, size=size))
        return made

    async def _is_spelled(self, name: str) -> bool:
        """Return whether the target's file of that name is spelled like it."""
        # one at a time: the first finds out, and a folder is listed once
        async with self._spelling:
            return await flows.in_thread(self._spellings.has, name)

    async def _stored(self, file: FileObject, content: Any, *, exact: bool) -> FileObject:
        # a checksum that was compared needs not be computed again
        compared = self._keeps_checksum and _Digest(file.checksum).computable
        # another name is a new one: a target that overwrites would replace the file of that name
        name = file.filename if exact else self._to.flows.unique(file.filename, None)
        stat: Stat = await acall_method(
            self._to,
            "store",
            name,
            content,
            content_type=file.content_type,
            checksum=not compared,
            exact=True,
            **self._options,
        )
        made = self._described(file, stat.name)
        made._take_stat(stat)
        made.checksum = stat.checksum or file.checksum
        if self._verify == "full":
            await self._read_back(file, made)
        return made

    async def _read_back(self, file: FileObject, made: FileObject) -> None:
        """Read the copy and compare it; delete it and raise ``Mismatch`` where it differs."""
        digest = _Digest(made.checksum)
        if made.checksum is not None and not digest.computable:
            return
        size, checksum = await acall_method(
            self._to, "digest", made.filename, digest.algorithm or "sha256"
        )
        if made.checksum not in (None, checksum) or made.size not in (None, size):
            await acall_method(self._to, "delete", made.filename)
            raise Mismatch(f"the copy reads back as {checksum}, not {made.checksum}")

    async def _is_same(self, file: FileObject, stat: Stat) -> bool:
        """Return whether the target's file has these bytes; reads it if its size fits."""
        # the size that a storage of another package says may be that of packed bytes
        if not self._is_foreign and None not in (stat.size, file.size) and stat.size != file.size:
            return False
        digest, expected = _Digest(file.checksum), file.checksum
        algorithm = digest.algorithm if digest.computable else "sha256"
        if not (digest.computable and self._comparable):
            _, expected = await acall_method(self._from, "digest", file.filename, algorithm)
        _, checksum = await acall_method(self._to, "digest", file.filename, algorithm)
        return bool(checksum == expected)

    def _described(self, file: FileObject, name: str) -> FileObject:
        data = file.to_dict()
        made = FileObject.from_dict({**data, "backend": self.target, "filename": name})
        made.metadata.setdefault("original_name", file.original_name)
        made.etag = made.version_id = made.last_modified = None
        return made


class _Pieces:
    """The content of a file, verified while it is read; can be iterated over again."""

    def __init__(self, copier: Copier, file: FileObject) -> None:
        self._copier, self._file = copier, file

    async def __aiter__(self) -> AsyncIterator[bytes]:
        file, copier = self._file, self._copier
        digest = _Digest(file.checksum)
        async for piece in copier._from.astream(file.filename):
            digest.update(piece)
            yield piece
        # before the last part is sent: content that is wrong never becomes a file
        copier._check(file, digest.size, digest)


class _Digest:
    """The checksum of bytes, by the algorithm of the checksum that is expected."""

    def __init__(self, expected: str | None, data: bytes = b"") -> None:
        algorithm = (expected or "").partition(":")[0]
        self._hash = hashlib.new(algorithm) if algorithm in hashlib.algorithms_available else None
        self.algorithm = algorithm
        self.size = 0
        if data:
            self.update(data)

    @property
    def computable(self) -> bool:
        """Whether this machine can compute the algorithm."""
        return self._hash is not None

    def update(self, data: bytes) -> None:
        self.size += len(data)
        if self._hash is not None:
            self._hash.update(data)

    def matches(self, expected: str | None) -> bool:
        """Return whether it is `expected`; True where the algorithm can't be computed."""
        return self._hash is None or f"{self.algorithm}:{self._hash.hexdigest()}" == expected


def _packs(storage: FSSpecStorage | ForeignStorage) -> bool:
    return bool(isinstance(storage, FSSpecStorage) and storage.options.gzip)
