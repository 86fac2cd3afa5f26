"""What a sweep leaves alone where a callable tells the prefix of a storage."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator

from django.conf import settings
from django.core.files.storage import storages

from django_fsspec.storage.fsspec_storage import FSSpecStorage
from django_fsspec.storage.locations import Place, base_place_of, place_of


def storages_of_tenants() -> Iterator[tuple[str, FSSpecStorage]]:
    """Yield the aliases whose prefix a callable tells."""
    for alias in settings.STORAGES:
        storage = None
        with contextlib.suppress(Exception):  # told when it is used
            storage = storages[alias]
        if isinstance(storage, FSSpecStorage) and storage.prefix_callables:
            yield alias, storage


def _bases(alias: str) -> Iterator[tuple[str, Place]]:
    """Yield the other aliases of tenants, and where the folders of all tenants are."""
    for other, storage in storages_of_tenants():
        if other != alias and (base := base_place_of(storage)) is not None:
            yield other, base


def tenant_folders(alias: str, place: Place) -> dict[str, str]:
    """Return folders inside of an alias that have those of tenants, and the alias of these."""
    routes = ((other, place.route_to(base)) for other, base in _bases(alias))
    return {
        route.strip.removesuffix("/"): other for other, route in routes if route and route.strip
    }


def refusal_of_tenants(alias: str, place: Place) -> str | None:
    """Return why files of an alias can't be deleted: some may be of tenants of another alias."""
    if getattr(storages[alias], "prefix_callables", ()):
        # its own folder is that of one tenant, as those of aliases beside it are
        return None
    for other, base in _bases(alias):
        route = place.route_to(base)
        if route is not None and not route.strip:
            return refusal(alias, other)
    return None


def refusal(alias: str, other: str) -> str:
    """Return why files of `alias` can not be deleted, as a sentence."""
    return (
        f"the folders of tenants of {other!r} may be in {alias!r}, or it in one of them. Give "
        f"tenants a folder of their own, at the end of the URL in "
        f"STORAGES[{other!r}]['OPTIONS']['fs']."
    )


def notes_of_tenants(swept: Collection[str], missing: bool) -> Iterator[str]:
    """Yield remarks on aliases whose prefix a callable tells, as sentences."""
    for alias, storage in storages_of_tenants():
        if alias in swept:
            yield f"{alias}: only the folder of the current tenant was swept."
            if missing:
                yield f"{alias}: rows of other tenants in the same table count as missing."
        elif _is_unknown(storage):
            yield (
                f"{alias}: was not swept, because there is no current tenant: run the sweep for "
                f"each tenant, see STORAGES[{alias!r}]['OPTIONS']['prefix']."
            )


def _is_unknown(storage: FSSpecStorage) -> bool:
    try:
        return place_of(storage) is None
    except Exception:  # whatever the callable raises
        return True
