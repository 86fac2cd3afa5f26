"""Which storages keep their files in the same place."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.conf import settings
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage, storages

from .filesystem_builder import protocol_class
from .filesystems import outline
from .fsspec_storage import FSSpecStorage
from .mounts import Mount
from .options import StorageOptions
from .prefixes import PrefixCallable
from .url_options import chain_parts

#: options that tell one server, account or archive from another
_ADDRESS = frozenset(
    {
        "account_host",
        "account_name",
        "base_url",
        "endpoint",
        "endpoint_url",
        "fo",
        "host",
        "hostname",
        "org",
        "port",
        "repo",
        "sha",
        "url",
    }
)
#: options that name a user, whose root may be another than that of others, by protocol
_USER = {
    **dict.fromkeys(("sftp", "ssh", "ftp"), "username"),
    **dict.fromkeys(("webdav", "dav"), "auth"),
    "dropbox": "token",
}
#: the filesystem in the memory of this process
_MEMORY = "memory"
#: Azure's connection strings hold the key of the account as well
_CONNECTION_STRING = {"AccountName": "account_name", "BlobEndpoint": "account_host"}


class Route(NamedTuple):
    """How a name in one place reads in another: a folder in front, or one that goes."""

    add: str = ""
    strip: str = ""

    def __call__(self, name: str) -> str | None:
        """Return `name` as the other place has it, None where it lies outside."""
        if not name.startswith(self.strip):
            return None
        return self.add + name[len(self.strip) :]

    @property
    def back(self) -> Route:
        """The way from the other place."""
        return Route(self.strip, self.add)


#: names read the same in both places
UNCHANGED = Route()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder of a filesystem.

    Two places may be one although their options differ (time limits, credentials): only an
    address that both have, and that differs, proves them to be two. `protocols` are all names of
    the filesystem; one without any is like no other. `root` is without slashes around it. `user`
    is a digest.
    """

    protocols: frozenset[str] = frozenset()
    address: Mapping[str, str] = field(default_factory=dict)
    root: str = ""
    user: str = ""

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine's disk."""
        return "file" in self.protocols

    def may_share_filesystem(self, other: Place) -> bool:
        """Whether both could be folders of one filesystem."""
        if self.protocols.isdisjoint(other.protocols):
            return False
        both = self.address.keys() & other.address.keys()
        return all(self.address[key] == other.address[key] for key in both)

    def route_to(self, other: Place) -> Route | None:
        """Return how names here read in `other`, None where they have no file in common."""
        if not self.may_share_filesystem(other):
            return None
        return _nesting(self.root, other.root)

    def sure_route_to(self, other: Place) -> Route | None:
        """Return the route where settings leave no doubt that both are in one filesystem."""
        same = self.address == other.address and self.user == other.user
        return self.route_to(other) if same else None

    def is_apart_from(self, other: Place) -> bool:
        """Whether both surely have no file in common: one is in the memory of this process.

        Everything else may be reached by two addresses, or in two ways: through a mounted disk.
        """
        if not (self.protocols and other.protocols):
            return True
        in_memory = _MEMORY in self.protocols or _MEMORY in other.protocols
        return in_memory and self.route_to(other) is None


def possible_routes(place: Place | None, other: Place | None) -> tuple[Route, ...]:
    """Return how names in a place may read in another one, if both share files.

    Unchanged, and as the roots lie in one another by their names.
    """
    nesting = place and other and _nesting(place.root, other.root)
    return (UNCHANGED, nesting) if nesting and nesting != UNCHANGED else (UNCHANGED,)


def _nesting(root: str, other_root: str) -> Route | None:
    here, there = _folder(root), _folder(other_root)
    if here.startswith(there):
        return Route(add=here[len(there) :])
    if there.startswith(here):
        return Route(strip=there[len(here) :])
    return None


def _folder(root: str) -> str:
    return f"{root}/" if root else ""


def place_of(storage: Storage) -> Place | None:
    """Return where `storage` keeps its files; None for a storage of an unknown class. No I/O.

    Raises ``ImproperlyConfigured`` for options that can't work.
    """
    if isinstance(storage, FSSpecStorage):
        return _place_at(storage, storage.flows.root)
    if isinstance(storage, FileSystemStorage):
        # Django's storage of static files has no location unless STATIC_ROOT is set
        location = storage.base_location
        if not location:
            return Place()
        return Place(protocols=frozenset({"file", "local"}), root=_real(str(location)))
    return Place() if isinstance(storage, InMemoryStorage) else None


def base_place_of(storage: FSSpecStorage) -> Place | None:
    """Return where the folders of all tenants are; None for a storage whose prefix is plain.

    Raises ``ImproperlyConfigured`` for options that can't work.
    """
    return _place_at(storage, storage.base_flows.base_root) if storage.prefix_callables else None


def _place_at(storage: FSSpecStorage, root: str) -> Place:
    mounted = storage.base_flows.outline
    return Place(
        protocols=frozenset(mounted.holder_protocols),
        address=dict(_address(storage.options)),
        root=_real(root) if mounted.is_local else root.strip("/"),
        user=_user(storage.options, mounted.holder_protocols),
    )


def written_roots(options: StorageOptions) -> list[str]:
    """Return what may be the root of a storage, by `fs` and `prefix` alone.

    The first part of a URL is a bucket, which is part of the root, or a host.
    """
    fs = options.fs if isinstance(options.fs, str) else ""
    path = fs.rpartition("://")[2] if "://" in fs else ""
    paths = {path, path.partition("/")[2]}
    told = PrefixCallable.of(options.prefix)
    prefix = (str(options.prefix) if told is None else told()).strip("/")
    return sorted(f"{path.rstrip('/')}/{prefix}".strip("/") for path in paths)


def _real(root: str) -> str:
    return os.path.realpath(root).strip("/")


def configured_places() -> dict[str, Place | None]:
    """Return the place of each alias; None where it is not known, or can't be built."""
    places: dict[str, Place | None] = {}
    for alias in settings.STORAGES:
        try:
            places[alias] = place_of(storages[alias])
        except Exception:
            # storages of other packages read manifests and the like when they are made
            places[alias] = None
    return places


def _address(options: StorageOptions) -> Iterator[tuple[str, str]]:
    """Yield what the options say about which server, account or archive it is."""
    for key, value in _said(options):
        if key == "connection_string":
            yield from _parts(str(value))
        elif key in _ADDRESS and isinstance(value, str | int):
            yield key, str(value).rstrip("/").lower()


def _user(options: StorageOptions, protocols: Iterable[str]) -> str:
    """Return a digest of what the options say about the user; "" where all have one root."""
    keys = {_USER[protocol] for protocol in protocols if protocol in _USER}
    # of a user and a password, the user
    users = [
        value[0] if isinstance(value, list | tuple) and value else value
        for key, value in _said(options)
        if key in keys
    ]
    return hashlib.sha256(repr(users[-1:]).encode()).hexdigest() if keys else ""


def _said(options: StorageOptions) -> Iterator[tuple[str, Any]]:
    """Yield all options of the filesystem; what its URL says comes last."""
    fs = options.fs
    while not isinstance(fs, str | type) and hasattr(fs, "fs"):
        fs = fs.fs  # a folder of another filesystem, or a cache of it
    sources = [options.fs_options, getattr(fs, "storage_options", {})]
    if isinstance(fs, str) and isinstance(outline(options), Mount):
        sources += map(_options_in_url, chain_parts(fs))
    for source in sources:
        yield from _leaves(source)


def _options_in_url(part: str) -> Mapping[str, Any]:
    protocol, separator, _ = part.partition("://")
    if not separator:
        return {}
    options: Mapping[str, Any] = protocol_class(protocol)._get_kwargs_from_urls(part)
    return options


def _leaves(options: Any) -> Iterator[tuple[str, Any]]:
    for key, value in dict(options).items():
        if isinstance(value, Mapping):
            yield from _leaves(value)
        elif value is not None:
            yield str(key), value


def _parts(connection_string: str) -> Iterator[tuple[str, str]]:
    for part in connection_string.split(";"):
        key, _, value = part.partition("=")
        if key in _CONNECTION_STRING:
            yield _CONNECTION_STRING[key], value.rstrip("/").lower()
