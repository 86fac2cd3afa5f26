"""What `fs` and `fs_options` must say before a filesystem is made from them."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import fsspec

from django_fsspec.adapters.base import Adapter

from .options import OptionError, nearest

#: what fsspec takes for any filesystem
_OF_FSSPEC = frozenset(
    {
        "asynchronous",
        "listings_expiry_time",
        "loop",
        "max_paths",
        "skip_instance_cache",
        "use_listings_cache",
    }
)
#: packages whose constructors say all that they take, and pass the rest to fsspec
_EXPLICIT = frozenset({"adlfs", "fsspec", "gcsfs", "s3fs"})
#: protocols whose addresses may have a query, or whose names a question mark
_QUERIES = frozenset({"dir", "file", "http", "https", "local", "memory"})


def check_url(part: str, root: str, *, bucketed: bool) -> None:
    """Raise ``OptionError`` for a URL with a query or with credentials that nobody reads.

    They would become part of the names. `root` is the path that the filesystem reads in it.
    """
    protocol, _, address = part.partition("://")
    query = address.partition("?")[2]
    names = [name for name, _ in parse_qsl(query) if name != "versionId"]
    if names and protocol not in _QUERIES:
        raise OptionError(
            "fs",
            f"is a URL with a query, which is not read: set {_listed(names)} in 'fs_options'.",
        )
    if bucketed and "@" in root.partition("/")[0]:
        # the URL itself may hold a secret
        raise OptionError(
            "fs",
            f"is a URL with credentials, which are not read: write '{protocol}://bucket/folder' "
            "and set them in 'fs_options'.",
        )


def check_names(fs_class: type[Any], options: Mapping[str, Any], further: Iterable[str]) -> None:
    """Raise ``OptionError`` for a name that a filesystem's constructor does not take.

    `further` are names that it passes on. Of other packages than fsspec's own, what is passed on
    is not known: they are not checked.
    """
    if fs_class.__module__.partition(".")[0] not in _EXPLICIT or _passes_on(fs_class):
        return
    valid = _parameters(fs_class)
    for name in options:
        if name not in {*valid, *further, *_OF_FSSPEC}:
            raise OptionError(
                "fs_options",
                f"has {name!r}, which {fs_class.__name__} does not take; {_hint(name, valid)}",
            )


def check_target(adapter: type[Adapter], layer: str, fs_class: type[Any], options: Any) -> None:
    """Raise ``OptionError`` where there is nothing for a cache or an archive to stand on."""
    name = layer or fs_class.__name__
    if adapter.chains_over == "fs":
        raise OptionError(
            "fs", f"{name!r} needs a filesystem to cache: write '{name}::s3', for example."
        )
    if "fo" in _parameters(fs_class) and not options.get("fo"):
        raise OptionError(
            "fs_options", f"must have 'fo', the path of the file that {name!r} reads."
        )


def _parameters(fs_class: type[Any]) -> list[str]:
    """Return the names that the constructors of a filesystem take, its bases' too."""
    names: dict[str, None] = {}
    for base in fs_class.__mro__:
        if base is fsspec.AbstractFileSystem:
            break
        if "__init__" in vars(base):
            names |= dict.fromkeys(inspect.signature(vars(base)["__init__"]).parameters)
    return [name for name in names if name not in ("self", "args", "kwargs", "storage_options")]


def _passes_on(fs_class: type[Any]) -> bool:
    """Return whether what the constructor does not name goes to a library of its own."""
    return fs_class.__module__.startswith("fsspec.implementations.") and fs_class.__name__ not in (
        "FTPFileSystem",
        "GithubFileSystem",
    )


def _hint(name: str, valid: Collection[str]) -> str:
    # "access_key" is 'key', "secret_key" 'secret', "endpoint" 'endpoint_url'
    parts = name.split("_")
    for part in parts:
        if part in valid:
            return f"did you mean {part!r}?"
    longer = [word for word in valid if word.startswith(f"{name}_")]
    return f"did you mean {longer[0]!r}?" if longer else nearest(name, valid)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
