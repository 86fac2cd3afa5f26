"""Names of files: which are safe, how they are shortened and joined to a prefix.

Names are checked here and nowhere else: fsspec filesystems expand ``..``, ``~``, protocols and
wildcards each in its own way, and ``DirFileSystem`` is not a jail.
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from django.core.exceptions import SuspiciousFileOperation
from django.utils.crypto import get_random_string
from fsspec.registry import known_implementations, registry

#: Suffix of files being written; listings leave them out and no name may end with it.
PARTIAL_SUFFIX = ".fsspec-part"

#: characters that turn the direction of writing: "gpj.exe" is shown as "exe.jpg"
BIDI = re.compile(r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
#: bytes that any disk holds between two slashes; files of rows can move to one
PORTABLE = 255
#: characters of the longest extension, its dots included
_LONGEST_EXTENSION = 20
#: folders that a listed name may lie in: a link or a hostile server can repeat them without end
MAX_DEPTH = 255
#: half of a character: JSON can hold it, UTF-8 can't
SURROGATE = re.compile(r"[\ud800-\udfff]")


class RoomyName(str):
    """A name that remembers the ``max_length`` its alternatives must respect.

    ``Storage.save()`` gives ``max_length`` to ``get_available_name()`` but not to ``_save()``,
    which is where a clash is found out.
    """

    __slots__ = ("max_length",)
    max_length: int | None

    def __new__(cls, value: str, max_length: int | None = None) -> RoomyName:
        """Return `value` with its bound, in characters."""
        name = super().__new__(cls, value)
        name.max_length = max_length
        return name


def _fault(name: str) -> str | None:
    """Return what is wrong with `name`, or None."""
    if not name:
        return "is empty"
    if _CONTROL.search(name):
        return "contains a control character"
    if SURROGATE.search(name):
        return "contains a lone surrogate, which is not valid text"
    if "\\" in name:
        return "contains a backslash; separate folders with '/'"
    if name[0] in "/~":
        return f"starts with {name[0]!r}; names are relative to the storage's prefix"
    if "//" in name or name[-1] == "/":
        return "has an empty part between or after slashes"
    if not {".", ".."}.isdisjoint(name.split("/")):
        return "has a '.' or '..' part"
    if "::" in name:
        return "contains '::', which fsspec reads as a chain of filesystems"
    if "?versionId=" in name:
        return "contains '?versionId=', which S3 filesystems cut off"
    if name.endswith(PARTIAL_SUFFIX):
        return f"ends with {PARTIAL_SUFFIX!r}, which marks unfinished writes"
    protocol, colon, _ = name.partition(":")
    if colon and (protocol in known_implementations or protocol in registry):
        return f"starts with the protocol {protocol + colon!r}"
    return None


@lru_cache(maxsize=4096)
def _checked(name: str) -> str:
    fault = _fault(name)
    if fault:
        shown = name if len(name) <= 100 else name[:100] + "…"
        raise SuspiciousFileOperation(f"The file name {shown!r} {fault}.")
    return name


def check_name(name: object) -> str:
    """Return `name` as a str when it is safe on every filesystem.

    Raises ``SuspiciousFileOperation``. Nothing is changed: what is accepted is stored exactly.
    """
    return _checked(str(name))


def check_directory(path: object) -> str:
    """Return a directory name for listing: as ``check_name()``, with "" for the root."""
    text = str(path)
    if text in ("", ".", "/", "./"):
        return ""
    return check_name(text.removesuffix("/"))


def check_fits(
    name: str,
    key: str,
    *,
    max_key: int | None,
    max_characters: int | None,
    max_segment: int | None,
    forbidden: str,
    cuts_dots: bool,
) -> None:
    """Raise ``SuspiciousFileOperation`` when the service can't hold such a name.

    `max_key` bounds the bytes of the whole `key`, the name with the prefix and without a bucket;
    `max_characters` bounds its characters, `max_segment` the bytes between two slashes.
    `cuts_dots` is whether the service takes "a." for "a".
    """
    for character in forbidden:
        if character in name:
            raise SuspiciousFileOperation(
                f"The file name {name[:100]!r} contains {character!r}, which the storage "
                "can't hold."
            )
    if cuts_dots and (key.endswith(".") or "./" in key):
        raise SuspiciousFileOperation(
            f"The file name {name[:100]!r} has a part that ends with '.', which the service cuts "
            "off."
        )
    _check_length(name, key, max_key, max_characters, max_segment)


def _check_length(
    name: str,
    key: str,
    max_key: int | None,
    max_characters: int | None,
    max_segment: int | None,
) -> None:
    """Raise ``SuspiciousFileOperation`` for a name that is too long; see ``check_fits()``."""
    if max_key is not None and len(key.encode()) > max_key:
        raise SuspiciousFileOperation(
            f"The file name {name[:100]!r}… is longer than the {max_key} bytes the service allows."
        )
    if max_characters is not None and len(key) > max_characters:
        raise SuspiciousFileOperation(
            f"The file name {name[:100]!r}… is longer than the {max_characters} characters the "
            "service allows."
        )
    if max_segment is not None and max(map(_bytes, name.split("/"))) > max_segment:
        raise SuspiciousFileOperation(
            f"The file name {name[:100]!r}… has a part longer than the {max_segment} bytes "
            "the service allows."
        )


def folded(name: str) -> str:
    """Return what is equal for names that differ in case or Unicode form alone.

    Some storages take such names for one: see storage/spelling.py.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def join(prefix: str, name: str) -> str:
    """Return where `name` lies inside the filesystem."""
    if not name:
        return prefix
    if not prefix or prefix.endswith("/"):
        return prefix + name
    return f"{prefix}/{name}"


def relative(prefix: str, path: str) -> str | None:
    """Return the name of a filesystem `path` under `prefix`, or None when it is outside."""
    root, path = prefix.strip("/"), path.lstrip("/")
    if not root:
        return path or None
    return path[len(root) + 1 :] or None if path.startswith(root + "/") else None


def label_in(directory: str, path: str) -> str | None:
    """Return the last part of a listed `path`; None unless that lies directly in `directory`.

    Servers may list anything: "..", names with slashes, what lies elsewhere.
    """
    label = relative(directory, path)
    if label is None or "/" in label or "\0" in label or label in (".", ".."):
        return None
    return label


class Room(NamedTuple):
    """How long a name may be: in characters, and its last part and all of it in bytes of UTF-8.

    None means any length. Filesystems bound bytes: 85 Chinese letters fill 255.
    """

    characters: int | None = None
    last_part: int | None = None
    path: int | None = None

    def excess(self, name: str) -> tuple[int, int]:
        """Return how many characters and how many bytes `name` is too long, 0 where it fits."""
        sizes = (
            (len(name), self.characters),
            (_bytes(name.rpartition("/")[2]), self.last_part),
            (_bytes(name), self.path),
        )
        over = [0 if most is None else max(0, size - most) for size, most in sizes]
        return over[0], max(over[1:])


def _bytes(text: str) -> int:
    # a lone surrogate is refused elsewhere, with a message
    return len(text.encode(errors="surrogatepass"))


def last_part(name: str) -> str:
    """Return what is behind the last slash or backslash of a name that a user gave; "" for none.

    "." and ".." are no names of files.
    """
    part = name.replace("\\", "/").rpartition("/")[2]
    return "" if part in (".", "..") else part


def split_extension(name: str) -> tuple[str, str, str]:
    """Return (directory, root, extension) as Django splits them for an alternative name.

    What is too long for an extension belongs to the root: "1. A long title.pdf".
    """
    directory, filename = posixpath.split(name)
    first = filename.find(".", 1)
    if 0 < first < len(filename) - _LONGEST_EXTENSION:
        first = filename.rfind(".", len(filename) - _LONGEST_EXTENSION)
    if first < 0:
        return directory, filename, ""
    return directory, filename[:first], filename[first:]


def shorter(root: str, characters: int, bytes_: int) -> str:
    """Return `root` without at least so many characters and bytes at its end; "" if it is less."""
    left = _bytes(root) - bytes_
    end = max(0, min(len(root) - characters, left))
    while end and _bytes(root[:end]) > left:
        end -= 1
    return root[:end]


def unique(name: str, room: Room) -> str:
    """Return `name` with a random part, shortened before that where there is no room.

    Without dots at its end, which some services cut off. A name that nobody had before: a
    deletion that comes late can't hit another file. Raises as ``shortened()``.
    """
    directory, root, extension = split_extension(name)
    ending = f"_{get_random_string(7)}{extension.rstrip('.')}"
    root = shorter(root, *room.excess(join(directory, root + ending)))
    return shortened(join(directory, root + ending), room)


def has_random_part(name: str) -> bool:
    """Return whether `name` ends like those that unique() makes, which others may by chance."""
    return re.search(r"_[a-zA-Z0-9]{7}$", split_extension(name)[1]) is not None


def shortened(name: str, room: Room) -> str:
    """Return `name` shortened before its extension where there is no room for it.

    Raises ``SuspiciousFileOperation`` when nothing of the name would be left.
    """
    excess = room.excess(name)
    if excess == (0, 0):
        return name
    directory, root, extension = split_extension(name)
    root = shorter(root, *excess)
    if not root:
        raise no_room(name)
    return join(directory, root + extension)


def no_room(name: str) -> SuspiciousFileOperation:
    """Return the error for a name of which shortening would leave nothing."""
    return SuspiciousFileOperation(
        f"Storage can not find an available filename for {name[:100]!r}. Please make sure "
        'that the corresponding file field allows sufficient "max_length".'
    )
