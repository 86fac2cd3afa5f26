"""The verbs every adapter offers, and the dialect that says where backends differ."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar

from .errors import classify, exists_already

if TYPE_CHECKING:
    import asyncio

    from django_fsspec.core.source import Source
    from django_fsspec.core.stat import Stat

    from .direct_uploads import Direct
    from .pool import Pool

# third parties' adapters import exists_already from here
__all__ = [
    "STREAM_CHUNK",
    "Adapter",
    "Dialect",
    "Limits",
    "Page",
    "Reader",
    "Verb",
    "exists_already",
    "object_store",
]

T = TypeVar("T")

#: What a verb gives: on a blocking filesystem its result, on an async one a coroutine of it.
Verb: TypeAlias = T | Coroutine[Any, Any, T]

#: Bytes asked of a backend stream at a time.
STREAM_CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How one family of filesystems differs from the others: data, not branches."""

    #: neutral object option -> the backend's own name of it; others can not be honoured
    headers: Mapping[str, str] = field(default_factory=dict)
    #: whether create() has one winner among simultaneous writers
    atomic_create: bool = False
    writable: bool = True
    #: whether sign() can make a URL for reading, and one for uploading
    signs_get: bool = False
    signs_put: bool = False
    #: whether list() can give a whole tree in pages
    flat: bool = False
    #: whether a leading slash in the prefix means the root of a disk
    rooted: bool = False
    #: whether the first part of the prefix is a bucket or container
    bucketed: bool = False
    max_key_bytes: int | None = None
    max_segment_bytes: int | None = 255
    #: characters that the backend can't hold in a name
    forbidden: str = ""
    #: extra of our distribution that brings the filesystem
    extra: str | None = None
    #: objects that one bulk delete request takes
    delete_batch: int = 1


def object_store(headers: Mapping[str, str], **further: Any) -> Dialect:
    """Return the dialect of a store of buckets and keys, where folders are but parts of names."""
    return Dialect(
        headers=headers,
        atomic_create=True,
        signs_get=True,
        signs_put=True,
        flat=True,
        bucketed=True,
        max_key_bytes=1024,
        max_segment_bytes=None,
        **further,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one storage: bytes, counts and seconds."""

    chunk_size: int
    max_concurrency: int
    timeout: float
    retries: int
    file_mode: int | None = None
    directory_mode: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Part of a listing; `next` continues it, None ends it."""

    entries: Sequence[Stat]
    next: Any = None


class Reader(ABC):
    """An open stream of an object's bytes.

    `stat` is what opening told about the object, for free. ``read()`` is a verb; ``close()``
    never waits, may be called from any thread and more than once.
    """

    stat: Stat

    @abstractmethod
    def read(self, size: int) -> Verb[bytes]:
        """Return up to `size` bytes, b"" at the end."""

    @abstractmethod
    def close(self) -> None:
        """Release the backend's connection."""


class Adapter(ABC):
    """A small set of verbs over one filesystem.

    Paths are whole paths inside the filesystem. Every verb raises ``FileNotFoundError``,
    ``FileExistsError``, ``PermissionError``, ``TimeoutError`` or whatever the client library
    raises; ``classify()`` says what the latter means.
    """

    dialect: ClassVar[Dialect] = Dialect()
    #: whether open_file() gives a file of the operating system
    opens_files: ClassVar[bool] = False
    #: whether one instance of the filesystem may serve all threads at once
    thread_safe: ClassVar[bool] = False
    #: whether further instances can be made after a given one's arguments
    clonable: ClassVar[bool] = False
    #: the constructor argument by which it stands on another filesystem: "fs", or "fo" for a file
    chains_over: ClassVar[str] = "fo"

    def __init__(self, pool: Pool, limits: Limits, inner: Adapter | None = None) -> None:
        self.pool = pool
        self.limits = limits
        self.inner = inner

    @classmethod
    def tune(cls, options: dict[str, Any], *, timeout: float, retries: int) -> dict[str, Any]:
        """Return the filesystem's constructor arguments with our bounds on time and tries."""
        return options

    @classmethod  # noqa: B027 - most have nothing to say
    def tune_instance(cls, fs: Any, *, timeout: float, retries: int) -> None:
        """Set what only an instance can be told."""

    @classmethod
    def root_of_url(cls, root: str) -> str:
        """Return the path that a URL in the `fs` option names, as names are joined to it."""
        return root

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop that coroutine verbs run on; None when every verb is a plain function."""
        return None

    @property
    def direct(self) -> Direct | None:
        """What signs uploads past us; None where clients can't write by themselves."""
        return None

    def native(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return neutral object options as the backend's own write arguments."""
        return {
            self.dialect.headers[name]: value
            for name, value in options.items()
            if name in self.dialect.headers
        }

    def classify(self, error: Exception) -> type[OSError] | None:
        """Return the built-in exception that a client library's `error` means, if any."""
        return classify(error)

    @abstractmethod
    def stat(self, path: str) -> Verb[Stat]:
        """Return what is known of the file at `path`; a directory is not found."""

    @abstractmethod
    def exists(self, path: str) -> Verb[bool]:
        """Return whether there is a file at `path`; as ``stat()`` for less."""

    @abstractmethod
    def size(self, path: str) -> Verb[int | None]:
        """Return the size of the file at `path`; as ``stat()`` for less."""

    def open_file(self, path: str) -> IO[bytes]:
        """Open a file of this machine for reading, where `opens_files`."""
        raise NotImplementedError

    @abstractmethod
    def reader(self, path: str, start: int = 0, end: int | None = None) -> Verb[Reader]:
        """Open bytes `start` to `end` (exclusive) for streaming; past the end is empty."""

    @abstractmethod
    def read(self, path: str, start: int = 0, end: int | None = None) -> Verb[bytes]:
        """Return bytes `start` to `end` (exclusive); past the end is b""."""

    @abstractmethod
    def create(self, path: str, source: Source, options: Mapping[str, Any]) -> Verb[Stat]:
        """Write a new object; ``FileExistsError`` when there is one. All or nothing."""

    @abstractmethod
    def write(self, path: str, source: Source, options: Mapping[str, Any]) -> Verb[Stat]:
        """Write an object, replacing what is there. All or nothing."""

    @abstractmethod
    def delete(self, path: str) -> Verb[None]:
        """Delete a file; a missing one is no error."""

    @abstractmethod
    def delete_many(self, paths: Sequence[str]) -> Verb[dict[str, Exception]]:
        """Delete files; return what could not be deleted and why."""

    @abstractmethod
    def list(self, path: str, *, recursive: bool = False, after: Any = None) -> Verb[Page]:
        """Return a page of what lies directly (or anywhere) under the directory `path`.

        A missing directory raises ``FileNotFoundError`` or gives an empty page.
        """

    @abstractmethod
    def copy(self, source: str, target: str, *, exclusive: bool) -> Verb[None]:
        """Copy inside the backend where it can; raise ``NotSupported`` where it can not."""

    def sign(
        self, path: str, expires_in: int, *, for_upload: bool, headers: Mapping[str, Any]
    ) -> Verb[str | None]:
        """Return a URL the backend itself honours for `expires_in` seconds, or None."""
        return None

    def local_path(self, path: str) -> str:
        """Return where `path` lies on this machine's disk."""
        raise NotImplementedError("This backend doesn't support absolute paths.")
