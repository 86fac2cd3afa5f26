"""The base classes of adapters: Adapter with its verbs, Reader, and Dialect, Limits, Page."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar

from django_fsspec.exceptions import NotSupported

from .errors import classify, exists_already

if TYPE_CHECKING:
    import asyncio

    from django_fsspec.core.source import Source
    from django_fsspec.core.stat import Stat

    from .direct_uploads import Direct
    from .pool import Pool

# third parties' adapters import exists_already from here
__all__ = [
    "STREAM_BATCH",
    "STREAM_CHUNK",
    "Adapter",
    "BlockingReader",
    "Dialect",
    "Limits",
    "Page",
    "PiecewiseReader",
    "ReadOnlyAdapter",
    "Reader",
    "Verb",
    "exists_already",
    "object_store",
]

T = TypeVar("T")

#: what a verb returns: its result on a blocking filesystem, a coroutine of it on an async one
Verb: TypeAlias = T | Coroutine[Any, Any, T]

#: bytes read from a stream at a time
STREAM_CHUNK = 256 * 1024
#: bytes read from a stream at once by whoever takes them in pieces
STREAM_BATCH = 4 * STREAM_CHUNK
#: bytes read at a time from an archive that lies on another filesystem
_SEEKABLE_BLOCK = 4 * 1024 * 1024


def joined(pieces: Iterable[bytes]) -> bytes:
    """Return the pieces as one, uncopied where there is only one.

    Each is freed before the next one is asked for: a list of them would take the memory twice.
    """
    left = iter(pieces)
    first = next(left, b"")
    if (second := next(left, None)) is None:
        return first
    whole = io.BytesIO()
    whole.write(first)
    whole.write(second)
    del first, second
    whole.writelines(left)
    return whole.getvalue()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What one family of filesystems can do and how it differs from others, as data."""

    #: neutral object option -> the filesystem's own write argument; others are not supported
    headers: Mapping[str, str] = field(default_factory=dict)
    #: whether exactly one of several concurrent create() of one name succeeds
    atomic_create: bool = False
    writable: bool = True
    #: whether metadata are headers, which hold ASCII alone
    ascii_metadata: bool = False
    #: whether sign() can make a URL for reading, and one for uploading
    signs_get: bool = False
    signs_put: bool = False
    #: whether list(recursive=True) lists a whole tree in pages
    flat: bool = False
    #: whether a leading slash in the prefix means the root of a disk
    rooted: bool = False
    #: whether the first part of the prefix is a bucket or container
    bucketed: bool = False
    #: how long a path may be, without its bucket
    max_key_bytes: int | None = None
    max_key_characters: int | None = None
    max_segment_bytes: int | None = 255
    #: characters that the backend can't hold in a name
    forbidden: str = ""
    #: whether dots at the end of a name, or of a part of it, are cut off
    cuts_dots: bool = False
    #: extra of our distribution that brings the filesystem
    extra: str | None = None
    #: objects that one bulk delete request takes
    delete_batch: int = 1


def object_store(headers: Mapping[str, str], **further: Any) -> Dialect:
    """Return the dialect of an object store: buckets and keys, without real directories.

    A key has up to 1,024 bytes, unless `further` says otherwise.
    """
    return Dialect(
        headers=headers,
        atomic_create=True,
        signs_get=True,
        signs_put=True,
        flat=True,
        bucketed=True,
        max_segment_bytes=None,
        **{"max_key_bytes": 1024, **further},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one storage: sizes in bytes, `timeout` in seconds, modes as in os.chmod()."""

    chunk_size: int
    max_concurrency: int
    max_connections: int
    timeout: float
    retries: int
    file_mode: int | None = None
    directory_mode: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of a listing; `next` is what list() takes as `after`, None on the last page."""

    entries: Sequence[Stat]
    next: Any = None


class Reader(ABC):
    """An open stream of a file's bytes.

    `stat` describes the file as far as opening it told, without a further request. ``read()`` is
    a verb. ``close()`` never waits, and may be called from any thread and more than once.
    """

    stat: Stat
    #: whether opening bytes in the middle means reading all before them, as in an archive
    sequential: ClassVar[bool] = False
    #: whether read() gives less than it was asked for at the end only
    fills: ClassVar[bool] = False
    #: the unbuffered file of this machine that it reads; None where there is none
    file: IO[bytes] | None = None

    @abstractmethod
    def read(self, size: int) -> Verb[bytes]:
        """Return up to `size` bytes; b"" at the end.

        Raises what the client library raises. Bytes may be lost where it raises or is cancelled:
        go on with another reader.
        """

    def at_hand(self, size: int) -> bytes | None:
        """Return what read() would where that needs no waiting; None where it may.

        May be called in any thread.
        """
        return None

    @abstractmethod
    def close(self) -> None:
        """Release the connection."""


class PiecewiseReader(Reader):
    """A reader that gives several pieces at once: a call may be a switch between threads."""

    @abstractmethod
    def pieces(self, size: int) -> Verb[list[bytes]]:
        """Return up to `size` bytes as they arrive; fewer at the end only. Raises as read()."""

    @abstractmethod
    def rest(self) -> Verb[bytes]:
        """Return all that is left. Raises as read()."""


class BlockingReader(PiecewiseReader):
    """A reader whose verbs are plain functions."""

    @abstractmethod
    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; b"" at the end."""

    def pieces(self, size: int) -> list[bytes]:
        pieces = list[bytes]()
        while size > 0 and (piece := self.read(min(size, STREAM_CHUNK))):
            pieces.append(piece)
            size -= len(piece)
        return pieces

    def rest(self) -> bytes:
        return joined(iter(lambda: self.read(STREAM_CHUNK), b""))


class Adapter(ABC):
    """A small set of verbs on one filesystem.

    Paths are whole paths inside the filesystem. A verb raises ``FileNotFoundError``,
    ``FileExistsError``, ``PermissionError``, ``TimeoutError``, ``StorageError``, or what the
    client library raises; ``classify()`` tells what the latter means.
    """

    dialect: ClassVar[Dialect] = Dialect()
    #: whether open_file() opens files of the operating system
    opens_files: ClassVar[bool] = False
    #: whether all threads may share one instance of the filesystem
    thread_safe: ClassVar[bool] = False
    #: whether further instances can be made from the arguments of a given one
    clonable: ClassVar[bool] = False
    #: the constructor argument by which it stands on another filesystem: "fs", or "fo" for a file
    chains_over: ClassVar[str] = "fo"

    def __init__(self, pool: Pool, limits: Limits, inner: Adapter | None = None) -> None:
        self.pool = pool
        self.limits = limits
        self.inner = inner

    @classmethod
    def tune(cls, options: dict[str, Any], *, timeout: float, retries: int) -> dict[str, Any]:
        """Return the filesystem's constructor arguments with our timeout (seconds) and retries."""
        return options

    @classmethod
    def further_options(cls) -> Collection[str] | None:
        """Return names of options that the filesystem's constructor passes on, None if unknown."""
        return ()

    @classmethod
    def filesystem_class(cls, fs_class: type[Any], options: Mapping[str, Any]) -> type[Any]:
        """Return the class to make the filesystem of: `fs_class`, or a safer one in its place."""
        return fs_class

    @classmethod  # noqa: B027 - most have nothing to say
    def tune_instance(cls, fs: Any, *, timeout: float, retries: int) -> None:
        """Set on an instance what its constructor has no argument for."""

    @classmethod
    def root_of_url(cls, root: str) -> str:
        """Return the path that a URL in the `fs` option names; names are joined to it."""
        return root

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop that coroutine verbs run on; None when verbs are plain functions."""
        return None

    @property
    def direct(self) -> Direct | None:
        """What signs direct uploads; None where the service can't take them."""
        return None

    def native(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return neutral object options as the filesystem's own write arguments."""
        return {
            self.dialect.headers[name]: value
            for name, value in options.items()
            if name in self.dialect.headers
        }

    def classify(self, error: Exception) -> type[OSError] | None:
        """Return the built-in exception that a client library's `error` means, if any."""
        return classify(error)

    def explained(self, error: Exception) -> OSError | None:
        """Return a plain error for one whose status would be taken for something else."""
        return None

    def key_of(self, path: str) -> str:
        """Return the part of a path whose length the service bounds: all but the bucket."""
        return path.partition("/")[2] if self.dialect.bucketed else path

    @abstractmethod
    def stat(self, path: str) -> Verb[Stat]:
        """Describe the file at `path`.

        Raises ``FileNotFoundError`` when there is none, or a directory.
        """

    @abstractmethod
    def exists(self, path: str) -> Verb[bool]:
        """Return whether there is a file at `path`; False for a directory."""

    @abstractmethod
    def size(self, path: str) -> Verb[int | None]:
        """Return the size in bytes of the file at `path`; None where the service tells none.

        Raises as ``stat()`` does.
        """

    def open_file(self, path: str) -> IO[bytes]:
        """Open a local file for reading, where `opens_files`.

        Raises ``FileNotFoundError`` when there is none, or a directory.
        """
        raise NotImplementedError

    def open_seekable(self, path: str) -> IO[bytes]:
        """Open a file that an archive is read from: by jumps, one caller at a time.

        Raises what the client library raises.
        """
        # small blocks, no whole file in memory
        file: IO[bytes] = self.pool.instance.open(
            path, "rb", block_size=_SEEKABLE_BLOCK, cache_type="readahead"
        )
        return file

    @abstractmethod
    def reader(self, path: str, start: int = 0, end: int | None = None) -> Verb[Reader]:
        """Open bytes `start` to `end` (exclusive) as a stream; empty past the end of the file.

        Raises ``FileNotFoundError`` when there is no file.
        """

    @abstractmethod
    def read(self, path: str, start: int = 0, end: int | None = None) -> Verb[bytes]:
        """Return bytes `start` to `end` (exclusive); b"" past the end of the file.

        Raises ``FileNotFoundError`` when there is no file.
        """

    @abstractmethod
    def create(self, path: str, source: Source, options: Mapping[str, Any]) -> Verb[Stat]:
        """Write a new file, whole or not at all, and describe it.

        Raises ``FileExistsError`` when there is one, ``NotSupported`` where files are read-only.
        """

    @abstractmethod
    def write(self, path: str, source: Source, options: Mapping[str, Any]) -> Verb[Stat]:
        """Write a file, whole or not at all, in place of an older one, and describe it.

        Raises ``NotSupported`` where files are read-only.
        """

    @abstractmethod
    def delete(self, path: str) -> Verb[None]:
        """Delete a file; a missing one is no error.

        Raises ``NotSupported`` where files are read-only.
        """

    @abstractmethod
    def delete_many(self, paths: Sequence[str]) -> Verb[dict[str, Exception]]:
        """Delete files; return the path of each that could not be deleted, and its error."""

    @abstractmethod
    def list(self, path: str, *, recursive: bool = False, after: Any = None) -> Verb[Page]:
        """Return a page of the entries of the directory `path`, or of the whole tree under it.

        A link is listed as what it leads to, and not at all when that is neither a file nor a
        directory. With `recursive`, it has `is_link`. A missing directory raises
        ``FileNotFoundError`` or gives an empty page. Where directories are but parts of names and
        one is marked by an object of its own, it is an entry of itself, without `recursive`.
        """

    def is_link(self, path: str) -> Verb[bool]:
        """Return whether `path` itself is a symbolic link.

        Where there are none, False without a request.
        """
        return False

    @abstractmethod
    def copy(self, source: str, target: str, *, exclusive: bool) -> Verb[None]:
        """Copy a file inside the service; `exclusive` never replaces one.

        Raises ``NotSupported`` where the service can't, ``FileExistsError`` when `exclusive` and
        there is a file at `target`, ``FileNotFoundError`` when there is none at `source`.
        """

    def sign(
        self, path: str, expires_in: int, *, for_upload: bool, headers: Mapping[str, Any]
    ) -> Verb[str | None]:
        """Return a presigned URL of the service, valid for `expires_in` seconds, or None."""
        return None

    def sign_at_once(
        self, path: str, expires_in: int, *, for_upload: bool, headers: Mapping[str, Any]
    ) -> tuple[str, float] | None:
        """Return what `sign()` and `signature_life()` would; None where one of them has to wait.

        Called in any thread, sync or async: a switch to the filesystem's loop costs more than to
        sign. Raises nothing.
        """
        return None

    def signature_life(self, expires_in: int) -> Verb[float]:
        """Return the seconds for which a URL is valid that is signed now for `expires_in` seconds.

        Fewer where the credentials that sign it expire before.
        """
        return expires_in

    def local_path(self, path: str) -> str:
        """Return the absolute path of a local file.

        Raises ``NotImplementedError`` where files are not on this machine.
        """
        raise NotImplementedError("This backend doesn't support absolute paths.")


class ReadOnlyAdapter(Adapter):
    """A filesystem that can only be read: the verbs that change files raise ``NotSupported``."""

    #: what the message calls the filesystem
    label: ClassVar[str]

    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise NotSupported(f"The {self.label} filesystem is read-only.")

    create = write = delete = delete_many = copy = _refuse
