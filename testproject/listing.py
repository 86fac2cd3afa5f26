"""What a page shows of a storage: one folder, its files described."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from mimetypes import guess_type
from typing import cast

from django.conf import settings
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import storages
from django.core.paginator import Page, Paginator

from django_fsspec.core.stat import Stat
from django_fsspec.storage import FSSpecStorage
from django_fsspec.storage.aliases import label_of

FILES_A_PAGE = 40


def aliases() -> list[str]:
    """Return the storages of files that people upload."""
    return [alias for alias in settings.STORAGES if alias != "staticfiles"]


def storage_of(alias: str) -> FSSpecStorage:
    """Return a storage as what it is; "default" is ``default_storage``."""
    return cast("FSSpecStorage", storages[alias])


@dataclass(frozen=True)
class Entry:
    """One file: all that the page says about it came with a single request."""

    stat: Stat
    url: str

    @property
    def label(self) -> str:
        return self.stat.name.rpartition("/")[2]

    @property
    def content_type(self) -> str:
        """The type the backend keeps; a local disk keeps none, so there the name tells it."""
        return self.stat.content_type or guess_type(self.label)[0] or "application/octet-stream"

    @property
    def kind(self) -> str:
        """The first half of the content type: "image", "audio", "text"."""
        return self.content_type.partition("/")[0]

    @property
    def extension(self) -> str:
        return self.label.rpartition(".")[2][:4] if "." in self.label else "file"


@dataclass(frozen=True)
class Crumb:
    label: str
    path: str


@dataclass
class Listing:
    """The folders and files at one place. `problem` says why there are none, kindly."""

    alias: str
    folder: str = ""
    page: str = "1"
    problem: str = ""
    status: HTTPStatus = HTTPStatus.OK
    folders: list[Crumb] = field(default_factory=list)
    files: list[Entry] = field(default_factory=list)
    paging: Page[str] | None = None

    def __post_init__(self) -> None:
        try:
            self._load()
        except FileNotFoundError:
            self._failed(HTTPStatus.NOT_FOUND, f"There is no folder {self.folder} here.")
        except SuspiciousFileOperation as refusal:
            self._failed(HTTPStatus.BAD_REQUEST, str(refusal))
        except OSError as failure:
            self._failed(HTTPStatus.SERVICE_UNAVAILABLE, f"This storage did not answer. {failure}")

    def _load(self) -> None:
        folders, files = self.storage.listdir(self.folder)
        if not self.folder:  # where uploads wait that have no row yet
            folders = [label for label in folders if label != "django_fsspec"]
        self.folders = [Crumb(label, self._inside(label)) for label in sorted(folders)]
        self.paging = Paginator(sorted(files), FILES_A_PAGE).get_page(self.page)
        self.files = list(self._entries(self.paging))

    def _failed(self, status: HTTPStatus, problem: str) -> None:
        self.status, self.problem = status, problem

    def _entries(self, labels: Iterable[str]) -> Iterator[Entry]:
        for name in map(self._inside, labels):
            try:
                yield Entry(self.storage.stat(name), self.storage.url(name))
            except FileNotFoundError:  # deleted since it was listed
                continue

    def _inside(self, label: str) -> str:
        return f"{self.folder}/{label}" if self.folder else label

    @cached_property
    def storage(self) -> FSSpecStorage:
        return storage_of(self.alias)

    @property
    def code(self) -> str:
        """How Django code names this storage."""
        return "default_storage" if self.alias == "default" else f'storages["{self.alias}"]'

    @property
    def title(self) -> str:
        return label_of(self.alias)

    @property
    def others(self) -> list[tuple[str, str]]:
        """The other storages: alias and title."""
        return [(alias, label_of(alias)) for alias in aliases() if alias != self.alias]

    @property
    def crumbs(self) -> list[Crumb]:
        """The folders on the way to this one."""
        parts = self.folder.split("/") if self.folder else []
        return [Crumb(part, "/".join(parts[: i + 1])) for i, part in enumerate(parts)]
