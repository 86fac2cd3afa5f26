"""What a page of docs/backends must say, as the code says it.

``python -m tests.docs.backend_facts s3`` prints the table of a page and the names of its options.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import fsspec
from django.utils.module_loading import import_string

from django_fsspec.adapters import adapter_class
from django_fsspec.adapters.asynchronous import LoopedAdapter
from django_fsspec.adapters.base import Adapter
from django_fsspec.adapters.blocking import BlockingAdapter
from django_fsspec.storage.filesystem_options import check_names
from django_fsspec.storage.options import OptionError

PAGES = Path(__file__).resolve().parents[2] / "docs" / "backends"

HEADINGS = [
    "Install",
    "Three-line settings",
    "Credentials",
    "Every option",
    "What it can and cannot do",
    "Costs in requests",
    "A local server for tests",
    "Common errors",
]

#: page -> the filesystems it is about
FILESYSTEMS: dict[str, list[str]] = {
    "s3": ["s3"],
    "gcs": ["gcs"],
    "azure": ["abfs"],
    "sftp": ["sftp", "fsspec.implementations.sftp.SFTPFileSystem"],
    "ftp": ["ftp"],
    "webdav": ["webdav"],
    "http": ["https"],
    "github": ["github"],
    "dropbox": ["dropbox"],
    "local": ["file"],
    "memory": ["memory"],
    "archives": ["zip", "tar", "libarchive"],
    "caches-and-chains": ["filecache", "simplecache", "blockcache", "dir"],
    "other": [],
}

#: what fsspec takes for any filesystem
OF_FSSPEC = {
    *("asynchronous", "listings_expiry_time", "loop", "max_paths", "skip_instance_cache"),
    "use_listings_cache",
}
#: names that are no options: of the rest of the arguments, and what a request is about
_NO_OPTIONS = {"self", "args", "kwargs", "ssh_kwargs", "storage_options", "client_opts", "method"}
_NO_OPTIONS |= {"str_or_url"}

_OWN_ADDRESS = "the own address of the file, where `fs_options` hold no credentials"


def filesystem(name: str) -> type[Any]:
    """Return the class of a protocol, or of a dotted path."""
    found: type[Any] = import_string(name) if "." in name else fsspec.get_filesystem_class(name)
    return found


def adapter_of(page: str) -> type[Adapter]:
    """Return the adapter of the first filesystem of a page."""
    if not FILESYSTEMS[page]:
        return BlockingAdapter
    return adapter_class(filesystem(FILESYSTEMS[page][0]))


def options_of(page: str) -> set[str]:
    """Return the names that `fs_options` of a page's filesystems may have."""
    names: set[str] = set()
    for name in FILESYSTEMS[page]:
        fs_class = filesystem(name)
        for base in fs_class.__mro__:
            if base is fsspec.AbstractFileSystem:
                break
            if "__init__" in vars(base):
                names |= set(inspect.signature(vars(base)["__init__"]).parameters)
        names |= set(adapter_class(fs_class).further_options() or ())
    return {name for name in names - _NO_OPTIONS - OF_FSSPEC if is_taken(page, name)}


def is_taken(page: str, option: str) -> bool:
    """Return whether a filesystem of the page takes an option without an error."""
    for name in FILESYSTEMS[page]:
        fs_class = filesystem(name)
        try:
            check_names(fs_class, {option: None}, adapter_class(fs_class).further_options())
        except OptionError:
            continue
        return True
    return False


def abilities(page: str) -> list[str]:
    """Return the rows of the table "What it can and cannot do"."""
    dialect = adapter_of(page).dialect
    keeps = ", ".join(f"`{name}`" for name in [*dialect.headers, "extra"])
    rows = {
        "Write files": _word(dialect.writable),
        "Of concurrent saves under one name, exactly one gets it": _word(dialect.atomic_create),
        "Presigned download URLs": _OWN_ADDRESS if page == "http" else _word(dialect.signs_get),
        "Presigned upload URLs": _word(dialect.signs_put),
        "`object_options`": keeps if dialect.headers else "none",
        "`gzip`": _word("content_encoding" in dialect.headers),
        "Async methods without threads": _word(issubclass(adapter_of(page), LoopedAdapter)),
        "Longest name": _longest(page),
        "Files per delete request": f"{dialect.delete_batch}",
    }
    if not dialect.writable:
        for name in list(rows)[1:2] + list(rows)[-1:]:
            del rows[name]
    return [f"| {name} | {value} |" for name, value in rows.items()]


def _word(value: bool) -> str:
    return "yes" if value else "no"


def _longest(page: str) -> str:
    dialect = adapter_of(page).dialect
    bounds = []
    if dialect.max_key_bytes is not None:
        bounds.append(f"{dialect.max_key_bytes:,} bytes")
    if dialect.max_key_characters is not None:
        bounds.append(f"{dialect.max_key_characters:,} characters")
    if dialect.max_segment_bytes is not None:
        bounds.append(f"{dialect.max_segment_bytes:,} bytes for each part")
    return ", ".join(bounds) or "no limit of ours"


def _main() -> None:
    import django

    django.setup()
    for page in sys.argv[1:]:
        print(page, *abilities(page), sep="\n")
        print(", ".join(f"`{name}`" for name in sorted(options_of(page))))


if __name__ == "__main__":
    _main()
