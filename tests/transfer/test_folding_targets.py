"""Names that differ in case or Unicode form alone, moved to storages that take them for one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, storages
from django.test import override_settings

from django_fsspec import FileObject
from django_fsspec.core.names import folded
from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers.backends import folder, server
from tests.helpers.folding import FOLDING, FORMS, TWINS, webdav
from tests.helpers.moved_files import PLACES, move, there, there_names
from tests.helpers.utils import started
from tests.library.models import Attachment, Paper

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=FOLDING)
def target(request: pytest.FixtureRequest) -> Iterator[str]:
    with override_storage(default=PLACES["memory"](), second=FOLDING[request.param]()):
        yield request.param


def hold(names: Sequence[str], content: bytes = b"same") -> list[Paper]:
    """Give each name a row, and a file in the storage "default"."""
    files = [FileObject("default", name, content=content).save() for name in names]
    assert [file.name for file in files] == list(names)
    return [Paper.objects.create(title=file.name, file=file) for file in files]


def names_of(target: str) -> list[str]:
    """Return names of which some storages make one, as the storages of `target` do."""
    twins = [*TWINS, "PHOTO.jpg", "Docs/a.txt", "docs/a.txt"]
    return twins if target == "dropbox" else [*twins, *FORMS]


def check_each_row_has_its_own(count: int) -> None:
    """Assert that each row has a file, and keeps it when the others are deleted."""
    rows = list(Paper.objects.order_by("pk"))
    assert len(rows) == count
    assert {row.file.backend for row in rows} == {"second"}
    assert len({folded(row.file.name) for row in rows}) == count
    for row in rows[:-1]:
        row.delete()
    assert rows[-1].file.get_content() == b"same"
    assert there("second") == ["same"]


@pytest.mark.parametrize("workers", [1, 8])
def test_each_row_gets_a_file_of_its_own(target: str, workers: int) -> None:
    names = names_of(target)
    hold(names)
    said = move("library.Paper", delete_source=True, workers=workers)
    assert f"moved                            {len(names)}" in said
    assert there("default") == []
    check_each_row_has_its_own(len(names))


def test_large_files(target: str) -> None:
    options = settings.STORAGES["second"]["OPTIONS"]
    with override_storage(default=PLACES["memory"](), second={**options, "chunk_size": 3}):
        hold(TWINS)
        move("library.Paper", delete_source=True)
        check_each_row_has_its_own(2)


def test_other_bytes(target: str) -> None:
    hold(TWINS[:1], b"one")
    hold(TWINS[1:], b"two")
    move("library.Paper", delete_source=True)
    assert [row.file.get_content() for row in Paper.objects.order_by("pk")] == [b"one", b"two"]


def test_a_killed_run_is_taken_up(target: str) -> None:
    names = names_of(target)
    made = hold([*names, "Docs/b.txt"])
    first = made[0].file.copy_to("second", made[0].file.name)
    assert first.name == TWINS[0]
    made[-1].file.copy_to("second", "Docs/b.txt")
    said = move("library.Paper", delete_source=True)
    assert "already in the target            2" in said
    check_each_row_has_its_own(len(names) + 1)


def test_rows_that_share_a_file_go_on_sharing_it(target: str) -> None:
    (made,) = hold(TWINS[:1])
    Paper.objects.create(title="2", file=FileObject.from_dict(made.file.to_dict()))
    assert there_names("default") == [TWINS[0]]
    move("library.Paper", delete_source=True, workers=1)
    assert [row.file.name for row in Paper.objects.all()] == [TWINS[0]] * 2
    assert there_names("second") == [TWINS[0]]


def test_rows_of_a_file_field_keep_their_name_and_so_fail(target: str) -> None:
    for name in TWINS:
        storages["default"].save(name, ContentFile(b"same"))
        Attachment.objects.create(title=name, file=name)
    said = move("library.Attachment.file", workers=1, expect=1)
    assert "moved                            1" in said
    assert f"Taken: the target takes {TWINS[1]!r} for the name of another file" in said
    assert there_names("second") == [TWINS[0]]
    said = move("library.Attachment.file", workers=1, expect=1)
    assert "already in the target            1" in said


def test_copies_inside_a_service() -> None:
    options = webdav()
    with override_storage(default=options, second={**options, "prefix": folder()}):
        (made,) = hold(TWINS[:1])
        # as a move before this version left them: two rows, one file
        row = {**made.file.to_dict(), "filename": TWINS[1]}
        Paper.objects.create(title="2", file=FileObject.from_dict(row))
        said = move("library.Paper", workers=1)
        assert "moved                            2" in said
        check_each_row_has_its_own(2)


class Folding(FileSystemStorage):
    """A storage of another package on a disk of Windows."""

    def path(self, name: str) -> str:
        path = Path(super().path(name))
        if path.parent.is_dir():
            alike = (one for one in path.parent.iterdir() if folded(one.name) == folded(path.name))
            path = next(alike, path)
        return str(path)


class Unlisted(Folding):
    """One that lists nothing."""

    def listdir(self, path: str) -> Any:
        raise NotImplementedError


class Lowering(FileSystemStorage):
    """A storage that stores names in lower case, and says so."""

    def path(self, name: str) -> str:
        return super().path(name.lower())


@pytest.mark.parametrize("kind", [Folding, Unlisted, Lowering])
def test_a_storage_of_another_package(kind: type[FileSystemStorage], tmp_path: Path) -> None:
    second = {"BACKEND": f"{__name__}.{kind.__name__}", "OPTIONS": {"location": str(tmp_path)}}
    with (
        override_storage(default=PLACES["memory"]()),
        override_settings(STORAGES={**settings.STORAGES, "second": second}),
    ):
        hold(TWINS)
        move("library.Paper", delete_source=True)
        names = {row.file.name for row in Paper.objects.all()}
        # one name for both is safe: a file is kept while a row has its name
        assert len(names) == len({name.lower() for name in names})
        assert (len(names) == 1) == (kind is Lowering)
        Paper.objects.all()[0].delete()
        assert Paper.objects.get().file.get_content() == b"same"


@pytest.mark.parametrize("copies", [1, 3])
def test_what_it_costs_to_find_out(copies: int) -> None:
    s3 = server(servers.SeaweedS3)
    with started(servers.CountingProxy, s3.port) as proxy:
        place = PLACES["s3"]()
        fs_options = {**place["fs_options"], "endpoint_url": proxy.url}
        with override_storage(
            default=PLACES["memory"](), second={**place, "fs_options": fs_options}
        ):
            made = hold([f"{n}.txt" for n in range(4)])
            for row in made[:copies]:
                row.file.copy_to("second", row.file.name)
            proxy.reset()
            move("library.Paper")
            methods = sorted(request.method for request in proxy.requests())
        # once a run: a trial file is stored, asked for twice and deleted
        trial = ["DELETE", "HEAD", "HEAD", "PUT"]
        # each file is sent; one that is there is asked for its save, described, read, and asked
        # for again when its row is updated
        expected = trial + ["PUT"] * 4 + ["HEAD", "HEAD", "GET", "HEAD"] * copies
        assert methods == sorted(expected)
