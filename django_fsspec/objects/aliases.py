"""The alias under which a file names its storage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from django.core.files.storage import Storage
from django.utils.functional import LazyObject, empty

from django_fsspec.storage.aliases import alias_of
from django_fsspec.storage.fsspec_storage import FSSpecStorage
from django_fsspec.storage.prefixes import is_pinned

#: a stored file: the alias of its storage, and its name there
AliasAndName: TypeAlias = tuple[str, str]


def alias_for(backend: object) -> str:
    """Return the alias of a storage; an alias is returned as it is.

    Raises ``TypeError`` for anything else, and ``ValueError`` for a storage without an alias and
    for one that is pinned to a tenant.
    """
    if isinstance(backend, str):
        return backend
    if isinstance(backend, LazyObject) and isinstance(backend, Storage):
        if backend._wrapped is empty:
            backend._setup()
        backend = backend._wrapped
    alias = None
    if isinstance(backend, FSSpecStorage):
        alias = backend.alias
    elif isinstance(backend, Storage):
        alias = alias_of(backend, _options_of(backend))
    else:
        raise TypeError(f"backend must be an alias of STORAGES, not {type(backend).__name__}.")
    if alias is None:
        raise ValueError(
            f"This {type(backend).__name__} is not in STORAGES, and so has no alias. Configure it "
            "there, and give its alias."
        )
    if is_pinned(backend):
        raise ValueError(
            f"This is the storage {alias!r} pinned to one tenant, and a FileObject holds no "
            "tenant: use copy() or store() of the storage itself."
        )
    return alias


def _options_of(storage: Any) -> Mapping[str, Any]:
    """Return the OPTIONS that `storage` was made with; what no alias has where that is unknown."""
    unknown = {"": None}
    try:
        _, positional, options = storage.deconstruct()
    except (AttributeError, ValueError):
        return unknown
    return unknown if positional else options
