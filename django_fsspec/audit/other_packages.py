"""Files that others keep beside those of rows: defaults, thumbnails, and static files.

Wagtail's renditions and django-filer's public files are in file fields, which the sweep reads. The
functions take the alias of a storage and yield the names in use there; "folder/" stands for all
files in a folder. They yield nothing where their package is not installed. A name that may be on
several storages is yielded as each would have it: rather keep an orphan than delete a file in use.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from django.apps import apps
from django.conf import STATICFILES_STORAGE_ALIAS, settings
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import Storage, storages
from django.db import router
from django.db.models import FileField, QuerySet

from django_fsspec.rows.tables import has_table
from django_fsspec.storage.locations import Route, place_of

from .columns import all_databases

if TYPE_CHECKING:
    from django.db.models import Model

#: rows in one query
_PAGE = 5000


def easy_thumbnails(alias: str) -> Iterator[str]:
    """Yield the thumbnails that easy-thumbnails has rows of."""
    if not apps.is_installed("easy_thumbnails"):
        return
    from easy_thumbnails.storage import thumbnail_default_storage

    keepers = [thumbnail_default_storage]
    for field in _fields():
        # a ThumbnailerField has one, or None; django-filer's field has several
        keepers += filter(None, [getattr(field, "thumbnail_storage", None)])
        keepers += getattr(field, "thumbnail_storages", {}).values()
    routes = _routes(keepers, alias)
    for (name,) in _rows(_model("easy_thumbnails", "Thumbnail"), "name"):
        yield from _readings(name, routes)


def sorl_thumbnail(alias: str) -> Iterator[str]:
    """Yield the thumbnails in sorl-thumbnail's table; without one, the folder of thumbnails.

    Raises ``ImproperlyConfigured`` where there is neither.
    """
    if not apps.is_installed("sorl.thumbnail"):
        return
    from sorl.thumbnail import default
    from sorl.thumbnail.conf import settings as sorl

    routes = _routes([default.storage], alias)
    if not sorl.THUMBNAIL_KVSTORE.endswith("cached_db_kvstore.KVStore"):
        if not sorl.THUMBNAIL_PREFIX.endswith("/"):
            raise ImproperlyConfigured(
                "The files of sorl-thumbnail are not known: its key value store is not in the "
                "database, and THUMBNAIL_PREFIX is no folder. End it with a slash."
            )
        yield from _readings(sorl.THUMBNAIL_PREFIX, routes)
        return
    images = f"{sorl.THUMBNAIL_KEY_PREFIX}||image||"
    for key, value in _rows(_model("thumbnail", "KVStore"), "key", "value"):
        if key.startswith(images):
            yield from _readings(json.loads(value)["name"], routes)


def imagekit(alias: str) -> Iterator[str]:
    """Yield the folder of django-imagekit's cache, and the names that its generators make."""
    if not apps.is_installed("imagekit"):
        return
    from imagekit.registry import cachefile_registry, generator_registry
    from imagekit.utils import get_storage

    routes = _routes([get_storage()], alias)
    folder = str(getattr(settings, "IMAGEKIT_CACHEFILE_DIR", "")).strip("/")
    if folder:
        yield from _readings(f"{folder}/", routes)
    for generator in generator_registry.get_ids():
        for file in cachefile_registry.get(generator):
            if file.name:
                yield from _readings(file.name, routes)


def filer(alias: str) -> Iterator[str]:
    """Yield the files of django-filer, whose field has one storage for public and one for private.

    The field's own attribute ``storage`` is neither.
    """
    if not apps.is_installed("filer"):
        return
    model = _model("filer", "File")
    keepers = cast(Any, model._meta.get_field("file")).storages
    routes = {public: _routes([keepers[key]], alias) for public, key in _FILER.items()}
    for name, is_public in _rows(model, "file", "is_public"):
        yield from _readings(name, routes[is_public])


_FILER = {True: "public", False: "private"}


def defaults(alias: str) -> Iterator[str]:
    """Yield the files that a ``FileField`` gives to new rows."""
    for field in _fields():
        if isinstance(field, FileField) and field.has_default():
            name = str(field.get_default() or "")
            if name:
                yield from _readings(name, _routes([field.storage], alias))


def static_files(alias: str) -> Iterator[str]:
    """Yield static files that may lie in the storage of `alias`.

    Those of a storage whose place is known lie elsewhere, or in a folder that is left alone. Of
    another one, its folder (`location`), the files that collectstatic would collect and those of
    the manifest.
    """
    if not apps.is_installed("django.contrib.staticfiles"):
        return
    storage = _static_storage()
    with contextlib.suppress(ImproperlyConfigured):
        if storage is None or place_of(storage) is None:
            yield from _names_of_static_files(storage, alias)


def _static_storage() -> Any:
    """Return the storage of static files, None where it can't be made."""
    try:
        return storages[STATICFILES_STORAGE_ALIAS]
    except Exception:
        # that of another package may need anything, and read its manifest
        return None


def _names_of_static_files(storage: Any, alias: str) -> Iterator[str]:
    root = place_of(storages[alias])
    routes = [Route()]
    if root is not None:
        # where `alias` itself lies in the bucket is part of its prefix
        parts = root.root.split("/")
        routes += [Route(strip="/".join(parts[start:]) + "/") for start in range(len(parts))]
    location = str(getattr(storage, "location", "")).strip("/")
    folder = f"{location}/" if location else ""
    if folder:
        yield from _readings(folder, routes)
    for name in _static_names(storage):
        yield from _readings(folder + name, routes)


def _static_names(storage: Any) -> Iterator[str]:
    from django.contrib.staticfiles.finders import get_finders

    for finder in get_finders():
        for name, source in finder.list([]):
            prefix = getattr(source, "prefix", None)
            yield f"{prefix}/{name}" if prefix else name
    if hasattr(storage, "manifest_name"):
        yield storage.manifest_name
    yield from getattr(storage, "hashed_files", {}).values()


FUNCTIONS = (easy_thumbnails, sorl_thumbnail, imagekit, filer, defaults, static_files)


def _model(app_label: str, name: str) -> type[Model]:
    return apps.get_model(app_label, name)


def _fields() -> Iterator[object]:
    for model in apps.get_models():
        yield from model._meta.local_fields


def _routes(keepers: Iterable[Storage], alias: str) -> list[Route]:
    """Return how names in the storages `keepers` may read in `alias`.

    Unchanged is one of them, as the place of a storage may not be known.
    """
    target = place_of(storages[alias])
    routes = {Route()}
    for storage in keepers:
        place = None
        # of no tenant just now
        with contextlib.suppress(ImproperlyConfigured):
            place = place_of(storage)
        route = place.route_to(target) if place is not None and target is not None else None
        if route is not None:
            routes.add(route)
    return sorted(routes)


def _readings(name: str, routes: Sequence[Route]) -> Iterator[str]:
    for route in routes:
        reading = route(name)
        if reading is not None:
            # the whole of a place
            yield reading or "/"


def _rows(model: type[Model], *fields: str) -> Iterator[tuple[Any, ...]]:
    """Yield values of all rows in all databases: 1 query for 5000 rows."""
    for using in all_databases():
        if not router.allow_migrate_model(using, model) or not has_table(
            using, model._meta.db_table
        ):
            continue
        every_row: QuerySet[Any] = QuerySet(model=model, using=using)
        rows = every_row.order_by("pk").values_list("pk", *fields)
        page = list(rows[:_PAGE])
        while page:
            for _, *values in page:
                yield tuple(values)
            page = list(rows.filter(pk__gt=page[-1][0])[:_PAGE])
