"""``Stat``: what a service says about a stored object."""

import re
import stat as stat_module
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat:
    """One object or directory, as a service describes it. Unknown values are None.

    `name` is relative to the storage's prefix (inside an adapter: the filesystem's own path),
    `size` is in bytes as stored, times are aware and in UTC, `etag` is without quotes,
    `checksum` is ``"<algorithm>:<hex>"`` over the stored bytes. A symbolic link is described as
    what it leads to; `is_link` says that it is one, in listings only. `save_token` tells the save
    that made the object, where the service keeps metadata. `headers` are those named in `HEADERS`
    that the service keeps with the object.
    """

    # pickles name this path, which has no names to look annotations up in: they are objects here
    __module__ = "django_fsspec.stat"

    name: str
    size: int | None = None
    is_dir: bool = False
    last_modified: datetime | None = None
    created: datetime | None = None
    accessed: datetime | None = None
    content_type: str | None = None
    content_encoding: str | None = None
    etag: str | None = None
    version_id: str | None = None
    checksum: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    is_link: bool = False
    save_token: str | None = field(default=None, compare=False, repr=False)
    #: further headers that the service answers with; None where it was not asked for them
    headers: Mapping[str, str] | None = field(default=None, compare=False, repr=False)

    def __setstate__(self, state: Sequence[Any]) -> None:
        """Take the values of a pickle, which of an older release are fewer."""
        values = [*state, *(attribute.default for attribute in fields(self)[len(state) :])]
        for attribute, value in zip(fields(self), values, strict=False):
            object.__setattr__(self, attribute.name, value)


def is_replaced(first: Stat, later: Stat) -> bool:
    """Return whether two descriptions of one name are of different versions of the file.

    False where they have nothing to compare. Servers may tell times in whole seconds.
    """

    def differs(name: str) -> bool:
        values = getattr(first, name), getattr(later, name)
        return None not in values and values[0] != values[1]

    if first.etag and later.etag:
        # Apache's is weak, and otherwise the same, in the second after a change
        strong, other = (stat.etag.removeprefix('W/"') for stat in (first, later) if stat.etag)
        return strong != other or differs("version_id")
    return differs("size") or differs("last_modified")


#: headers of `Stat.headers`, by the names of object options
HEADERS = {
    "cache_control": "Cache-Control",
    "content_disposition": "Content-Disposition",
    "content_language": "Content-Language",
}


def kept_headers(answer: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    """Return `Stat.headers` by an answer in which each has the name that `names` says."""
    return {name: str(answer[own]) for name, own in names.items() if answer.get(own)}


#: metadata by which a save knows its own object again; letters alone, which every service takes
SAVE_TOKEN = "fsspecsavetoken"  # noqa: S105 - no secret


def split_metadata(metadata: Mapping[str, str] | None) -> dict[str, Any]:
    """Return what a service keeps as the arguments `metadata` and `save_token` of a ``Stat``."""
    own = dict(metadata or {})
    token = own.pop(SAVE_TOKEN, None)
    return {"metadata": own, "save_token": token}


#: up to the largest size that a file can have: int() refuses thousands of digits
_NUMBER = re.compile(r"[0-9]{1,19}")


def parse_number(text: str | None) -> int | None:
    """Return the whole number that a server tells; None without a text or for anything else.

    ``str.isdigit()`` and ``int()`` disagree about "²", and both take digits of other scripts.
    """
    return int(text) if text and _NUMBER.fullmatch(text) else None


def total_size(content_range: str | None, content_length: str | None) -> int | None:
    """Return the size of a whole file by the headers of an answer about all or a range of it."""
    if content_range is None:
        return parse_number(content_length)
    return parse_number(content_range.rpartition("/")[2])


def unquoted(etag: str | None) -> str | None:
    """Return an ETag without its quotes, None for an empty one."""
    return (etag or "").strip('"') or None


def is_special(mode: int | None) -> bool:
    """Return whether a mode is that of a FIFO, socket or device: reading one may never end.

    False for a mode without a type, or None: some servers tell none.
    """
    return stat_module.S_IFMT(mode or 0) not in (0, stat_module.S_IFREG, stat_module.S_IFDIR)


def utc(value: Any) -> datetime | None:
    """Return an aware UTC datetime for what fsspec filesystems give as a time.

    Takes datetimes (naive ones are UTC), epoch seconds, ISO 8601, RFC 9110 dates, FTP's
    ``YYYYMMDDHHMMSS`` and zip's six-tuples; anything else is None, and a date that does not exist.
    """
    try:
        return _utc(value)
    except (ValueError, OverflowError, OSError):
        return None


def _utc(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return datetime.fromtimestamp(value, UTC)
    if isinstance(value, tuple) and len(value) >= 6:
        year, month, day, hour, minute, second = value[:6]
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    if isinstance(value, str):
        return _utc_from_text(value)
    return None


_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"
#: RFC 9110, 5.6.7: nearly every HTTP response has two of them, and email.utils takes its time
_HTTP_DATE = re.compile(r"\w{3}, (\d\d) (\w{3}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT", re.ASCII)


def _utc_from_text(text: str) -> datetime | None:
    if (match := _HTTP_DATE.fullmatch(text)) and match[2] in _MONTHS:
        day, month, *rest = match.groups()
        year, hour, minute, second = map(int, rest)
        number = _MONTHS.index(month) // 4 + 1
        return datetime(year, number, int(day), hour, minute, second, tzinfo=UTC)
    from email.utils import parsedate_to_datetime

    if text[:14].isdigit():
        return datetime.strptime(text[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    try:
        return _utc(datetime.fromisoformat(text))
    except ValueError:
        return _utc(parsedate_to_datetime(text))
