"""The pages of docs/backends: the same headings, and what the code, servers and counts say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core import checks

from django_fsspec import from_url
from django_fsspec.adapters import adapter_class
from django_fsspec.adapters.base import Dialect
from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.docs import backend_facts, provoked
from tests.docs.backend_facts import FILESYSTEMS, PAGES, filesystem
from tests.helpers.backends import server

# of pages and client libraries, whatever the Django
pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]

#: page -> the columns of docs/reference/requests.md that it repeats
COSTS = {
    "s3": ["S3"],
    "gcs": ["GCS"],
    "azure": ["Azure"],
    "sftp": ["SFTP, OpenSSH", "other SFTP"],
    "ftp": ["FTP"],
    "webdav": ["WebDAV"],
    "http": ["HTTP"],
    "github": ["GitHub"],
    "dropbox": ["Dropbox"],
    "other": ["any other"],
}


def text_of(page: str) -> str:
    return (PAGES / f"{page}.md").read_text()


def section(page: str, heading: str) -> str:
    return text_of(page).partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """Return the cells of the tables of a text, without the lines below their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [
        re.split(r"\s*\|\s*", line.strip("| ")) for line in lines if not line.startswith("|--")
    ]


def test_there_is_a_page_for_every_filesystem() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} == set(FILESYSTEMS) == set(provoked.ERRORS)


@pytest.mark.parametrize("page", FILESYSTEMS)
def test_pages_have_the_same_headings_in_order(page: str) -> None:
    text = text_of(page)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == backend_facts.HEADINGS
    assert len(text.splitlines()) <= 150


@pytest.mark.parametrize("page", FILESYSTEMS)
def test_every_option_is_named(page: str) -> None:
    names = backend_facts.options_of(page) if FILESYSTEMS[page] else backend_facts.OF_FSSPEC
    named = set(re.findall(r"`(\w+)`", section(page, "Every option")))
    assert names - named == set()
    assert names


@pytest.mark.parametrize("page", FILESYSTEMS)
def test_the_abilities_are_those_of_the_dialect(page: str) -> None:
    if page == "caches-and-chains":
        # a cache has the dialect of what is below it
        assert rows(section(page, "What it can and cannot do")) == []
        return
    told = section(page, "What it can and cannot do")
    made = backend_facts.abilities(page)
    assert "\n".join(made) in told


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        ("s3", servers.MotoS3),
        ("gcs", servers.FakeGCS),
        ("azure", servers.Azurite),
        ("sftp", servers.RcloneSFTP),
        ("ftp", servers.PyFTP),
        ("webdav", servers.RcloneWebDAV),
    ],
)
def test_local_servers_are_started_as_those_of_these_tests(
    page: str, kind: type[servers.Server]
) -> None:
    lines = section(page, "A local server for tests").splitlines()
    command = " ".join(line for line in lines if "mkdir" not in line and "keyscan" not in line)
    told = re.findall(r" (--?[A-Za-z][\w-]*)", command)
    assert told
    # the tests make the bucket by a request, a reader by a folder
    assert set(told) - set(server(kind)._command()) <= {"-data"}


@pytest.mark.parametrize("page", FILESYSTEMS)
def test_the_url_is_of_the_same_storage(page: str) -> None:
    told = re.findall(r"^Or as \[one URL\].*: `(.+)`\.$", text_of(page), re.MULTILINE)
    if page in ("github", "dropbox", "archives", "other"):
        assert told == []
        return
    (url,) = told
    storage = FSSpecStorage(**from_url(url)["OPTIONS"])
    assert [message for message in storage.check() if message.is_serious(checks.ERROR)] == []
    names = FILESYSTEMS[page]
    assert type(storage.flows.adapter) in [adapter_class(filesystem(name)) for name in names]


@pytest.mark.parametrize("page", COSTS)
def test_costs_are_those_of_the_reference(page: str) -> None:
    counted: dict[tuple[str, str], str] = {}
    heads: list[str] = []
    for cells in rows((ROOT / "docs" / "reference" / "requests.md").read_text()):
        if cells[0] == "operation":
            heads = cells
            continue
        counted |= {(cells[0], head): cell for head, cell in zip(heads, cells, strict=False)}
    head, *told = rows(section(page, "Costs in requests"))
    assert head == ["operation", *COSTS[page]]
    assert told
    for operation, *cells in told:
        assert cells == [counted[operation, column] for column in COSTS[page]], operation


def test_dialects_have_nothing_that_pages_do_not_tell() -> None:
    """A new field belongs on the pages too, or among those that only adapters need."""
    shown = {"writable", "atomic_create", "signs_get", "signs_put", "headers", "delete_batch"}
    shown |= {"max_key_bytes", "max_key_characters", "max_segment_bytes"}
    of_adapters = {
        "ascii_metadata",
        "flat",
        "rooted",
        "bucketed",
        "forbidden",
        "cuts_dots",
        "extra",
    }
    assert set(Dialect.__dataclass_fields__) == shown | of_adapters


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Have no credentials of the machine, and no look for those of a cloud's machine."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_EC2_METADATA_DISABLED", "NO_GCE_CHECK"):
        monkeypatch.setenv(name, "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "CLOUDSDK_CONFIG"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    directory = tmp_path / "work"
    directory.mkdir()
    return directory


CASES = [(page, case) for page, cases in provoked.ERRORS.items() for case in range(len(cases))]


@pytest.mark.parametrize(("page", "number"), CASES, ids=str)
def test_errors_read_as_the_page_shows(page: str, number: int, nobody: Path) -> None:
    told = [cells[0] for cells in rows(section(page, "Common errors"))[1:]]
    assert len(told) == len(provoked.ERRORS[page])
    shown = provoked.text_of(provoked.ERRORS[page][number], nobody)
    # "…" stands for anything
    pattern = ".*".join(map(re.escape, told[number].strip("`").split("…")))
    assert re.fullmatch(pattern, shown, re.DOTALL), f"{shown}\n{told[number]}"
