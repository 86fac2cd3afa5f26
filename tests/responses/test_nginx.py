"""curl's view of our downloads beside its view of nginx serving the same files.

Each case is asked of nginx, of gunicorn with a file by its name, and of uvicorn with a row's file.
``python -m tests.responses.test_nginx`` prints the table that docs/reference/downloads.md has.
"""

from __future__ import annotations

import json
import os
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path

import pytest

from tests import servers
from tests.helpers.backends import scratch
from tests.helpers.curl import Answer, curl
from tests.helpers.utils import started

pytestmark = pytest.mark.slow

MTIME = 1_700_000_000
FILES = {
    "data.bin": bytes(range(256)) * 400,
    "one.bin": b"x",
    "empty.bin": b"",
    "notes.txt": b"a line\n" * 1000,
    "gr\u00f6\u00dfe 1 #%.txt": b"umlauts",
    "page.html": b"<script>alert(1)</script>",
}
#: headers that have to be the same
COMPARED = (
    "content-type",
    "content-length",
    "content-range",
    "accept-ranges",
    "etag",
    "last-modified",
)


@dataclass(frozen=True)
class Case:
    """A request, what it comes to, and nginx's status and the reason where that differs."""

    label: str
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "GET"
    file: str = "data.bin"
    nginx: int | None = None
    reason: str = ""

    def __str__(self) -> str:
        return self.label


def ranged(value: str, status: int, **more: str) -> Case:
    return Case(f"Range: {value}", status, {"Range": value}, **more)  # type: ignore[arg-type]


SAME, OTHER = '"{etag}"', '"other"'
AT, BEFORE, AFTER = "{at}", "{before}", "{after}"
MANY = "bytes=" + ",".join(f"{n % 10}-{n % 10}" for n in range(1000))

CASES = [
    Case("whole file", 200),
    Case("whole file of one byte", 200, file="one.bin"),
    Case("empty file", 200, file="empty.bin"),
    Case("a name with umlauts, # and %", 200, file="gr\u00f6\u00dfe 1 #%.txt"),
    Case("text", 200, file="notes.txt"),
    Case("HTML", 200, file="page.html"),
    Case("no such file", 404, file="missing.bin"),
    Case("POST", 405, method="POST"),
    Case("DELETE", 405, method="DELETE"),
    Case("HEAD", 200, method="HEAD"),
    Case("HEAD of an empty file", 200, method="HEAD", file="empty.bin"),
    Case("HEAD of nothing", 404, method="HEAD", file="missing.bin"),
    # one range
    ranged("bytes=0-0", 206),
    ranged("bytes=0-99", 206),
    ranged("bytes=100-", 206),
    ranged("bytes=-100", 206),
    ranged("bytes=0-", 206),
    ranged("bytes=102399-", 206),
    ranged("bytes=5-99999999", 206),
    ranged("bytes=-99999999", 206),
    ranged("Bytes=0-99", 206),
    ranged("bytes= 0 - 99 ", 206),
    ranged("bytes=007-008", 206),
    Case("a range of an empty file", 200, {"Range": "bytes=0-"}, file="empty.bin"),
    Case("a suffix of an empty file", 200, {"Range": "bytes=-5"}, file="empty.bin"),
    Case("a range past an empty file", 416, {"Range": "bytes=1-5"}, file="empty.bin"),
    Case("a range of one byte", 206, {"Range": "bytes=0-5"}, file="one.bin"),
    # several
    ranged("bytes=0-9,20-29", 206),
    ranged("bytes=20-29,0-9", 206),
    ranged("bytes=0-9, 20-29 , -5", 206),
    ranged("bytes=0-9,10-19", 206),
    ranged("bytes=0-9,99999999-", 206),
    ranged("bytes=5-3,0-9", 206),
    Case("two ranges of text", 206, {"Range": "bytes=0-6,14-20"}, file="notes.txt"),
    # none
    ranged("bytes=102400-", 416),
    ranged("bytes=99999999-", 416),
    ranged("bytes=-0", 416),
    ranged("bytes=5-3", 416),
    ranged("bytes=a-b", 416),
    ranged("bytes=1", 416),
    ranged("bytes=--1", 416),
    ranged("bytes=0-1-2", 416),
    ranged("bytes=0-9;20-29", 416),
    ranged("bytes=", 200),
    ranged("items=0-9", 200),
    ranged("bytes 0-9", 200),
    ranged("bytes =0-9", 200),
    # conditions
    Case("If-None-Match: the etag", 304, {"If-None-Match": SAME}),
    Case("If-None-Match: the etag, weak", 304, {"If-None-Match": f"W/{SAME}"}),
    Case("If-None-Match: one of three", 304, {"If-None-Match": f'"a", {SAME},"b"'}),
    Case("If-None-Match: *", 304, {"If-None-Match": "*"}),
    Case("If-None-Match: another", 200, {"If-None-Match": OTHER}),
    Case("If-None-Match: without quotes", 200, {"If-None-Match": "{etag}"}),
    Case("HEAD, If-None-Match: the etag", 304, {"If-None-Match": SAME}, "HEAD"),
    Case("If-None-Match and a range", 304, {"If-None-Match": SAME, "Range": "bytes=0-9"}),
    Case("If-Modified-Since: at", 304, {"If-Modified-Since": AT}),
    Case("If-Modified-Since: after", 304, {"If-Modified-Since": AFTER}),
    Case("If-Modified-Since: before", 200, {"If-Modified-Since": BEFORE}),
    Case("If-Modified-Since: no date", 200, {"If-Modified-Since": "yesterday"}),
    Case(
        "If-None-Match: another, If-Modified-Since: at",
        200,
        {"If-None-Match": OTHER, "If-Modified-Since": AT},
    ),
    Case("If-Match: the etag", 200, {"If-Match": SAME}),
    Case("If-Match: *", 200, {"If-Match": "*"}),
    Case("If-Match: another", 412, {"If-Match": OTHER}),
    Case("If-Match: the etag, weak", 412, {"If-Match": f"W/{SAME}"}),
    Case("If-Match: one of two", 200, {"If-Match": f"{OTHER}, {SAME}"}),
    Case("If-Match and a range", 206, {"If-Match": SAME, "Range": "bytes=0-9"}),
    Case("If-Match: another, and a range", 412, {"If-Match": OTHER, "Range": "bytes=0-9"}),
    Case("If-Unmodified-Since: at", 200, {"If-Unmodified-Since": AT}),
    Case("If-Unmodified-Since: after", 200, {"If-Unmodified-Since": AFTER}),
    Case("If-Unmodified-Since: before", 412, {"If-Unmodified-Since": BEFORE}),
    # ranges on a condition
    Case("If-Range: the etag", 206, {"If-Range": SAME, "Range": "bytes=0-9"}),
    Case("If-Range: another etag", 200, {"If-Range": OTHER, "Range": "bytes=0-9"}),
    Case("If-Range: the etag, weak", 200, {"If-Range": f"W/{SAME}", "Range": "bytes=0-9"}),
    Case("If-Range: at", 206, {"If-Range": AT, "Range": "bytes=0-9"}),
    Case("If-Range: before", 200, {"If-Range": BEFORE, "Range": "bytes=0-9"}),
    Case("If-Range: after", 200, {"If-Range": AFTER, "Range": "bytes=0-9"}),
    Case("If-Range without a range", 200, {"If-Range": SAME}),
    Case(
        "If-Range: another, range past the end",
        200,
        {"If-Range": OTHER, "Range": "bytes=9999999-"},
    ),
    # where the RFC and nginx differ
    Case(
        "HEAD with a range",
        200,
        {"Range": "bytes=0-9"},
        "HEAD",
        nginx=206,
        reason="RFC 9110 14.2: GET is the only method with ranges",
    ),
    Case(
        "ranges that overlap",
        206,
        {"Range": "bytes=0-9,5-14"},
        nginx=206,
        reason="15.3.7.2: overlapping ranges may be made one; nginx sends both",
    ),
    Case(
        "a range asked for twice",
        206,
        {"Range": "bytes=0-,0-"},
        nginx=200,
        reason="15.3.7.2: they are one range; nginx sends the whole above its size",
    ),
    Case(
        "an empty element",
        206,
        {"Range": "bytes=0-9,"},
        nginx=416,
        reason="5.6.1.2: a recipient must ignore empty elements of a list",
    ),
    Case(
        "a last byte of 30 digits",
        206,
        {"Range": f"bytes=0-{'9' * 30}"},
        nginx=416,
        reason="14.1.2: a last byte past the end is the end",
    ),
    Case(
        "1,000 ranges",
        416,
        {"Range": MANY},
        nginx=206,
        reason="15.5.17: an excessive request of small ranges; each costs a storage a request",
    ),
    Case(
        "If-Match: the etag, If-Unmodified-Since: before",
        200,
        {"If-Match": SAME, "If-Unmodified-Since": BEFORE},
        nginx=412,
        reason="13.1.4: If-Unmodified-Since must be ignored beside If-Match",
    ),
    Case(
        "If-None-Match: the etag, If-Modified-Since: before",
        304,
        {"If-None-Match": SAME, "If-Modified-Since": BEFORE},
        nginx=200,
        reason="13.1.3: If-Modified-Since must be ignored beside If-None-Match",
    ),
    Case(
        "If-Unmodified-Since: no date",
        200,
        {"If-Unmodified-Since": "yesterday"},
        nginx=412,
        reason="13.1.4: what is no date must be ignored",
    ),
]


@dataclass(frozen=True)
class Servers:
    front: servers.NginxFront
    gunicorn: servers.Site
    uvicorn: servers.Site
    root: Path

    def ask(self, case: Case) -> dict[str, Answer]:
        """Ask all three the same."""
        content = FILES.get(case.file, b"")
        dates = {
            "at": formatdate(MTIME, usegmt=True),
            "before": formatdate(MTIME - 10, usegmt=True),
            "after": formatdate(MTIME + 10, usegmt=True),
            "etag": f"{MTIME:x}-{len(content):x}",
        }
        headers = {name: value.format(**dates) for name, value in case.headers.items()}
        row = {"size": len(content), "etag": dates["etag"], "last_modified": MTIME + 0.25}
        if case.file == "missing.bin":
            row = {}  # a row whose file is gone says 200 to HEAD: nobody was asked
        query = urllib.parse.urlencode({"row": json.dumps(row)})
        quoted = urllib.parse.quote(case.file)
        urls = {
            "nginx": f"{self.front.url}/plain/{quoted}",
            "gunicorn": f"{self.gunicorn.url}/name/{quoted}",
            "uvicorn": f"{self.uvicorn.url}/row/{quoted}?{query}",
            "uvicorn, async view": f"{self.uvicorn.url}/arow/{quoted}?{query}",
        }
        return {who: curl(url, case.method, headers) for who, url in urls.items()}


def serve(root: Path) -> Iterator[Servers]:
    root.mkdir()
    root.chmod(0o755)
    for name, content in FILES.items():
        (root / name).write_bytes(content)
        os.utime(root / name, (MTIME, MTIME + 0.25))
    storages = {
        "default": {
            "BACKEND": "django_fsspec.storage.FSSpecStorage",
            "OPTIONS": {"fs": "file", "prefix": str(root)},
        }
    }
    with (
        started(servers.Site, storages, wsgi=True) as gunicorn,
        started(servers.Site, storages) as uvicorn,
        started(servers.NginxFront, root, gunicorn.port) as front,
    ):
        yield Servers(front, gunicorn, uvicorn, root)


@pytest.fixture(scope="module")
def three() -> Iterator[Servers]:
    scratch().chmod(0o755)
    yield from serve(scratch() / "nginx")


def shown(answer: Answer) -> dict[str, str]:
    """Return the headers that matter, boundaries of parts made the same."""
    found = {name: answer[name] for name in COMPARED if answer[name]}
    if "content-type" in found:
        found["content-type"] = re.sub(r"boundary=\d+", "boundary=N", found["content-type"])
    return found


def sent(answer: Answer) -> bytes:
    return re.sub(rb"\r\n--\d{20}", b"\r\n--N", answer.body)


@pytest.mark.parametrize("case", [c for c in CASES if not c.reason], ids=str)
def test_agrees_with_nginx(three: Servers, case: Case) -> None:
    answers = three.ask(case)
    nginx = answers.pop("nginx")
    for who, ours in answers.items():
        assert ours.status == nginx.status == case.status, who
        if case.status in (200, 206, 304):
            assert shown(ours) == shown(nginx), who
            assert sent(ours) == sent(nginx), who
        else:
            assert ours["content-range"] == nginx["content-range"], who
        if case.status == 405:
            assert ours["allow"] == "GET, HEAD"


@pytest.mark.parametrize("case", [c for c in CASES if c.reason], ids=str)
def test_differs_from_nginx_where_the_rfc_does(three: Servers, case: Case) -> None:
    answers = three.ask(case)
    assert answers.pop("nginx").status == case.nginx
    for who, ours in answers.items():
        assert ours.status == case.status, who
        if case.status == 206:
            assert ours["content-range"].startswith("bytes 0-"), who
            assert len(ours.body) == int(ours["content-length"]), who


def test_ranges_that_overlap_are_one(three: Servers) -> None:
    (case,) = [case for case in CASES if case.label == "ranges that overlap"]
    for who, answer in three.ask(case).items():
        if who != "nginx":
            assert (answer["content-range"], answer.body) == (
                "bytes 0-14/102400",
                FILES["data.bin"][:15],
            )


def rows() -> list[str]:
    """Return the table for the docs."""
    lines = ["| request | answer | nginx |", "|---|--:|---|"]
    for case in CASES:
        theirs = f"{case.nginx}: {case.reason}" if case.reason else "the same"
        lines.append(f"| {case.label} | {case.status} | {theirs} |")
    return lines


def test_the_docs_have_this_table() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "reference" / "downloads.md"
    assert "\n".join(rows()) in page.read_text()


if __name__ == "__main__":
    print("\n".join(rows()))
