"""Rows whose JSON nobody of ours wrote: what a page, a download or a command must live with."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from django.db import connection

from tests.library.models import Paper, Shelf

_GOOD: dict[str, Any] = {
    "filename": "papers/good.txt",
    "backend": "default",
    "size": 4,
    "content_type": "text/plain",
    "last_modified": 1.7e9,
    "metadata": {"original_name": "good.txt"},
}
#: half of a character: valid in JSON, in no text that is sent
HALF = "\ud800"


class HostileValue(NamedTuple):
    """JSON for a column, and a part of the error that its row shows."""

    text: str
    error: str
    #: PostgreSQL and MariaDB accept no lone surrogates in JSON, MariaDB no 33rd level
    databases: tuple[str, ...] = ("sqlite", "postgresql", "mysql")


def _but(**keys: Any) -> str:
    return json.dumps(_GOOD | keys)


def _nested(depth: int) -> str:
    return json.dumps(_GOOD)[:-1] + ', "x": ' + "[" * depth + "]" * depth + "}"


#: a row like others
GOOD = _but()
HALVES = {
    "name": _but(filename=f"papers/{HALF}.txt"),
    "original name": _but(metadata={"original_name": f"{HALF}.txt"}),
    "type": _but(content_type=f"text/{HALF}"),
    "alias": _but(backend=HALF),
    "checksum": _but(checksum=f"sha256:{HALF}", etag=HALF),
    "key": _but(metadata={HALF: [{"a": HALF}]}),
    "other key": _but(**{HALF: 1}),
}
TIMES: dict[str, str] = {
    "before years": _but(last_modified=-1e20),
    "after years": _but(last_modified=1e300),
    "year 10000": _but(last_modified=253402300800),
    "digits": GOOD.replace("1700000000.0", "1" + "0" * 400),
}
#: rows whose files can't be used
INVALID: dict[str, HostileValue] = {
    **{
        f"half {key}": HostileValue(text, "lone surrogate", ("sqlite",))
        for key, text in HALVES.items()
    },
    **{key: HostileValue(text, "years 1 to 9999") for key, text in TIMES.items()},
    "number": HostileValue("5", "is a number, not an object"),
    "text": HostileValue('"<b>"', "is a string or malformed, not an object"),
    "list of lists": HostileValue("[[]]", "is a list, not an object"),
    "empty": HostileValue("{}", "has no &#x27;filename&#x27;"),
    "no name": HostileValue(_but(filename=None), "has no &#x27;filename&#x27;"),
    "nested": HostileValue(_nested(40), "nested more than 32 levels", ("sqlite", "postgresql")),
    "unknown alias": HostileValue(_but(backend="nowhere"), "&#x27;nowhere&#x27; is not in STOR"),
    "alias of a number": HostileValue(_but(backend=5), "&#x27;&#x27; is not in STORAGES"),
    "dots": HostileValue(
        _but(filename="../../secret.txt"), "has a &#x27;.&#x27; or &#x27;..&#x27"
    ),
}
#: JSON for a database, of which Python reads no value: 4300 digits are the most, and 1000 levels
UNREADABLE: dict[str, str] = {
    "digits": GOOD.replace("1700000000.0", "1" + "0" * 5000),
    "levels": _nested(990),
}
#: rows of which only the alias or the name can't be used, and the original name that they show
REFUSED = {"unknown alias": "good.txt", "alias of a number": "good.txt", "dots": "good.txt"}
#: rows with values that mean nothing, whose file can be used
ODD: dict[str, str] = {
    "negative size": _but(size=-1),
    "huge size": _but(size=10**300),
    "size in digits": _but(size="5"),
    "size of yes": _but(size=True),
    "size as a float": GOOD.replace('"size": 4', '"size": 1e300'),
    "metadata in a list": _but(metadata=[1]),
    "extra that is no dict": _but(metadata={"_extra": [1]}, owner="me"),
    "name that is no text": _but(metadata={"original_name": {"a": []}, "width": [], "height": {}}),
    "time in words": _but(last_modified="10000-01-01"),
    "time like infinity": _but(last_modified="inf"),
    "time like infinity too": GOOD.replace("1700000000.0", '"Infinity"'),
}
#: a storage of Django, which can't sign; it can read nothing without STATIC_ROOT
STATIC = _but(backend="staticfiles")


def invalid() -> dict[str, HostileValue]:
    """Return the invalid values that this database can hold."""
    return {key: value for key, value in INVALID.items() if connection.vendor in value.databases}


def write(row: Paper | Shelf, text: str) -> None:
    """Write JSON into a row, past every field."""
    name = "files" if isinstance(row, Shelf) else "file"
    sql = f"UPDATE {row._meta.db_table} SET {name} = %s WHERE id = %s"
    with connection.cursor() as cursor:
        cursor.execute(sql, [text, row.pk])


def paper(title: str, text: str) -> Paper:
    """Return a row with this JSON, as it was before that."""
    row = Paper.objects.create(title=title)
    write(row, text)
    return row


def shelf(*texts: str) -> Shelf:
    """Return a row that holds a list of these."""
    row = Shelf.objects.create()
    write(row, f"[{', '.join(texts)}]")
    return row
