"""What type checkers know of a StoredObjectField: what its attribute returns and takes.

At run time ``TypedField[Set, Get]`` is ``JSONField``. The overloads of
``StoredObjectField.__init__`` choose the two types. The plugin of django-stubs reads them too: see
docs/decisions/0038-types-by-overloads-of-init.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import JSONField

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Mapping
    from typing import Any, Generic, Protocol, Self, TypeAlias, TypedDict, overload

    from django.db.models import Model
    from django.utils.functional import Promise
    from typing_extensions import TypeVar

    from django_fsspec.objects.file_object import FileObject
    from django_fsspec.rows.values import FileInput

    from .descriptors import StoredObjectDescriptor

    class Expression(Protocol):
        """An ``F()`` or another expression: the database computes the value."""

        @property
        def resolve_expression(self) -> Any:
            """Django's method."""

    Alias: TypeAlias = str | Callable[..., str]
    UploadTo: TypeAlias = str | Callable[[Any, str], str]
    Text: TypeAlias = str | Promise
    Value: TypeAlias = FileInput | Expression
    # a file is an Iterable, too
    Values: TypeAlias = Collection[FileInput] | Generator[FileInput, None, None] | Expression

    class Options(TypedDict, total=False):
        """The options of a field, but for those that choose the types."""

        backend: Alias
        upload_to: UploadTo
        max_size: int | None
        content_types: Iterable[str] | None
        image: bool
        formats: Iterable[str] | None
        max_pixels: int | None
        checksum: bool | str
        cleanup: bool
        direct_upload: bool
        # Django's
        blank: bool
        db_column: str | None
        db_comment: str | None
        db_default: Any
        db_index: bool
        db_tablespace: str | None
        default: Any
        editable: bool
        error_messages: Mapping[str, Any] | None
        help_text: Text
        max_length: int | None
        primary_key: bool
        serialize: bool
        unique: bool
        validators: Iterable[Callable[[Any], Any]]

    # Any: of a subclass with an __init__ of its own nothing is known
    Set = TypeVar("Set", default=Any)
    Get = TypeVar("Get", default=Any)

    class TypedField(JSONField[Set, Get], Generic[Set, Get]):
        """A field whose attribute returns `Get` and takes `Set`."""

        # what filter(file=…) takes, to the plugin of django-stubs
        _pyi_lookup_exact_type: FileObject | Mapping[str, Any] | Iterable[FileObject] | Expression

        # django-types has overloads, which say something else than __init__()
        def __new__(cls, *args: Any, **kwargs: Any) -> Self: ...  # noqa: D102

        @overload  # type: ignore[override]
        def __get__(self, instance: None, owner: Any) -> StoredObjectDescriptor: ...
        @overload
        def __get__(self, instance: Model, owner: Any) -> Get: ...
        @overload
        def __get__(self, instance: Any, owner: Any) -> Self: ...
        def __get__(self, instance: Any, owner: Any) -> Any: ...
        def __set__(self, instance: Any, value: Set) -> None: ...
else:
    # JSONField takes no types at run time
    Set, Get = "Set", "Get"
    TypedField = {(Set, Get): JSONField}
