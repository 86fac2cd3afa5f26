"""Which JSON describes a file: the types of the nine keys, and what no file can have."""

from __future__ import annotations

from typing import Any

from django_fsspec.core.names import SURROGATE

_TEXT = (str, type(None))
#: the types that the values of the keys have
_TYPES: dict[str, tuple[type, ...]] = {
    "filename": (str,),
    "content_type": _TEXT,
    "size": (int, type(None)),
    "last_modified": (int, float, type(None)),
    "checksum": _TEXT,
    "etag": _TEXT,
    "version_id": _TEXT,
    "metadata": (dict, type(None)),
    "backend": (str,),
}
#: what JSON calls the types of Python; a column that is no JSON is read as text
_KINDS: dict[type, str] = {
    list: "a list",
    str: "a string or malformed",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}
#: bytes that a database can count
_MAX_SIZE = 2**63 - 1
#: epoch seconds of the years 1 to 9999 in every time zone: a day less at both ends
_FIRST, _LAST = -62_135_510_400, 253_402_214_400
#: how deeply JSON may be nested; MariaDB reads 32 levels
_DEPTH = 32


def is_valid(key: str, value: Any) -> bool:
    """Return whether a key of the JSON can have this value; its text is not looked at."""
    if not isinstance(value, _TYPES.get(key, ())) or isinstance(value, bool):
        return False
    if isinstance(value, int | float):
        least, most = (0, _MAX_SIZE) if key == "size" else (_FIRST, _LAST)
        return least <= value <= most
    return True


def fault_of(data: Any) -> str | None:
    """Return why JSON describes no file that can be used, None where it does.

    The text goes on after "its JSON".
    """
    if not isinstance(data, dict):
        kind = _KINDS.get(type(data), type(data).__name__)
        return f"is {kind}, not an object with 'filename'"
    if fault := fault_within(data):
        return fault
    name = data.get("filename")
    if not isinstance(name, str) or not name:
        return "has no 'filename'"
    time = data.get("last_modified")
    if isinstance(time, int | float) and not is_valid("last_modified", time):
        return "has a 'last_modified' that is not in the years 1 to 9999"
    return None


def fault_within(value: Any, depth: int = 1) -> str | None:
    """Return what is wrong with the text or the nesting of JSON, None for nothing."""
    if isinstance(value, str):
        if value.isascii() or not SURROGATE.search(value):
            return None
        return "has a lone surrogate, which is not valid text"
    if not isinstance(value, (dict, list, tuple)):
        return None
    items = [*value, *value.values()] if isinstance(value, dict) else value
    if depth > _DEPTH:
        return f"is nested more than {_DEPTH} levels deep"
    for item in items:
        # most items take no call: each row that is read comes by here
        item_type = type(item)
        if item_type is str and item.isascii():
            continue
        if item_type in (int, float) or item is None:
            continue
        if fault := fault_within(item, depth + 1):
            return fault
    return None
