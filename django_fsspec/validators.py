"""Validators of files: maximum size, content type, images.

For ``StoredObjectField``, ``FileField`` and form fields. They read unsaved content ahead, so that
a save still gets all of it. They never read a stored file.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import IO, Any, TypeGuard

from django.core.exceptions import ValidationError
from django.db.models.fields.files import FieldFile
from django.template.defaultfilters import filesizeformat
from django.utils.deconstruct import deconstructible
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from .core.content_types import UNKNOWN_TYPE, canonical, extension_of, names_of
from .objects import images, pending_content, sniffing
from .objects.description import FileDescription
from .objects.sniffing import sniff

__all__ = [
    "ContentTypeValidator",
    "ImageValidator",
    "MaxSizeValidator",
    "content_type_of",
    "measure",
    "sniff",
]

_PATTERN = re.compile(r"[\w.+*-]+/[\w.+*-]+")


@deconstructible(path="django_fsspec.validators.MaxSizeValidator")
class MaxSizeValidator:
    """Refuse files of more than `limit` bytes.

    Example::

        file = models.FileField(validators=[MaxSizeValidator(5 * 1024 * 1024)])

    Reads nothing: content of unknown size, such as a generator, passes. Raises ``TypeError`` for a
    `limit` that is no number.
    """

    message = _("The file has %(size)s; at most %(limit)s are allowed.")
    code = "max_size"

    def __init__(self, limit: int) -> None:
        if not isinstance(limit, int) or isinstance(limit, bool):
            raise TypeError(f"limit must be an int, a number of bytes, not {limit!r}.")
        self.limit = limit

    def __call__(self, file: Any) -> None:
        """Raise ``ValidationError`` with the code ``max_size`` for a file that is too large."""
        if _is_committed(file):
            return
        size = _size(file)
        if size is None or size <= self.limit:
            return
        shown, limit = filesizeformat(size), filesizeformat(self.limit)
        if shown == limit:
            shown, limit = _bytes(size), _bytes(self.limit)
        raise ValidationError(
            self.message, code=self.code, params={"size": shown, "limit": limit, "value": file}
        )

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.limit == other.limit

    def __hash__(self) -> int:
        return hash(self.limit)


@deconstructible(path="django_fsspec.validators.ContentTypeValidator")
class ContentTypeValidator:
    """Refuse content types that are not in `allowed`, and a wrong extension.

    Example::

        file = models.FileField(validators=[ContentTypeValidator(["image/*", "text/csv"])])

    `allowed` are content types and patterns. The first bytes decide the type, not the browser's
    header. Of a stored file, its known type is checked. Needs the extra `sniff`. Raises
    ``TypeError`` for a str, ``ValueError`` for a pattern that is no content type.
    """

    message = _("Files of the type %(content_type)s are not allowed, only %(allowed)s.")
    code = "content_type"
    misnamed = _("“%(name)s” is not a valid %(extension)s file (its content is %(content_type)s).")
    unlike = _("“%(name)s” is not a valid %(extension)s file (its content is something else).")
    misnamed_code = "misnamed"

    def __init__(self, allowed: Iterable[str]) -> None:
        if isinstance(allowed, str):
            raise TypeError(f"allowed must be a list of types, not a str: [{allowed!r}].")
        patterns = {pattern.strip().lower() for pattern in allowed}
        for pattern in patterns:
            if not _PATTERN.fullmatch(pattern):
                raise ValueError(
                    f"{pattern!r} is not a content type: write 'image/png' or 'image/*'."
                )
        self.allowed = tuple(sorted(patterns))
        # for migrations: an iterator is used up by now, and a set has no order
        if type(self) is ContentTypeValidator:
            self._constructor_args: Any = (list(self.allowed),), {}

    def __call__(self, file: Any) -> None:
        """Raise ``ValidationError``: code ``content_type``, ``misnamed`` or ``unreadable``.

        Raises ``ImproperlyConfigured`` without the extra `sniff`.
        """
        if _is_committed(file):
            return
        if _is_stored(file):
            content_types: tuple[str, ...] = (file.content_type,)
        else:
            content_types = self._detected(file)
        if not any(map(self.allows, content_types)):
            allowed = ", ".join(self.allowed)
            params = {"content_type": content_types[0], "allowed": allowed, "value": file}
            raise ValidationError(self.message, code=self.code, params=params)

    def _detected(self, file: Any) -> tuple[str, ...]:
        """Return the types of unsaved content. Raise ``ValidationError`` for a wrong extension."""
        head, names = _head(file), _names(file)
        for name in names:
            if not sniffing.is_misnamed(head, name):
                continue
            detected = sniff(head, name)
            raise ValidationError(
                self.unlike if detected is None else self.misnamed,
                code=self.misnamed_code,
                params={
                    "name": name,
                    "extension": _extension(name),
                    "promised": sniffing.promised_type(name),
                    "content_type": detected or UNKNOWN_TYPE,
                    "value": file,
                },
            )
        return _types(head, names)

    def allows(self, content_type: str) -> bool:
        """Return whether a content type is allowed, by any of its names."""
        names = names_of(content_type)
        return any(fnmatchcase(name, pattern) for name in names for pattern in self.allowed)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.allowed == other.allowed

    def __hash__(self) -> int:
        return hash(self.allowed)


@deconstructible(path="django_fsspec.validators.ImageValidator")
class ImageValidator:
    """Refuse files that Pillow can't open and verify as an image, as ``forms.ImageField`` does.

    Example::

        file = models.FileField(validators=[ImageValidator(max_pixels=50_000_000)])

    Also refuses a truncated JPEG, and an extension that is not of the format found. `formats` are
    names of Pillow's formats; without them, those that cameras and browsers have: no EPS, WMF or
    XPM. The header tells whether an image has more than `max_pixels`, before anything is decoded.
    Of a stored file, its known type is checked. Needs the extra `images`. Raises ``TypeError`` for
    `formats` that are a str and `max_pixels` that are no int, ``ValueError`` for 0 and less.
    """

    message = _(
        "Upload a valid image. The file you uploaded was either not an image or a corrupted image."
    )
    code = "invalid_image"
    misnamed = ContentTypeValidator.misnamed
    misnamed_code = ContentTypeValidator.misnamed_code
    too_many = _("The image has %(width)s × %(height)s pixels; at most %(limit)s are allowed.")  # noqa: RUF001
    too_many_code = "max_pixels"
    #: of the class, for pickles of earlier releases
    formats: tuple[str, ...] | None = None
    max_pixels: int | None = None

    def __init__(
        self, formats: Iterable[str] | None = None, max_pixels: int | None = None
    ) -> None:
        if isinstance(formats, str):
            raise TypeError(f"formats must be a list of formats, not a str: [{formats!r}].")
        if max_pixels is not None and (
            not isinstance(max_pixels, int) or isinstance(max_pixels, bool)
        ):
            raise TypeError(f"max_pixels must be an int, not {max_pixels!r}.")
        if max_pixels is not None and max_pixels < 1:
            raise ValueError(f"max_pixels must be 1 or more, not {max_pixels}.")
        self.formats = None if formats is None else tuple(sorted({f.upper() for f in formats}))
        self.max_pixels = max_pixels

    def __call__(self, file: Any) -> None:
        """Raise ``ValidationError``.

        The code is ``invalid_image``, ``misnamed``, ``max_pixels`` or ``unreadable``. Raises
        ``ImproperlyConfigured`` without the extra `images`.
        """
        if _is_committed(file):
            return
        if _is_stored(file):
            content_type = canonical(file.content_type)
            if not content_type.startswith("image/") and content_type != UNKNOWN_TYPE:
                raise self._refusal(file)
            return
        with _readable(file), pending_content.looking(_content(file)) as content:
            self.inspect(content, _names(file), file)

    def inspect(self, content: IO[bytes], names: Iterable[str], value: Any) -> images.Header:
        """Return the header of an image with these names. Raise ``ValidationError`` for others.

        `value` is the file for the error.
        """
        try:
            header = images.check(content, self.formats, self.max_pixels)
        except images.NoImage as error:
            raise self._refusal(value) from error
        except images.TooManyPixels as error:
            params = {"width": error.width, "height": error.height, "limit": self.max_pixels}
            raise ValidationError(
                self.too_many, code=self.too_many_code, params={**params, "value": value}
            ) from error
        for name in names:
            if not header.fits(name):
                raise ValidationError(
                    self.misnamed,
                    code=self.misnamed_code,
                    params={
                        "name": posixpath.basename(name),
                        "extension": _extension(name),
                        "content_type": header.content_type,
                        "value": value,
                    },
                )
        return header

    def _refusal(self, file: Any) -> ValidationError:
        return ValidationError(self.message, code=self.code, params={"value": file})

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return (self.formats, self.max_pixels) == (other.formats, other.max_pixels)

    def __hash__(self) -> int:
        return hash((self.formats, self.max_pixels))


def content_type_of(file: Any, allowed: Iterable[str] | None = None) -> str:
    """Return the content type to store: by the first bytes, otherwise by the name.

    Where the bytes may be of several types, such as a film that may be sound alone, it is one that
    `allowed` allows. A stored file keeps its type. For content that can't be read before it is
    saved, such as an async iterable, the name decides. Raises ``ImproperlyConfigured`` without the
    extra `sniff`.
    """
    if _is_stored(file):
        return file.content_type
    try:
        head = _head(file)
    except ValidationError:
        head = b""
    content_types = _types(head, _names(file))
    if allowed is not None:
        validator = ContentTypeValidator(allowed)
        content_types = (*filter(validator.allows, content_types), *content_types)
    return content_types[0]


def measure(file: Any) -> tuple[int, int] | None:
    """Return width and height in pixels of an image as browsers show it; None for other files.

    Reads the header of unsaved content only. Returns None for content that can't be read before
    it is saved, and for a stored file whose size is not known. Raises ``ImproperlyConfigured``
    without the extra `images`.
    """
    if _is_stored(file):
        size = file.width, file.height
        return None if None in size else size  # type: ignore[return-value]
    header = image_header(file)
    return header and (header.width, header.height)


def image_header(file: Any, formats: Iterable[str] | None = None) -> images.Header | None:
    """Return size and format of an unsaved image; None for what is none, or can't be read ahead.

    `formats` are as for ``ImageValidator``. Raises ``ImproperlyConfigured`` without the extra
    `images`.
    """
    try:
        with pending_content.looking(_content(file)) as content:
            return images.header(content, formats)
    except (images.NoImage, pending_content.Unreadable):
        return None


def _types(head: bytes, names: list[str]) -> tuple[str, ...]:
    name = next(filter(sniffing.promised_type, names), "")
    return sniffing.sniff_all(head, name) or (sniffing.promised_type(name) or UNKNOWN_TYPE,)


def _size(file: Any) -> int | None:
    if not isinstance(file, FileDescription):
        return pending_content.size_of(file)
    if not file.has_pending_data:
        return file.size
    size = pending_content.size_of(file._pending)
    return file.size if size is None else size


def _is_stored(file: Any) -> TypeGuard[FileDescription]:
    """Return whether this is a ``FileObject`` without unsaved content, as its row describes it."""
    return isinstance(file, FileDescription) and not file.has_pending_data


def _is_committed(file: Any) -> bool:
    """Return whether this is a stored file of a ``FileField``, which only a request describes."""
    return isinstance(file, FieldFile) and bool(getattr(file, "_committed", False))


def _content(file: Any) -> Any:
    return file._pending if isinstance(file, FileDescription) else file


def _names(file: Any) -> list[str]:
    """Return the names of a file: that of its path, and the one that the user gave it."""
    if isinstance(file, FileDescription):
        names = [file.filename, file.original_name]
    else:
        name = getattr(file, "name", None)
        names = [name if isinstance(name, str) else ""]
    return list(dict.fromkeys(map(posixpath.basename, names)))


def _extension(name: str) -> str:
    return extension_of(name)[1:].upper()


def _head(file: Any) -> bytes:
    with _readable(file), pending_content.looking(_content(file)) as content:
        return content.read(sniffing.HEAD)


@contextmanager
def _readable(file: Any) -> Iterator[None]:
    try:
        yield
    except pending_content.Unreadable as error:
        raise ValidationError(
            _("The file can't be read: %(reason)s"),
            code="unreadable",
            params={"reason": str(error), "value": file},
        ) from error


def _bytes(number: int) -> str:
    return ngettext("%(size)d byte", "%(size)d bytes", number) % {"size": number}
