"""System checks (`manage.py check`) of ``settings.STORAGES`` and of file fields; no I/O.

Objects check themselves, as in Django; this module calls each storage. The ids:
E001, E015, E022, W002, W004 to W009 and W012 here; W011 in ``former_settings``; E001 to E008, W001
and W010 in ``FSSpecStorage.check()``; W003 in ``FSSpecStaticStorage.check()``; E010 to E013, E016,
E020, E021 and W013 in ``StoredObjectField.check()``; E014 in ``ReadThroughStorage.check()``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.conf import (
    DEFAULT_STORAGE_ALIAS,
    STATICFILES_STORAGE_ALIAS,
    global_settings,
    settings,
)
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import Storage, storages
from django.core.files.storage.handler import InvalidStorageError
from django.db.models import FileField

from django_fsspec.audit.names_in_use import BadSetting, functions
from django_fsspec.fields.stored_object import StoredObjectField
from django_fsspec.readthrough import ReadThroughStorage
from django_fsspec.rows.histories import versioned_models
from django_fsspec.staticfiles import FSSpecStaticStorage
from django_fsspec.storage.fsspec_storage import FSSpecStorage
from django_fsspec.storage.locations import configured_places
from django_fsspec.uploads.options import HOOKS, upload_options

from .former_settings import former_settings


def check_storages(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Return the check messages of all our storages, and of files that may be overwritten."""
    messages: list[CheckMessage] = []
    for alias in settings.STORAGES:
        try:
            storage = storages[alias]
        except ImproperlyConfigured as error:
            if "django_fsspec" in str(settings.STORAGES[alias].get("BACKEND", "")):
                messages.append(Error(str(error), id="django_fsspec.E001"))
            continue
        except InvalidStorageError:
            continue  # Django reports it when it is used
        if isinstance(storage, FSSpecStorage | ReadThroughStorage):
            messages += storage.check()
    messages += _missing_aliases()
    messages += former_settings()
    messages += _names_in_use_setting()
    messages += _uploads_setting()
    messages += _static_files_among_uploads()
    messages += _collected_by_djangos_own()
    messages += _overwriting_fields()
    messages += _versioned_fields()
    messages += _nested_links()
    messages += _imported_fields()
    messages += _rows_deleted_by_the_database()
    return messages


def _missing_aliases() -> Iterator[CheckMessage]:
    """Yield a warning for each alias that Django uses and that STORAGES has not."""
    backends = [str(entry.get("BACKEND", "")) for entry in settings.STORAGES.values()]
    if not any("django_fsspec" in backend for backend in backends):
        return
    needed: dict[str, str] = {
        DEFAULT_STORAGE_ALIAS: "default_storage and fields without an alias use it"
    }
    if apps.is_installed("django.contrib.staticfiles"):
        needed[STATICFILES_STORAGE_ALIAS] = "collectstatic and {% static %} use it"
    for alias in sorted(needed.keys() - settings.STORAGES.keys()):
        yield Warning(
            f"STORAGES has no {alias!r}: {needed[alias]}.",
            hint=f"Add it: the setting replaces Django's default as a whole, which is "
            f"{global_settings.STORAGES[alias]['BACKEND']!r} as BACKEND.",
            id="django_fsspec.W012",
        )


def _names_in_use_setting() -> Iterator[CheckMessage]:
    """Yield an error for a setting DJANGO_FSSPEC_NAMES_IN_USE that names no functions."""
    try:
        functions()
    except BadSetting as error:
        yield Error(str(error), id="django_fsspec.E015")


def _uploads_setting() -> Iterator[CheckMessage]:
    """Yield an error for a setting FSSPEC_UPLOADS that is wrong."""
    try:
        options = upload_options()
        for name in HOOKS:
            options.hook(name)
    except ImproperlyConfigured as error:
        yield Error(str(error), id="django_fsspec.E022")


def _static_files_among_uploads() -> Iterator[CheckMessage]:
    """Yield a warning for each alias whose files are in the folder of static files."""
    places = {alias: place for alias, place in configured_places().items() if place is not None}
    static = [alias for alias in places if isinstance(storages[alias], FSSpecStaticStorage)]
    others = [alias for alias in places if alias not in {*static, STATICFILES_STORAGE_ALIAS}]
    for alias in static:
        for other in others:
            route = places[alias].route_to(places[other])
            if route is not None and not route.add:
                yield Warning(
                    f"STORAGES[{alias!r}] and STORAGES[{other!r}] store their files in one "
                    "folder: collectstatic overwrites files of the same name, and collectstatic "
                    "--clear deletes all of them.",
                    hint=f"Give STORAGES[{alias!r}] a prefix of its own.",
                    id="django_fsspec.W004",
                )


def _collected_by_djangos_own() -> Iterator[CheckMessage]:
    """Yield a warning where static files are sent by Django's collectstatic, one by one."""
    order = [config.name for config in apps.get_app_configs()]
    theirs, ours = "django.contrib.staticfiles", "django_fsspec"
    if {theirs, ours} <= set(order) and order.index(theirs) < order.index(ours):
        try:
            storage = storages[STATICFILES_STORAGE_ALIAS]
        except (ImproperlyConfigured, InvalidStorageError):
            return
        if isinstance(storage, FSSpecStaticStorage):
            yield Warning(
                f"{ours!r} stands after {theirs!r} in INSTALLED_APPS: collectstatic is Django's, "
                "which asks for each file on its own and sends one after the other.",
                hint=f"Put {ours!r} before {theirs!r}.",
                id="django_fsspec.W007",
            )


def _overwriting_fields() -> Iterator[CheckMessage]:
    """Yield a warning for each file field whose storage overwrites files."""
    for model in apps.get_models():
        for field in model._meta.local_fields:
            storage = _storage_of(field)
            if storage is not None and storage.options.allow_overwrite:
                setting = storage.base_flows.errors.setting("allow_overwrite")
                yield Warning(
                    f"{setting} is on: two rows with the "
                    "same file name overwrite each other's file.",
                    hint="Turn it off, or use a storage without it for this field.",
                    obj=field,
                    id="django_fsspec.W002",
                )


def _versioned_fields() -> Iterator[CheckMessage]:
    """Yield a warning for each field whose files are gone when django-reversion reverts a row."""
    for model in sorted(versioned_models(), key=lambda model: model._meta.label):
        for field in model._meta.local_concrete_fields:
            if isinstance(field, StoredObjectField) and field.cleanup:
                yield Warning(
                    "cleanup=True deletes the files of earlier versions: when django-reversion "
                    "reverts a row, its file is missing.",
                    hint="Set cleanup=False, and name the files of versions for sweep_files by "
                    "DJANGO_FSSPEC_NAMES_IN_USE.",
                    obj=field,
                    id="django_fsspec.W005",
                )


def _rows_deleted_by_the_database() -> Iterator[CheckMessage]:
    """Yield a warning for each field whose rows the database deletes (Django 6.1)."""
    for model in apps.get_models():
        columns = model._meta.local_concrete_fields
        rules = [getattr(column.remote_field, "on_delete", None) for column in columns]
        names = [getattr(rule, "__name__", "") for rule in rules]
        for field in columns if "DB_CASCADE" in names else ():
            if isinstance(field, StoredObjectField) and field.cleanup:
                yield Warning(
                    "DB_CASCADE has the database delete rows, which sends no signal: their files "
                    "stay as orphans.",
                    hint="Use CASCADE, or set cleanup=False and delete orphans by sweep_files.",
                    obj=field,
                    id="django_fsspec.W009",
                )


def _nested_links() -> Iterator[CheckMessage]:
    """Yield a warning for each admin whose link to a row would have the link of a file within."""
    if not apps.is_installed("django.contrib.admin"):
        return
    from django.contrib.admin.sites import all_sites

    from django_fsspec.admin import StoredObjectAdminMixin

    for model in apps.get_models():
        names = {f.name for f in model._meta.concrete_fields if isinstance(f, StoredObjectField)}
        for site in all_sites if names else ():
            owner = site.get_model_admin(model) if site.is_registered(model) else None
            if owner is None or isinstance(owner, StoredObjectAdminMixin):
                continue
            links = owner.list_display_links
            linked = links if links or links is None else owner.list_display[:1]
            for name in names & set(linked or ()):
                yield Warning(
                    f"The column {name!r} of list_display links to the row, and has the link of "
                    "the file within: browsers show the link of the file only.",
                    hint="Use StoredObjectAdminMixin, or name another column in "
                    "list_display_links.",
                    obj=type(owner),
                    id="django_fsspec.W006",
                )


def _storage_of(field: object) -> FSSpecStorage | None:
    """Return a field's storage; None if it is not an ``FSSpecStorage``, or misconfigured."""
    storage: Storage | None = None
    try:
        if isinstance(field, FileField):
            storage = field.storage
        elif isinstance(field, StoredObjectField) and isinstance(field.backend, str):
            storage = storages[field.backend]
        return storage if isinstance(storage, FSSpecStorage) else None
    except (ImproperlyConfigured, InvalidStorageError):
        return None


def _imported_fields() -> Iterator[CheckMessage]:
    """Yield a warning for each resource of django-import-export that takes any file's JSON."""
    if not apps.is_installed("import_export"):
        return
    from django_fsspec.admin.import_export import json_columns

    for owner, column in json_columns():
        yield Warning(
            f"The column {column!r} of files is treated as JSON: an export fails, and whoever "
            "imports could choose any file of any storage.",
            hint="Use a resource with django_fsspec.admin.import_export.StoredObjectResourceMixin "
            "before its base class.",
            obj=owner,
            id="django_fsspec.W008",
        )
