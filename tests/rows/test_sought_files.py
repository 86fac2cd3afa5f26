"""Files of one place under two aliases: a row of either keeps the file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.files.storage import Storage, storages
from django.db.models import QuerySet
from django.test import override_settings

from django_fsspec import FileObject
from django_fsspec.rows.references import unreferenced
from django_fsspec.rows.values import Ref
from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers import denying
from tests.helpers.backends import _memory, _s3, folder, server
from tests.helpers.row_files import text
from tests.helpers.twin_aliases import ALL, BY_TRIAL, installed, twins
from tests.helpers.utils import started
from tests.library.models import Folder, Paper, Shelf

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


@pytest.fixture(params=list(ALL))
def place(request: pytest.FixtureRequest) -> Iterator[str]:
    with twins(request.param):
        yield request.param


def stored() -> FileObject:
    """Return a stored file that no row holds yet."""
    return FileObject("default", "a.txt", content=b"one").save()


def on_second(file: FileObject, **changes: Any) -> dict[str, Any]:
    return {**file.to_dict(), "backend": "second", **changes}


def is_there(name: str = "a.txt") -> bool:
    return storages["default"].exists(name)


# ways in which a row lets go of a file


def _delete(row: Any) -> None:
    row.delete()


def _delete_many(row: Any) -> None:
    type(row).objects.filter(pk=row.pk).delete()


def _delete_async(row: Any) -> None:
    async_to_sync(type(row).objects.filter(pk=row.pk).adelete)()


def _clear(row: Any) -> None:
    row.file = None
    row.save()


def _replace(row: Any) -> None:
    row.file = text("two", "b.txt")
    row.save()


def _delete_file(row: Any) -> None:
    row.file.delete()


ENDS: list[Callable[[Any], None]] = [
    *(_delete, _delete_many, _delete_async, _clear, _replace, _delete_file)
]


@pytest.mark.parametrize("end", ENDS)
def test_the_row_of_another_alias_keeps_the_file(place: str, end: Any) -> None:
    file = stored()
    first = Paper.objects.create(file=file.to_dict())
    second = Paper.objects.create(file=on_second(file))
    end(first)
    assert is_there()
    assert Paper.objects.get(pk=second.pk).file.get_content() == b"one"
    _delete(second)
    assert not is_there()


def test_a_row_that_changes_its_alias_keeps_its_file(place: str) -> None:
    paper = Paper.objects.create(file=stored().to_dict())
    paper.file = on_second(paper.file)
    paper.save()
    assert is_there()
    assert Paper.objects.get().file.get_content() == b"one"
    paper.delete()
    assert not is_there()


def test_a_list_of_another_alias_keeps_the_file(place: str) -> None:
    file = stored()
    paper = Paper.objects.create(file=file.to_dict())
    shelf = Shelf.objects.create(files=[on_second(file)])
    paper.delete()
    assert is_there()
    shelf.files.clear()
    shelf.save()
    assert not is_there()


def test_a_list_lets_go_of_what_a_row_of_another_alias_holds(place: str) -> None:
    file = stored()
    shelf = Shelf.objects.create(files=[file.to_dict(), on_second(file)])
    paper = Paper.objects.create(file=on_second(file))
    del shelf.files[0]
    shelf.save()
    assert is_there()
    shelf.delete()
    assert is_there()
    paper.delete()
    assert not is_there()


@pytest.mark.parametrize("kind", ["memory", "behind a link", *BY_TRIAL])
def test_one_place_inside_the_other(kind: str) -> None:
    with twins(kind, inner="papers"):
        for outer_goes in (True, False):
            file = FileObject("default", "papers/a.txt", content=b"one").save()
            outer = Paper.objects.create(file=file.to_dict())
            inner = Paper.objects.create(file=on_second(file, filename="a.txt"))
            first, last = (outer, inner) if outer_goes else (inner, outer)
            first.delete()
            assert is_there("papers/a.txt")
            last.delete()
            assert not is_there("papers/a.txt")


def test_a_bulk_deletion(place: str) -> None:
    file = stored()
    rows = [Folder.objects.create(file=file.to_dict(), files=[on_second(file)]) for _ in range(2)]
    Folder.objects.filter(pk=rows[0].pk).delete()
    assert is_there()
    Folder.objects.all().delete()
    assert not is_there()


# requests


def through(proxy: servers.CountingProxy, name: str) -> dict[str, Any]:
    options = _s3(servers.SeaweedS3)(name)
    return {
        **options,
        "retries": 0,
        "fs_options": {**options["fs_options"], "endpoint_url": proxy.url},
    }


@pytest.fixture
def proxy() -> Iterator[servers.CountingProxy]:
    with started(servers.CountingProxy, server(servers.SeaweedS3).port) as proxy:
        yield proxy


@pytest.mark.slow
def test_a_trial_costs_three_requests_once(proxy: servers.CountingProxy) -> None:
    name = folder()
    with installed(
        default=through(proxy, name), second=_s3(servers.SeaweedS3)(folder()), other=_memory(name)
    ):
        lone = Paper.objects.create(file=text("lone"))
        proxy.reset()
        lone.delete()
        assert [one.method for one in proxy.requests()] == ["POST"]
        for trials in (1, 0):
            file = stored()
            paper = Paper.objects.create(file=file.to_dict())
            Paper.objects.create(file=on_second(file))
            Paper.objects.create(file=on_second(file, backend="other"))
            proxy.reset()
            paper.delete()
            methods = sorted(one.method for one in proxy.requests())
            assert methods == ["DELETE"] * trials + ["POST"] + ["PUT"] * trials
            assert not is_there()


def test_a_file_of_an_alias_that_does_not_answer_is_kept(
    proxy: servers.CountingProxy, caplog: pytest.LogCaptureFixture
) -> None:
    name = folder()
    with installed(default=_s3(servers.SeaweedS3)(name), second=through(proxy, name)):
        file = stored()
        paper = Paper.objects.create(file=file.to_dict())
        Paper.objects.create(file=on_second(file))
        proxy.stop()
        with caplog.at_level(logging.WARNING, "django_fsspec"):
            paper.delete()
        assert is_there()
        (record,) = caplog.records
        assert "'a.txt' on 'default' is kept: a row holds 'a.txt' on 'second'" in record.message


class NoneAtTheRoot(FSSpecStorage):
    """May store in folders only, as a policy of a bucket may say."""

    def save(self, name: str | None, content: Any, max_length: int | None = None) -> str:
        if name and "/" not in name:
            raise PermissionError(name)
        return super().save(name, content, max_length)


def test_a_file_of_an_outer_alias_stays_where_no_trial_can_be_stored(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with twins("s3 by two addresses", inner="avatars"):
        outer = {**settings.STORAGES["default"], "BACKEND": f"{__name__}.NoneAtTheRoot"}
        with override_settings(STORAGES={**settings.STORAGES, "default": outer}):
            for name in ("a.txt", "b.txt"):  # the second time, it is remembered
                file = FileObject("default", f"avatars/{name}", content=b"one").save()
                paper = Paper.objects.create(file=file.to_dict())
                paper.file = on_second(file, filename=name)
                with caplog.at_level(logging.WARNING, "django_fsspec"):
                    paper.save()
                assert f"'avatars/{name}' on 'default' is kept" in caplog.text
                assert Paper.objects.get(pk=paper.pk).file.get_content() == b"one"


def test_an_alias_that_is_not_in_storages_keeps_the_file() -> None:
    with installed(default=_memory(folder())):
        file = stored()
        paper = Paper.objects.create(file=file.to_dict())
        Paper.objects.create(file=on_second(file, backend="renamed"))
        paper.delete()
        assert is_there()


@pytest.mark.parametrize("kind", denying.KINDS)
def test_a_row_of_an_alias_that_denies_its_files_keeps_the_file(
    kind: type[Storage], tmp_path: Path
) -> None:
    with installed(default={"fs": "file", "prefix": str(tmp_path)}):
        theirs = {**settings.STORAGES, "second": denying.alias(kind, tmp_path)}
        with override_settings(STORAGES=theirs):
            file = stored()
            for first, last in (("default", "second"), ("second", "default")):
                going = Paper.objects.create(file={**file.to_dict(), "backend": first})
                held = Paper.objects.create(file={**file.to_dict(), "backend": last})
                going.delete()
                assert Paper.objects.get(pk=held.pk).file.get_content() == b"one"
                QuerySet(Paper).filter(pk=held.pk)._raw_delete("default")


def test_a_storage_that_deletes_in_two_places() -> None:
    read_through = {
        "BACKEND": "django_fsspec.readthrough.ReadThroughStorage",
        "OPTIONS": {"primary": "new", "fallback": "default"},
    }
    with (
        installed(default=_memory(folder()), new=_memory(folder())),
        override_settings(STORAGES={**settings.STORAGES, "second": read_through}),
    ):
        stored()
        data = FileObject("default", "a.txt").refresh()
        Paper.objects.create(file=data.to_dict())
        assert unreferenced("default", [Ref("second", "a.txt")]) == []
        assert unreferenced("default", [Ref("new", "a.txt")]) == [Ref("new", "a.txt")]
