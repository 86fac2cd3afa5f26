"""``Mount``: a filesystem that storages share, and where in it the files of a storage lie."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django_fsspec.adapters.base import Adapter, Dialect, Limits
from django_fsspec.adapters.pool import Pool

from .options import OptionError


@dataclass(frozen=True, kw_only=True, eq=False, repr=False, weakref_slot=True, slots=True)
class Mount:
    """A filesystem ready for use: shared by all storages over the same options."""

    adapter: type[Adapter]
    pool: Pool
    #: path inside the filesystem that the `fs` option itself named
    root: str
    #: what a chained filesystem (a cache) stands on
    inner: Mount | None = None
    protocols: tuple[str, ...] = ()
    #: kept, so that no other object gets its id, which is part of the key
    origin: Any = None

    @property
    def dialect(self) -> Dialect:
        """The dialect of what holds the files: a cache speaks that of what lies below it."""
        return self._holder.adapter.dialect

    @property
    def is_local(self) -> bool:
        """Whether the files lie on this machine's disk."""
        return "file" in self.holder_protocols

    @property
    def holder_protocols(self) -> tuple[str, ...]:
        """The protocols of what holds the files."""
        return self._holder.protocols

    @property
    def _holder(self) -> Mount:
        if self.inner is not None and self.adapter.chains_over == "fs":
            return self.inner._holder
        return self

    def connect(self, limits: Limits) -> Adapter:
        """Return an adapter with a storage's own limits."""
        if self.inner is not None and self.adapter.chains_over == "fs":
            return self.adapter(self.pool, limits, self.inner.connect(limits))
        return self.adapter(self.pool, limits)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outline:
    """What is known of a filesystem whose package is not imported, as a ``Mount`` tells it."""

    dialect: Dialect
    root: str
    holder_protocols: tuple[str, ...]
    is_local: bool = False


def root_of(
    mounted: Outline | Mount,
    prefix: str,
    default_root: Callable[[], str],
    *,
    is_base: bool = False,
) -> str:
    """Return the path inside the filesystem under which all names of the storage lie.

    `default_root` gives that of a local storage that names no folder. With `is_base` a name of a
    folder follows, which may be the bucket. Raises ``OptionError`` for a prefix that would leave
    the filesystem, and what `default_root` raises.
    """
    if ".." in prefix.split("/"):
        raise OptionError("prefix", f"{prefix!r} has a '..' part; write the real path.")
    protocol, mark, rest = prefix.partition("://")
    if mark and protocol not in ("http", "https"):
        raise OptionError(
            "prefix", f"{prefix!r} is a URL: write {rest!r} here, or the whole URL in 'fs'."
        )
    if mark and "@" in rest.partition("/")[0]:
        # it would be part of each path
        raise OptionError("prefix", "is a URL with credentials: write the whole URL in 'fs'.")
    dialect = mounted.dialect
    if mounted.is_local:
        root = mounted.root if mounted.root or prefix else default_root()
        # abspath: links stay as given
        return os.path.abspath(os.path.join(root, prefix))  # noqa: PTH100, PTH118
    if prefix.startswith("/") and not dialect.rooted:
        raise OptionError(
            "prefix", f"{prefix!r} starts with a slash; keys of this service do not: remove it."
        )
    whole = f"{mounted.root.rstrip('/')}/{prefix.lstrip('/')}" if mounted.root else prefix
    whole = whole if whole == "/" else whole.rstrip("/")
    if dialect.bucketed and not whole and not is_base:
        raise OptionError("prefix", "names no bucket; write 'bucket' or 'bucket/folder'.")
    return whole


def check_absolute(mounted: Outline | Mount, prefix: str) -> None:
    """Raise ``OptionError`` for a local path that depends on where the process was started."""
    path = mounted.root or prefix
    if mounted.is_local and path and not Path(path).is_absolute():
        raise OptionError(
            "prefix", f"{path!r} is relative to wherever the process starts: write a whole path."
        )
