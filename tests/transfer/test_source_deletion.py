"""Source files are deleted after the commit, and only those that nothing else reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import Storage, storages
from django.core.management import CommandError
from django.db import connection, transaction
from django.test import override_settings

from django_fsspec import FileObject
from django_fsspec.admin import move_action
from django_fsspec.audit.names_in_use import SETTING
from django_fsspec.rows.columns import FileColumn
from django_fsspec.testing import override_storage
from django_fsspec.transfer.plan import BadPlan
from django_fsspec.transfer.shards import Order
from tests import servers
from tests.helpers import denying, moved_files
from tests.helpers.backends import _local, _s3, folder, server
from tests.helpers.moved_files import (
    PLACES,
    move,
    papers,
    there,
    through,
)
from tests.helpers.transfer_tasks import IMMEDIATE, do
from tests.helpers.twin_aliases import BY_TRIAL, twins
from tests.helpers.utils import started
from tests.library.models import Attachment, Paper

pytestmark = pytest.mark.django_db(transaction=True)

memory = moved_files.memory


def test_sources_go_after_the_transaction_that_it_was_called_in(memory: None) -> None:
    papers(2)
    with suppress(RuntimeError), transaction.atomic():
        move("library.Paper", delete_source=True)
        raise RuntimeError
    assert there("default") == ["p0", "p1"]
    assert [row.file.get_content() for row in Paper.objects.order_by("pk")] == [b"p0", b"p1"]
    with transaction.atomic():
        move("library.Paper", delete_source=True)
        assert there("default") == ["p0", "p1"]
    assert there("default") == []
    assert [row.file.get_content() for row in Paper.objects.order_by("pk")] == [b"p0", b"p1"]


def test_sources_that_can_not_be_deleted_at_once_are_tried_for_again() -> None:
    with started(servers.CountingProxy, server(servers.SeaweedS3).port) as proxy:
        options = through(proxy)
        with override_storage(default=options, second=PLACES["memory"]()):
            papers(3)
            with connection.execute_wrapper(_cut_off_after_the_update(proxy)):
                said = move("library.Paper", delete_source=True)
            assert proxy.cuts() == 1
            assert "deleted in the source            3" in said
            assert there("default") == []
            assert there("second") == ["p0", "p1", "p2"]


def _cut_off_after_the_update(proxy: servers.CountingProxy) -> Callable[..., Any]:
    """Return what has the next answer of the storage break off, once rows are swapped."""

    def execute(execute: Callable[..., Any], sql: str, *args: Any) -> Any:
        if sql.startswith("UPDATE") and "CASE" in sql:  # not the one that locks rows on SQLite
            proxy.cut_after(20)
        return execute(sql, *args)

    return execute


def _twice(options: dict[str, Any], inside: str = "") -> Any:
    second = {**options, "prefix": f"{options['prefix']}{inside}"}
    return override_storage(default=options, second={**second, "timeout": 20})


@pytest.mark.parametrize(
    ("options", "inside"),
    [
        (lambda: _local(folder()), ""),
        (lambda: _s3(servers.SeaweedS3)(folder()), ""),
        (lambda: _s3(servers.SeaweedS3)(folder()), "/papers"),
    ],
    ids=["local", "s3", "one in the other"],
)
def test_two_aliases_of_one_place_keep_their_sources(
    options: Callable[[], dict[str, Any]], inside: str
) -> None:
    with _twice(options(), inside):
        papers(1)
        with pytest.raises(CommandError, match="share files") as refused:
            move("library.Paper", delete_source=True)
        assert refused.value.returncode == 2
        move("library.Paper")
        assert Paper.objects.get().file.backend == "second"
        assert Paper.objects.get().file.get_content() == b"p0"


def test_one_place_that_settings_do_not_tell_of() -> None:
    s3, name = server(servers.SeaweedS3), folder()
    theirs = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": s3.bucket,
            "access_key": s3.key,
            "secret_key": s3.secret,
            "endpoint_url": s3.endpoint_url,
            "region_name": "us-east-1",
            "location": name,
        },
    }
    with override_storage(default=_s3(servers.SeaweedS3)(name)):
        papers(1)
        with (
            override_settings(STORAGES={**settings.STORAGES, "second": theirs}),
            pytest.raises(CommandError, match="'second' share files"),
        ):
            move("library.Paper", delete_source=True)
        assert there("default") == ["p0"]


# one place by two addresses


@pytest.fixture(params=list(BY_TRIAL))
def place(request: pytest.FixtureRequest) -> Iterator[str]:
    with twins(request.param):
        yield request.param


@pytest.mark.parametrize("inner", ["", "papers"])
@pytest.mark.parametrize("kind", BY_TRIAL)
def test_two_addresses_of_one_place_keep_their_sources(kind: str, inner: str) -> None:
    with twins(kind, inner=inner):
        papers(2)
        for source, target in (("default", "second"), ("second", "default")):
            with pytest.raises(CommandError, match="share files") as refused:
                move("library.Paper", source=source, target=target, delete_source=True)
            assert refused.value.returncode == 2
        assert there("default") == ["p0", "p1"]
        move("library.Paper")
        assert [row.file.get_content() for row in Paper.objects.order_by("pk")] == [b"p0", b"p1"]
        Paper.objects.all().delete()


def test_the_admin_action_keeps_the_only_copy(place: str) -> None:
    rows = papers(1)
    with pytest.raises(BadPlan, match="share files"):
        move_action.move(rows, "default", target="second", delete_source=True)
    assert there("default") == ["p0"]


def test_tasks_keep_the_only_copy(place: str) -> None:
    papers(2)
    with override_settings(TASKS={"default": IMMEDIATE}):
        with pytest.raises(CommandError, match="share files"):
            move("library.Paper", delete_source=True, enqueue=True)
        order = Order(
            run="r", source="default", target="second", using="default", backend="default",
            queue="default", delete_source=True, retries=0,
        )  # fmt: skip
        # enqueued when the settings were others
        (shard,) = order.shards([FileColumn(Paper._meta.get_field("file"), "default")], 100)
        with pytest.raises(BadPlan, match="share files"):
            do(shard)
    assert there("default") == ["p0", "p1"]
    assert Paper.objects.filter(file__backend="default").count() == 2


@pytest.mark.parametrize("enqueued", [False, True], ids=["command", "tasks"])
def test_a_row_of_a_third_alias_keeps_a_source_file(place: str, enqueued: bool) -> None:
    third = {**settings.STORAGES, "third": settings.STORAGES["second"]}
    third["second"] = {**third["default"], "OPTIONS": PLACES["memory"]()}
    with override_settings(STORAGES=third, TASKS={"default": IMMEDIATE}):
        paper = papers(2)[0]
        other = Paper.objects.create(file={**paper.file.to_dict(), "backend": "third"})
        move("library.Paper", delete_source=True, enqueue=enqueued)
        assert there("second") == ["p0", "p1"]
        assert there("default") == ["p0"]
        assert Paper.objects.get(pk=other.pk).file.get_content() == b"p0"


def test_a_file_field_that_reads_the_source_in_another_way(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with override_storage(third=PLACES["memory"]()):
        monkeypatch.setattr(Attachment._meta.get_field("file"), "storage", storages["second"])
        paper = papers(2)[0]
        Attachment.objects.create(file=paper.file.name)
        move("library.Paper", target="third", delete_source=True)
        assert there("default") == ["p0"]


def test_a_run_and_each_task_look_a_trial_file_up_once() -> None:
    with (
        started(servers.CountingProxy, server(servers.SeaweedS3).port) as proxy,
        override_storage(default=through(proxy), second=PLACES["local"]()),
    ):
        papers(1)
        for shards in (False, True):
            Paper.objects.all().delete()
            papers(3)
            proxy.reset()
            with override_settings(TASKS={"default": IMMEDIATE}):
                options = {"shard_size": 1} if shards else {}
                move("library.Paper", delete_source=True, enqueue=shards, **options)
            looks = [one for one in proxy.requests() if one.method == "HEAD"]
            # once more when the tasks are enqueued
            assert len(looks) == (4 if shards else 1)


def test_a_source_that_does_not_answer_is_refused() -> None:
    with (
        started(servers.CountingProxy, server(servers.SeaweedS3).port) as proxy,
        override_storage(default=through(proxy), second=PLACES["local"]()),
    ):
        papers(1)
        proxy.stop()
        with pytest.raises(CommandError, match="'default' does not answer"):
            move("library.Paper", delete_source=True)
        assert there("second") == []


def test_a_file_that_a_file_field_reads_as_well_stays(memory: None) -> None:
    attachment = Attachment.objects.create(file=ContentFile(b"shared", name="shared.txt"))
    papers(1)
    Paper.objects.create(file=FileObject("default", str(attachment.file)).refresh())
    said = move("library.Paper", delete_source=True)
    assert "deleted in the source            1" in said
    assert there("default") == ["shared"]
    assert attachment.file.read() == b"shared"
    assert there("second") == ["p0", "shared"]


def test_files_of_a_file_field_go_when_it_reads_from_the_target() -> None:
    through = {
        "BACKEND": "django_fsspec.readthrough.ReadThroughStorage",
        "OPTIONS": {"primary": "second", "fallback": "disk"},
    }
    with override_storage(disk=PLACES["memory"](), second=PLACES["memory"]()):
        with override_settings(STORAGES={**settings.STORAGES, "default": through}):
            for number in range(3):
                name = storages["disk"].save(f"{number}.txt", ContentFile(b"a%d" % number))
                Attachment.objects.create(file=name)
            said = move("library.Attachment.file", source="disk", delete_source=True)
            assert "deleted in the source            3" in said
            assert [row.file.read() for row in Attachment.objects.all()] == [b"a0", b"a1", b"a2"]
        assert there("disk") == []
        assert there("second") == ["a0", "a1", "a2"]


def test_files_of_a_file_field_that_reads_elsewhere_stay(memory: None) -> None:
    with override_storage(disk=PLACES["memory"]()):
        storages["disk"].save("a.txt", ContentFile(b"a"))
        Attachment.objects.create(file="a.txt")
        with pytest.raises(CommandError, match="does not read from 'second'") as refused:
            move("library.Attachment.file", source="disk", delete_source=True)
        assert refused.value.returncode == 2
        assert there("disk") == ["a"]
        assert there("second") == []


# names in use that no row holds


def first(alias: str) -> Iterator[str]:
    """Yield a file and a folder of the source."""
    if alias == "default":
        yield Paper.objects.order_by("pk")[0].file.filename
        yield "kept/"
    else:
        yield "papers/"


def fails(alias: str) -> list[str]:
    raise ZeroDivisionError("the table of versions is broken")


def _naming(function: str) -> override_settings:
    return override_settings(**{SETTING: [f"{__name__}.{function}"]})


@pytest.mark.parametrize("enqueued", [False, True], ids=["command", "tasks"])
def test_files_in_use_stay(memory: None, enqueued: bool) -> None:
    papers(3)
    Paper.objects.create(file=FileObject("default", "kept/x.txt", content=b"x"))
    with _naming("first"), override_settings(TASKS={"default": IMMEDIATE}):
        said = move("library.Paper", delete_source=True, enqueue=enqueued)
    assert there("default") == ["p0", "x"]
    assert there("second") == ["p0", "p1", "p2", "x"]
    assert Paper.objects.filter(file__backend="second").count() == 4
    if not enqueued:
        assert "deleted in the source            2\n" in said
        assert f"kept in the source               2  (named by {SETTING}" in said


@pytest.mark.parametrize(
    ("function", "error", "reason"),
    [("fails", ZeroDivisionError, "broken"), ("nowhere", CommandError, SETTING)],
)
def test_nothing_is_moved_where_names_in_use_are_not_known(
    memory: None, function: str, error: type[Exception], reason: str
) -> None:
    papers(1)
    with _naming(function):
        with pytest.raises(error, match=reason):
            move("library.Paper", delete_source=True)
        assert there("second") == []
        move("library.Paper")
    assert there("second") == ["p0"]


def of_second(alias: str) -> Iterator[str]:
    """Yield a file that is in use, by its name on one alias only."""
    if alias == "second":
        yield "0.txt"


@pytest.mark.parametrize("inner", ["", "papers"])
@pytest.mark.parametrize("kind", BY_TRIAL)
def test_files_that_are_in_use_under_another_address_stay(kind: str, inner: str) -> None:
    with (
        twins(kind, inner=inner, third=PLACES["memory"](), broken={"fs": "memory", "nonsense": 1}),
        _naming("of_second"),
    ):
        folder = f"{inner}/" if inner else ""
        for name in ("0.txt", "1.txt"):
            Paper.objects.create(file=FileObject("default", folder + name, content=name).save())
        said = move("library.Paper", target="third", delete_source=True)
        assert "kept in the source               1" in said
        assert there("default") == ["0.txt"]
        assert there("third") == ["0.txt", "1.txt"]


def test_files_that_are_in_use_under_an_alias_that_reads_in_two_stay() -> None:
    read_through = {
        "BACKEND": "django_fsspec.readthrough.ReadThroughStorage",
        "OPTIONS": {"primary": "third", "fallback": "default"},
    }
    with (
        override_storage(default=PLACES["memory"](), third=PLACES["memory"]()),
        override_settings(STORAGES={**settings.STORAGES, "second": read_through}),
        _naming("of_second"),
    ):
        Paper.objects.create(file=FileObject("default", "0.txt", content="0").save())
        move("library.Paper", target="third", delete_source=True)
        assert there("default") == ["0"]


def test_names_in_use_cost_a_trial_file() -> None:
    with (
        started(servers.CountingProxy, server(servers.SeaweedS3).port) as proxy,
        override_storage(
            default=through(proxy), second=PLACES["memory"](), third=PLACES["local"]()
        ),
    ):
        for trials in (1, 0):
            papers(1)
            proxy.reset()
            move("library.Paper", delete_source=True)
            puts = [one for one in proxy.requests() if one.method == "PUT"]
            assert len(puts) == trials


# accounts of one server


def test_two_users_of_one_server_have_a_place_each() -> None:
    ftp = server(servers.TwoUsersFTP)
    options: dict[str, Any] = {"fs": "ftp", "prefix": folder(), "fs_options": ftp.fs_options}
    other = {**options, "fs_options": {**ftp.fs_options, "username": ftp.second}}
    with override_storage(default=options, second=other, third={**options, "timeout": 7}):
        rows = papers(2)
        with pytest.raises(CommandError, match="share files"):
            move("library.Paper", target="third", delete_source=True)
        storages["second"].save(rows[0].file.name, ContentFile(b"another's"))
        move("library.Paper", delete_source=True)
        assert there("default") == []
        assert there("second") == ["another's", "p0", "p1"]


# storages that say of no file that it exists


def _beside_ours(kind: type[Storage], place: Path, **others: Any) -> Any:
    """Put a storage that denies its files, and one of ours, in one place."""
    ours = {
        "BACKEND": "django_fsspec.storage.FSSpecStorage",
        "OPTIONS": {"fs": "file", "prefix": str(place)},
    }
    entries = {"default": ours, "second": denying.alias(kind, place), **others}
    return override_settings(STORAGES={**settings.STORAGES, **entries})


@pytest.mark.parametrize(("source", "target"), [("default", "second"), ("second", "default")])
@pytest.mark.parametrize("kind", denying.KINDS)
def test_the_only_copy_in_a_storage_that_denies_its_files_stays(
    kind: type[Storage], source: str, target: str, tmp_path: Path
) -> None:
    with _beside_ours(kind, tmp_path):
        file = FileObject(source, "a.txt", content=b"p0").save()
        row = Paper.objects.create(file=file.to_dict())
        with pytest.raises(CommandError, match="share files"):
            move("library.Paper", source=source, target=target, delete_source=True)
        with pytest.raises(BadPlan, match="share files"):
            move_action.move([row], "default", target=target, delete_source=True)
        assert Paper.objects.get().file.get_content() == b"p0"


@pytest.mark.parametrize("kind", denying.KINDS)
def test_a_row_of_an_alias_that_denies_its_files_keeps_a_source_file(
    kind: type[Storage], tmp_path: Path
) -> None:
    third = {"BACKEND": "django_fsspec.storage.FSSpecStorage", "OPTIONS": PLACES["memory"]()}
    with _beside_ours(kind, tmp_path, third=third):
        file = papers(1)[0].file
        held = Paper.objects.create(file={**file.to_dict(), "backend": "second"})
        move("library.Paper", target="third", delete_source=True)
        assert Paper.objects.get(pk=held.pk).file.get_content() == b"p0"
