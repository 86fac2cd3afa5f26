"""What a file has to be before it is stored: how large, of which type, an image.

For ``StoredObjectField``, for ``FileField`` and for form fields. Content that waits is looked at
without being moved or used up; a file that is stored already is never read.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models.fields.files import FieldFile
from django.template.defaultfilters import filesizeformat
from django.utils.deconstruct import deconstructible
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from .core.content_types import UNKNOWN_TYPE, canonical, names_of
from .objects import images, pending_content, sniffing
from .objects.description import Described
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

    Nothing is read: content whose size is not known before, such as that of a generator, passes.
    """

    message = _("The file has %(size)s; at most %(limit)s are allowed.")
    code = "max_size"

    def __init__(self, limit: int) -> None:
        if not isinstance(limit, int) or isinstance(limit, bool):
            raise TypeError(f"limit must be a number of bytes, not {limit!r}.")
        self.limit = limit

    def __call__(self, file: Any) -> None:
        """Raise ``ValidationError`` with the code ``max_size`` for a file that is too large."""
        if _is_committed(file):
            return
        size = _size(file)
        if size is None or size <= self.limit:
            return
        said, limit = filesizeformat(size), filesizeformat(self.limit)
        if said == limit:
            said, limit = _bytes(size), _bytes(self.limit)
        raise ValidationError(
            self.message, code=self.code, params={"size": said, "limit": limit, "value": file}
        )

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.limit == other.limit

    def __hash__(self) -> int:
        return hash(self.limit)


@deconstructible(path="django_fsspec.validators.ContentTypeValidator")
class ContentTypeValidator:
    """Refuse files whose type is not among `allowed`, and files whose name lies about their type.

    `allowed` are types and patterns: ``["image/*", "application/pdf"]``. The type is told by the
    first bytes; what the browser says of it does not count. Of a stored file, its known type
    counts. Needs the extra `sniff`.
    """

    message = _("Files of the type %(content_type)s are not allowed, only %(allowed)s.")
    code = "content_type"
    misnamed = _("The name “%(name)s” promises %(promised)s, but the content is %(content_type)s.")
    unlike = _("The name “%(name)s” promises %(promised)s, but the content is something else.")
    misnamed_code = "misnamed"

    def __init__(self, allowed: Iterable[str]) -> None:
        if isinstance(allowed, str):
            raise TypeError(f"allowed must be a list of types, not a str: [{allowed!r}].")
        given = {pattern.strip().lower() for pattern in allowed}
        for pattern in given:
            if not _PATTERN.fullmatch(pattern):
                raise ValueError(
                    f"{pattern!r} is no content type; write 'image/png' or 'image/*'."
                )
        self.allowed = tuple(sorted(given))
        # what a migration holds: an iterator is used up by now, a set has no order
        if type(self) is ContentTypeValidator:
            self._constructor_args: Any = (list(self.allowed),), {}

    def __call__(self, file: Any) -> None:
        """Raise ``ValidationError``: code ``content_type``, ``misnamed`` or ``unreadable``."""
        if _is_committed(file):
            return
        if isinstance(file, Described) and not file.has_pending_data:
            found = file.content_type
        else:
            found = self._told(file)
        if not self._allows(found):
            allowed = ", ".join(self.allowed)
            params = {"content_type": found, "allowed": allowed, "value": file}
            raise ValidationError(self.message, code=self.code, params=params)

    def _told(self, file: Any) -> str:
        """Return the type of what waits; ``ValidationError`` where a name promises another."""
        head, names = _head(file), _names(file)
        for name in names:
            found, promised = sniff(head, name), sniffing.promised_type(name)
            if promised in (None, found):
                continue
            if found is not None or sniffing.is_recognisable(promised):
                raise ValidationError(
                    self.unlike if found is None else self.misnamed,
                    code=self.misnamed_code,
                    params={
                        "name": name,
                        "promised": promised,
                        "content_type": found or UNKNOWN_TYPE,
                        "value": file,
                    },
                )
        return _type(head, names)

    def _allows(self, found: str) -> bool:
        names = names_of(found)
        return any(fnmatchcase(name, pattern) for name in names for pattern in self.allowed)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.allowed == other.allowed

    def __hash__(self) -> int:
        return hash(self.allowed)


@deconstructible(path="django_fsspec.validators.ImageValidator")
class ImageValidator:
    """Refuse what is no image that Pillow opens and verifies, as ``forms.ImageField`` does.

    Of a stored file, its known type counts. Needs the extra `images`.
    """

    message = _(
        "Upload a valid image. The file you uploaded was either not an image or a corrupted image."
    )
    code = "invalid_image"

    def __call__(self, file: Any) -> None:
        """Raise ``ValidationError``: code ``invalid_image`` or ``unreadable``."""
        if _is_committed(file):
            return
        if isinstance(file, Described) and not file.has_pending_data:
            known = canonical(file.content_type)
            if not known.startswith("image/") and known != UNKNOWN_TYPE:
                raise self._refusal(file)
            return
        try:
            with _readable(file), pending_content.looking(_content(file)) as content:
                images.check(content)
        except images.NoImage as error:
            raise self._refusal(file) from error

    def _refusal(self, file: Any) -> ValidationError:
        return ValidationError(self.message, code=self.code, params={"value": file})

    def __eq__(self, other: object) -> bool:
        return True if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(type(self))


def content_type_of(file: Any) -> str:
    """Return the type to store a file under: by its first bytes, else by its name.

    A stored file keeps the type it has. Content that can't be looked at before it is saved, such
    as an async iterable, goes by its name; what is wrong with it, saving tells.
    """
    if isinstance(file, Described) and not file.has_pending_data:
        return file.content_type
    try:
        head = _head(file)
    except ValidationError:
        head = b""
    return _type(head, _names(file))


def measure(file: Any) -> tuple[int, int] | None:
    """Return width and height in pixels of an image that waits to be stored, else None.

    Of a stored file, what is known of it. Reads the header only; what can't be looked at before
    it is saved has no size.
    """
    if isinstance(file, Described) and not file.has_pending_data:
        known = file.width, file.height
        return None if None in known else known  # type: ignore[return-value]
    try:
        with pending_content.looking(_content(file)) as content:
            return images.size(content)
    except (images.NoImage, pending_content.Unreadable):
        return None


def _type(head: bytes, names: list[str]) -> str:
    telling = next(filter(sniffing.promised_type, names), "")
    return sniff(head, telling) or sniffing.promised_type(telling) or UNKNOWN_TYPE


def _size(file: Any) -> int | None:
    if not isinstance(file, Described):
        return pending_content.size_of(file)
    if not file.has_pending_data:
        return file.size
    counted = pending_content.size_of(file._pending)
    return file.size if counted is None else counted


def _is_committed(file: Any) -> bool:
    """Whether it is a stored file of a ``FileField``: of it nothing is known without a request."""
    return isinstance(file, FieldFile) and bool(getattr(file, "_committed", False))


def _content(file: Any) -> Any:
    return file._pending if isinstance(file, Described) else file


def _names(file: Any) -> list[str]:
    """Return what the file is called, by where it is stored and by who gave it."""
    if isinstance(file, Described):
        names = [file.filename, file.original_name]
    else:
        name = getattr(file, "name", None)
        names = [name if isinstance(name, str) else ""]
    return list(dict.fromkeys(map(posixpath.basename, names)))


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
