"""Filters of the admin's lists: by content type, by storage, by size. They ask no storage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from django.conf import settings
from django.contrib import admin
from django.utils.translation import gettext_lazy as _

#: values offered by a filter
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
    """What the filters share: one parameter of the URL, a choice of values."""

    #: of the parameter, after the field's name
    suffix: ClassVar[str]
    what: ClassVar[Any]

    def __init__(
        self, field: Any, request: Any, params: Any, model: Any, model_admin: Any, field_path: str
    ) -> None:
        self.parameter = f"{field_path}-{self.suffix}"
        self.path = field_path
        super().__init__(field, request, params, model, model_admin, field_path)
        self.title = _("%(what)s of %(field)s") % {"what": self.what, "field": self.title}
        given = self.used_parameters.get(self.parameter)
        self.chosen = given[-1] if isinstance(given, list) and given else given
        self.values = list(self.offered(model_admin.get_queryset(request)))

    def expected_parameters(self) -> list[str | None]:
        """Return the parameter."""
        return [self.parameter]

    def offered(self, rows: Any) -> Iterator[tuple[str, Any]]:
        """Yield values with their labels."""
        raise NotImplementedError

    def narrowed(self, rows: Any, value: str) -> Any:
        """Return the rows that a value is of."""
        raise NotImplementedError

    def has_output(self) -> bool:
        """Return whether there is a choice."""
        return len(self.values) > 1 or self.chosen is not None

    def queryset(self, request: Any, queryset: Any) -> Any:
        """Return the rows that were asked for; all for a value that is none."""
        if self.chosen is None:
            return queryset
        if "\0" in str(self.chosen):  # PostgreSQL takes none
            return queryset.none()
        return self.narrowed(queryset, str(self.chosen))

    def choices(self, changelist: Any) -> Any:
        """Yield the choices."""
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
    """By content type: 1 query for those that there are."""

    suffix, what = "type", _("content type")

    def offered(self, rows: Any) -> Iterator[tuple[str, Any]]:
        """Yield the types that rows have."""
        yield from _distinct(rows, f"{self.path}__content_type")

    def narrowed(self, rows: Any, value: str) -> Any:
        """Return the rows with a file of the type."""
        return rows.filter(**{f"{self.path}__content_type": value})


class BackendListFilter(StoredObjectListFilter):
    """By storage: 1 query for those that there are; of several files, one has to lie there."""

    suffix, what = "storage", _("storage")

    def offered(self, rows: Any) -> Iterator[tuple[str, Any]]:
        """Yield the aliases that rows have; for several files those of ``STORAGES``."""
        if self.field.multiple:  # type: ignore[attr-defined]
            yield from ((alias, alias) for alias in settings.STORAGES if alias != "staticfiles")
        else:
            yield from _distinct(rows, f"{self.path}__backend")

    def narrowed(self, rows: Any, value: str) -> Any:
        """Return the rows with a file on the storage."""
        return rows.filter(**{f"{self.path}__stored_on": value})


class SizeListFilter(StoredObjectListFilter):
    """By size, in classes."""

    suffix, what = "size", _("size")

    def offered(self, rows: Any) -> Iterator[tuple[str, Any]]:
        """Yield the classes."""
        yield from ((name, label) for name, label, _from, _to in SIZE_CLASSES)

    def narrowed(self, rows: Any, value: str) -> Any:
        """Return the rows with a file in the class."""
        for name, _label, start, end in SIZE_CLASSES:
            if name == value:
                rows = rows.filter(**{f"{self.path}__size__gte": start or 0})
                return rows.filter(**{f"{self.path}__size__lt": end}) if end else rows
        return rows


def _distinct(rows: Any, key: str) -> Iterator[tuple[str, str]]:
    found = rows.order_by(key).values_list(key, flat=True).distinct()[:_MOST]
    yield from ((value, value) for value in found if value)
