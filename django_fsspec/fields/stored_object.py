"""StoredObjectField: a model field for files, described by JSON that queries can use."""

from __future__ import annotations

import datetime
import functools
import posixpath
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Unpack, overload

from django.conf import settings
from django.core import checks
from django.core.exceptions import (
    ImproperlyConfigured,
    SuspiciousFileOperation,
    ValidationError,
)
from django.core.files.base import File
from django.core.files.storage import storages
from django.core.files.utils import validate_file_name
from django.db.models import Field, Model
from django.db.models.signals import class_prepared, pre_delete
from django.urls import NoReverseMatch, reverse
from django.utils.text import get_valid_filename
from django.utils.translation import gettext_lazy as _

from django_fsspec import validators
from django_fsspec.core import extras, names
from django_fsspec.objects.file_object import FileObject
from django_fsspec.rows import deleted_rows, model_hooks, saving
from django_fsspec.rows.loaded_values import known_entry
from django_fsspec.rows.values import (
    FileList,
    files_of,
    from_column,
    from_json,
    same_json,
    to_json,
)
from django_fsspec.storage.foreign import wrap

from . import lookups
from .checks import image_messages, place_messages, takes_argument
from .descriptors import StoredObjectDescriptor
from .encoder import AdminEncoder
from .typed import Get, Set, TypedField

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

    from .typed import Alias, Options, Text, UploadTo, Value, Values

MAX_LENGTH = 255


class StoredObjectField(TypedField[Set, Get]):
    """A model field for a file, or with `multiple` a list of files. The row holds JSON about it.

    Example::

        class Photo(models.Model):
            file = StoredObjectField(upload_to="photos/%Y", content_types=["image/*"])

        assert Document.objects.filter(file__size__gt=5).get().file.read() == b"all is well"

    `backend` is an alias of ``STORAGES``, or a callable that returns an alias, called when a file
    is stored, with the row if it takes an argument. `upload_to` and `max_length` (of the path, in
    characters) are as in ``FileField``. `max_size` is in bytes. `content_types` are types and
    patterns (``"image/*"``), compared with the type that the first bytes tell. `image` accepts
    images only, and stores their width and height in pixels; `formats` are names of Pillow's
    formats (by default no EPS), `max_pixels` bounds width times height. `checksum` is an algorithm
    of ``hashlib``, True for that of the storage, False for none. With ``cleanup=False`` files stay
    when rows no longer hold them. With `direct_upload` browsers upload directly to the storage.

    Saving a row stores its files before the INSERT or UPDATE, and deletes replaced files after
    the commit: see docs/explanation/order-of-events.md. Reading a row makes no request. Invalid
    JSON in one row does not break other rows: it is falsy, raises when used, and is written back
    unchanged.
    """

    # migrations and pickles name this, wherever the class is defined; a subclass has its own
    __module__ = "django_fsspec.fields"

    description = _("A stored file")
    descriptor_class = StoredObjectDescriptor
    default_error_messages: ClassVar[dict[str, Any]] = {
        "invalid": _("This is not a file."),
        "invalid_name": _("“%(name)s” can't be stored under this name. %(reason)s"),
    }
    _default_hint = ("None", "None")

    @overload
    def __init__(
        self: StoredObjectField[Value, FileObject],
        verbose_name: Text | None = None,
        name: str | None = None,
        *,
        null: Literal[False] = False,
        multiple: Literal[False] = False,
        **options: Unpack[Options],
    ) -> None: ...
    @overload
    def __init__(
        self: StoredObjectField[Value | None, FileObject | None],
        verbose_name: Text | None = None,
        name: str | None = None,
        *,
        null: Literal[True],
        multiple: Literal[False] = False,
        **options: Unpack[Options],
    ) -> None: ...
    @overload
    def __init__(
        self: StoredObjectField[Values, FileList],
        verbose_name: Text | None = None,
        name: str | None = None,
        *,
        null: Literal[False] = False,
        multiple: Literal[True],
        **options: Unpack[Options],
    ) -> None: ...
    @overload  # its list is never None, but django-stubs' plugin asks that of each null=True
    def __init__(
        self: StoredObjectField[Values | None, FileList | None],
        verbose_name: Text | None = None,
        name: str | None = None,
        *,
        null: Literal[True],
        multiple: Literal[True],
        **options: Unpack[Options],
    ) -> None: ...
    @overload
    def __init__(
        self,
        verbose_name: Text | None = None,
        name: str | None = None,
        *,
        null: bool = ...,
        multiple: bool = ...,
        **options: Unpack[Options],
    ) -> None: ...
    def __init__(
        self,
        verbose_name: Any = None,
        name: str | None = None,
        *,
        backend: Alias = "default",
        upload_to: UploadTo = "",
        multiple: bool = False,
        max_size: int | None = None,
        content_types: Iterable[str] | None = None,
        image: bool = False,
        formats: Iterable[str] | None = None,
        max_pixels: int | None = None,
        checksum: bool | str = True,
        cleanup: bool = True,
        direct_upload: bool = False,
        **options: Any,
    ) -> None:
        self.backend, self.upload_to, self.multiple = backend, upload_to, multiple
        self.max_size, self.image, self.max_pixels = max_size, image, max_pixels
        self.formats = None if formats is None else tuple(formats)
        self.content_types = None if content_types is None else tuple(content_types)
        self.checksum, self.cleanup = checksum, cleanup
        self.direct_upload = direct_upload
        options.setdefault("max_length", MAX_LENGTH)
        if multiple:
            options.setdefault("default", list)
        super().__init__(verbose_name, name, **options)

    def __str__(self) -> str:
        owner = getattr(self, "model", None)
        return f"{owner.__name__}.{self.name}" if owner is not None else f"{self.name}"

    @property
    def encoder(self) -> type[AdminEncoder]:
        """What the admin shows a value by; the row's JSON needs none."""
        return AdminEncoder

    @encoder.setter
    def encoder(self, value: object) -> None:
        """Ignore the one that ``JSONField`` sets."""

    def deconstruct(self) -> Any:
        """Return the arguments for a migration: alias, `upload_to` and no secrets."""
        name, path, args, kwargs = super().deconstruct()
        del kwargs["encoder"]
        if kwargs.get("max_length") == MAX_LENGTH:
            del kwargs["max_length"]
        kwargs |= {"backend": self.backend, "upload_to": self.upload_to}
        if not self.cleanup:
            # data migrations delete rows too
            kwargs["cleanup"] = False
        if self.multiple:
            kwargs["multiple"] = True
            if kwargs.get("default") is list:
                del kwargs["default"]
        return name, path, args, kwargs

    def contribute_to_class(self, cls: type[Model], name: str, *args: Any, **kwargs: Any) -> None:
        """Add the field to a model."""
        super().contribute_to_class(cls, name, *args, **kwargs)
        if not cls._meta.abstract:
            model_hooks.add_hooks(cls, self)

    # where files go

    def alias_for(self, instance: Model | None) -> str:
        """Return the alias of the storage for the files of `instance`."""
        if not callable(self.backend):
            return self.backend
        return self.backend(instance) if takes_argument(self.backend) else self.backend()

    def _alias_of(self, file: FileObject, instance: Model) -> str:
        """Return the alias for a file that is about to be stored; one that was set on it stays."""
        is_set = file.backend not in ("", self.backend)
        return file.backend if is_set else self.alias_for(instance)

    def default_files(self) -> list[FileObject]:
        """Return the files of `default` and of a constant `db_default`, which new rows get.

        Raises what a callable default raises.
        """
        values = [self.get_default()] if self.has_default() else []
        values.append(getattr(self.db_default, "value", self.db_default))
        return [file for value in values for file in files_of(self.to_python(value))]

    def generate_filename(self, instance: Model | None, filename: str) -> str:
        """Return the path for a file that the user calls `filename`, as ``FileField`` does.

        Raises ``SuspiciousFileOperation`` for a name that the storage can't store.
        """
        if callable(self.upload_to):
            filename = self.upload_to(instance, filename)
        else:
            folder = datetime.datetime.now().strftime(str(self.upload_to))
            filename = posixpath.join(folder, filename)
        filename = str(validate_file_name(filename, allow_relative_path=True))
        return storages[self.alias_for(instance)].generate_filename(filename)

    def unique_filename(
        self, instance: Model | None, filename: str, alias: str | None = None
    ) -> str:
        """Return a new path for `filename`, with a random part, as long as the storage can hold.

        `alias` is that of the storage if it is not the field's. Raises as the above.
        """
        name = self.generate_filename(instance, filename)
        storage = storages[self.alias_for(instance) if alias is None else alias]
        return wrap(storage).flows.unique(name, self.max_length)

    def prepare(self, instance: Model, file: FileObject) -> None:
        """Set path, checksum algorithm, content type and image size of unsaved content.

        The path of an image gets an extension of its format where the name has that of another:
        forms refuse such a name, but ``save()`` validates nothing. Raises
        ``SuspiciousFileOperation`` for a name that the storage can't store.
        """
        image = validators.image_header(file, self.formats) if self.image else None
        if file._draft:
            file.backend = self._alias_of(file, instance)
            name = image.rename(file.filename) if image else file.filename
            file.filename = self.unique_filename(instance, name, file.backend)
            file._draft = False
        file._max_length, file._algorithm = self.max_length, self.checksum
        if self.content_types is not None:
            file.content_type = validators.content_type_of(file, self.content_types)
        elif image is not None:
            file.content_type = image.content_type
        if self.image:
            file.metadata["width"] = image and image.width
            file.metadata["height"] = image and image.height

    # values

    def from_db_value(
        self, value: Any, expression: Any, connection: BaseDatabaseWrapper
    ) -> FileObject | FileList | None:
        """Return the files that the column's JSON describes. Never raises."""
        return from_column(value, multiple=self.multiple, db=connection.alias)

    def to_python(self, value: Any) -> Any:
        """Return the files of JSON from a fixture; other values as they are."""
        if isinstance(value, dict) or (self.multiple and isinstance(value, list)):
            plain = not files_of(value)
            return from_json(value, multiple=self.multiple) if plain and value else value
        return value

    def get_prep_value(self, value: Any) -> Any:
        """Return the JSON of a value."""
        return to_json(value)

    def pre_save(self, model_instance: Model, add: bool) -> Any:
        """Return the value for the column, after its files are stored: see rows/saving.py."""
        return saving.value_to_write(self, model_instance, add=add)

    def get_db_prep_save(self, value: Any, connection: BaseDatabaseWrapper) -> Any:
        """Return a value for the database.

        Raises ``ValueError`` for unsaved content and for the file of a receipt that no row has:
        only ``save()`` and ``bulk_create()`` store the one and claim the other.
        """
        if isinstance(value, saving.KeptColumn):
            return value
        for file in value if isinstance(value, list | tuple) else [value]:
            is_object = isinstance(file, FileObject)
            is_unsaved = file.has_pending_data if is_object else isinstance(file, File)
            if is_unsaved:
                alias = "alias" if callable(self.backend) else repr(self.backend)
                stored = "file" if is_object else f"FileObject({alias}, name, content=file)"
                raise ValueError(
                    f"{self}: {file!r} has unsaved content, which update(), bulk_update() and raw "
                    "saves don't store. Use save() or bulk_create(), or write what this returns: "
                    f"django_fsspec.save_files([{stored}])."
                )
            if is_object and file._of_receipt and file._db is None:
                raise ValueError(
                    f"{self}: {file!r} is of a receipt, which update(), bulk_update() and raw "
                    "saves can't claim for one row. Use save() or bulk_create()."
                )
        return super().get_db_prep_save(value, connection)

    def value_to_string(self, obj: Model) -> Any:
        """Return the JSON for ``dumpdata``."""
        return to_json(self.value_from_object(obj))

    def get_transform(self, lookup_name: str) -> Any:
        """Return the transform for a key of the JSON: ``file__size``, ``files__0__size``."""
        if self.multiple:
            if lookups.is_index(lookup_name):
                return functools.partial(lookups.ElementKey, lookup_name, element=_ELEMENT)
            return lookups.Count if lookup_name == "len" else None
        if lookup_name in lookups.KEYS:
            return functools.partial(lookups.KEYS[lookup_name], lookup_name)
        return None

    # validation

    @functools.cached_property
    def _content_validators(self) -> list[Callable[[Any], None]]:
        checks_of_content: list[Callable[[Any], None]] = []
        if self.max_size is not None:
            checks_of_content.append(validators.MaxSizeValidator(self.max_size))
        if self.content_types is not None:
            checks_of_content.append(validators.ContentTypeValidator(self.content_types))
        if self.image:
            checks_of_content.append(validators.ImageValidator(self.formats, self.max_pixels))
        return checks_of_content

    def validate(self, value: Any, model_instance: Model | None) -> None:
        """Raise ``ValidationError`` for a missing file, and for a value that is no file.

        Invalid JSON that the column holds is accepted: saving the row leaves it as it is.
        """
        Field.validate(self, value, model_instance)
        for file in value if self.multiple else [value]:
            if file is not None and not file and not self._holds(model_instance, file):
                raise ValidationError(self.error_messages["invalid"], code="invalid")
        for file in files_of(value):
            if file._draft:
                self.validate_name(file, model_instance)

    def _holds(self, instance: Model | None, file: Any) -> bool:
        """Return whether the column of a row that was read holds the JSON of `file`."""
        entry = instance and known_entry(instance, self, str(instance._state.db))
        before = from_column(entry[1], multiple=self.multiple, db=None) if entry else None
        return any(same_json(file, other) for other in files_of(before))

    def validate_name(self, file: FileObject, instance: Model | None) -> None:
        """Raise ``ValidationError`` for a name that the storage can't store: no request."""
        row = self.model() if instance is None else instance
        try:
            try:
                self.unique_filename(row, file.filename, self._alias_of(file, row))
            except SuspiciousFileOperation:
                raise
            except Exception:
                if not (callable(self.upload_to) or callable(self.backend)):
                    raise
                # a callable that needs values which the row does not have yet
                names.check_name(get_valid_filename(file.filename))
        except SuspiciousFileOperation as refused:
            raise ValidationError(
                self.error_messages["invalid_name"],
                code="invalid_name",
                params={"name": file.original_name, "reason": str(refused)},
            ) from refused

    def run_validators(self, value: Any) -> None:
        """Run the validators on each file; raise ``ValidationError`` with all their messages.

        A file of a wrong content type is not checked for being an image as well.
        """
        errors: list[ValidationError] = []
        for file in files_of(value):
            has_wrong_type = False
            for validator in [*self._content_validators, *self.validators]:
                if has_wrong_type and isinstance(validator, validators.ImageValidator):
                    continue
                try:
                    validator(file)
                except ValidationError as error:
                    if isinstance(validator, validators.ContentTypeValidator):
                        has_wrong_type = True
                    # as in Django: one that holds several errors has no code
                    if hasattr(error, "code") and error.code in self.error_messages:
                        error.message = self.error_messages[error.code]
                    errors.extend(error.error_list)
        if errors:
            raise ValidationError(errors)

    # forms

    def formfield(self, **kwargs: Any) -> Any:
        """Return a form field for uploads."""
        from django_fsspec import uploads
        from django_fsspec.forms import fields

        form_class = (
            fields.MultipleStoredObjectFormField if self.multiple else fields.StoredObjectFormField
        )
        options = {"form_class": form_class, "max_length": self.max_length, **kwargs}
        if self.direct_upload and issubclass(options["form_class"], fields.StoredObjectFormField):
            options.setdefault("direct_upload", uploads.Destination.of(self))
        if issubclass(options["form_class"], fields.StoredObjectFormField):
            options.setdefault("model_field", self)
            # Django shows one for a callable default; a client must not set an initial file
            options.setdefault("show_hidden_initial", False)
        return Field.formfield(self, **options)

    def save_form_data(self, instance: Model, data: Any) -> None:
        """Assign the data of a form field: None for no change, False to clear."""
        if data is not None:
            # a file with invalid JSON is false, and stays
            setattr(instance, self.name, data if isinstance(data, FileObject) else data or None)

    # checks

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        """Return the messages of `manage.py check` for this field: no I/O."""
        messages = [*super().check(**kwargs), *place_messages(self), *self._check_options()]
        return [*messages, *image_messages(self), *self._check_direct_upload()]

    def _check_options(self) -> Iterable[checks.CheckMessage]:
        if self.blank and not self.null and not self.multiple and not self.has_default():
            yield checks.Error(
                "blank=True without null=True: an empty file is NULL in the database.",
                hint="Add null=True.",
                obj=self,
                id="django_fsspec.E012",
            )
        needed = [("PIL.Image", "images", "image=True")] if self.image else []
        if self.content_types is not None:
            needed.append(("filetype", "sniff", "content_types"))
        for module, extra, option in needed:
            try:
                extras.load(module, extra, option)
            except ImproperlyConfigured as missing:
                yield checks.Error(str(missing), obj=self, id="django_fsspec.E013")

    def _check_direct_upload(self) -> Iterable[checks.CheckMessage]:
        from django_fsspec.uploads.identity import MIDDLEWARE

        if self.direct_upload and MIDDLEWARE not in settings.MIDDLEWARE:
            yield checks.Error(
                "direct_upload=True needs to know who uploads a file.",
                hint=f"Add {MIDDLEWARE!r} to MIDDLEWARE, after AuthenticationMiddleware.",
                obj=self,
                id="django_fsspec.E020",
            )
        if self.direct_upload and not _has_upload_views():
            yield checks.Error(
                "direct_upload=True needs django_fsspec's URLs, which are not included.",
                hint="Add path('files/', include('django_fsspec.urls')) to the URLconf.",
                obj=self,
                id="django_fsspec.E021",
            )


def _has_upload_views() -> bool:
    try:
        reverse("django_fsspec:start_upload")
    except (NoReverseMatch, ImproperlyConfigured):
        return False
    return True


#: the field of an element of a field with several files
_ELEMENT: Any = StoredObjectField()
for _lookup in (
    lookups.AmongFiles,
    lookups.IsEmpty,
    lookups.RefersTo,
    lookups.SameFile,
    lookups.StoredOn,
):
    StoredObjectField.register_lookup(_lookup)


def _connect(sender: type[Model], **kwargs: Any) -> None:
    """Delete files with the rows of a proxy model, which Django names as the sender."""
    fields = sender._meta.concrete_fields
    if sender._meta.proxy and any(isinstance(field, StoredObjectField) for field in fields):
        pre_delete.connect(deleted_rows.row_deleted, sender=sender)


class_prepared.connect(_connect)
