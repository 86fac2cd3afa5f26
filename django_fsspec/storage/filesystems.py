"""Filesystems for the options of storages, shared by storages with the same ones."""

from __future__ import annotations

import os
import re
import threading
from dataclasses import replace
from weakref import WeakValueDictionary

from fsspec.utils import tokenize

from django_fsspec.adapters.families import family_of

from .filesystem_builder import FilesystemBuilder
from .mounts import Mount, Outline
from .options import StorageOptions

#: a protocol, or a URL of bucket and folder in which no filesystem reads anything else
_PLAIN = re.compile(r"(?P<protocol>[a-z0-9]+)(://(?P<root>[\w-]+(/[\w-]+)*))?", re.ASCII)


def outline(options: StorageOptions) -> Outline | Mount:
    """Return what is known of a filesystem; import its package only to judge unusual options.

    Raises as ``mount()`` does, which says the same of them.
    """
    if isinstance(options.fs, str) and (match := _PLAIN.fullmatch(options.fs)):
        family, root = family_of(match["protocol"], options.fs_options), match["root"] or ""
        if family and (family.dialect.bucketed or not root):
            return Outline(dialect=family.dialect, root=root, holder_protocols=family.protocols)
    return mount(options)


_mounts: WeakValueDictionary[str, Mount] = WeakValueDictionary()
_lock = threading.Lock()


def _reset_lock() -> None:
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_reset_lock)


def mount(options: StorageOptions) -> Mount:
    """Return the filesystem for `options`, shared with every storage that has the same.

    Raises ``OptionError``; makes no request.
    """
    fs = options.fs
    key = tokenize(
        fs if isinstance(fs, str) else id(fs),
        dict(options.fs_options),
        options.timeout,
        options.retries,
        options.max_connections,
    )
    with _lock:
        mounted = _mounts.get(key)
        if mounted is None:
            mounted = _mounts[key] = replace(FilesystemBuilder(options).build(), origin=fs)
        return mounted
