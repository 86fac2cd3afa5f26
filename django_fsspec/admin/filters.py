"""List filters of the admin: by content type, by storage, by size. No request to a storage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from django.conf import settings
from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from django_fsspec.forms.type_names import name_of_type
from django_fsspec.storage.aliases import label_of

#: values that a filter offers at most
_MOST = 50
_KB, _MB = 1024, 1024 * 1024
#: name in the URL, label, bytes from and to
SIZE_CLASSES = (
    ("tiny", _("under 100 KB"), None, 100 * _KB),
    ("small", _("100 KB to 1 MB"), 100 * _KB, _MB),
    ("medium", _("1 MB to 10 MB"), _MB, 10 * _MB),
    ("large", _("10 MB to 100 MB"), 10 * _MB, 100 * _MB),
    ("huge", _("100 MB and more"), 100 * _MB, None),
)


class StoredObjectListFilter(admin.FieldListFilter):
    """Base of the filters: one URL parameter with a choice of values."""

    #: end of the parameter, after the field's name
    suffix: ClassVar[str]
    label: ClassVar[Any]

    def __init__(
        self, field: Any, request: Any, params: Any, model: Any, model_admin: Any, field_path: str
    ) -> None:
        self.parameter = f"{field_path}-{self.suffix}"
        self.path = field_path
        super().__init__(field, request, params, model, model_admin, field_path)
        self.title = _("%(what)s of %(field)s") % {"what": self.label, "field": self.title}
        value = self.used_parameters.get(self.parameter)
        self.chosen = value[-1] if isinstance(value, list) and value else value
        self.values = list(self.offered(model_admin.get_queryset(request)))

    def expected_parameters(self) -> list[str | None]:
        """Return the name of the URL parameter, in a list."""
        return [self.parameter]

    def offered(self, rows: Any) -> Iterator[tuple[str, Any]]:
        """Yield values with labels."""
        raise NotImplementedError

    def narrowed(self, rows: Any, value: str) -> Any:
        """Return the rows that match a value."""
        raise NotImplementedError

    def has_output(self) -> bool:
        """Return whether there is something to choose."""
        return len(self.values) > 1 or self.chosen is not None

    def queryset(self, request: Any, queryset: Any) -> Any:
        """Return the rows that match the chosen value; all rows without one."""
        if self.chosen is None:
            return queryset
        if "\0" in str(self.chosen):  # PostgreSQL raises for it
            return queryset.none()
        return self.narrowed(queryset, str(self.chosen))

    def choices(self, changelist: Any) -> Any:
        """Yield the choices for the template."""
        yield {
            "selected": self.chosen is None,
            "query_string": changelist.get_query_string(remove=[self.parameter]),
            "display": _("All"),
        }
        for value, label in self.values:
            yield {
                "selected": self.chosen == value,
                "query_string": changelist.get_query_string({self.parameter: value}),
                "display": label,
            }


class ContentTypeListFilter(StoredObjectListFilter):
    """Filter by content type: 1 query for the types in use."""

    suffix, label = "type", _("content type")

    def offered(self, rows: Any) -> Iterator[tuple[str, Any]]:
        """Yield the content types in use."""
        for content_type in _distinct(rows, f"{self.path}__content_type"):
            yield content_type, name_of_type(content_type)

    def narrowed(self, rows: Any, value: str) -> Any:
        """Return the rows with a file of this type."""
        return rows.filter(**{f"{self.path}__content_type": value})


class BackendListFilter(StoredObjectListFilter):
    """Filter by storage: 1 query for those in use. With several files, one of them must match."""

    suffix, label = "storage", _("storage")

    def offered(self, rows: Any) -> Iterator[tuple[str, Any]]:
        """Yield the aliases in use; for a field with several files, those of ``STORAGES``."""
        if self.field.multiple:  # type: ignore[attr-defined]
            aliases = iter([alias for alias in settings.STORAGES if alias != "staticfiles"])
        else:
            aliases = _distinct(rows, f"{self.path}__backend")
        yield from ((alias, label_of(alias)) for alias in aliases)

    def narrowed(self, rows: Any, value: str) -> Any:
        """Return the rows with a file in this storage."""
        return rows.filter(**{f"{self.path}__stored_on": value})


class SizeListFilter(StoredObjectListFilter):
    """Filter by size, in ranges."""

    suffix, label = "size", _("size")

    def offered(self, rows: Any) -> Iterator[tuple[str, Any]]:
        """Yield the ranges."""
        yield from ((name, label) for name, label, _start, _end in SIZE_CLASSES)

    def narrowed(self, rows: Any, value: str) -> Any:
        """Return the rows with a file in this range."""
        for name, _label, start, end in SIZE_CLASSES:
            if name == value:
                rows = rows.filter(**{f"{self.path}__size__gte": start or 0})
                return rows.filter(**{f"{self.path}__size__lt": end}) if end else rows
        return rows


def _distinct(rows: Any, key: str) -> Iterator[str]:
    values = rows.order_by(key).values_list(key, flat=True).distinct()[:_MOST]
    yield from (value for value in values if value)
