"""Files of a transaction are deleted for their tenant, whoever is served when that happens."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.core import serializers
from django.core.files.storage import storages
from django.db import connection, transaction
from django.db.models.signals import pre_delete
from django.test import TestCase, override_settings

from django_fsspec.storage import FSSpecStorage, get_storage
from django_fsspec.testing import override_storage
from tests.helpers.row_files import Mishap, receiving, text
from tests.helpers.tenants import ONE, TELL, TWO, listed, options_of, serving, tell
from tests.library.models import Paper

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True, params=["memory", "s3"])
def place(request: pytest.FixtureRequest) -> Iterator[None]:
    with override_storage(default=options_of(request.param)):
        yield


def same_names(content: str = "x") -> None:
    """Store a file of the same name for both tenants, that no row has."""
    for tenant in (ONE, TWO):
        with serving(tenant):
            storages["default"].save("plain.txt", text(content))


@pytest.mark.parametrize("served", [None, TWO])
def test_a_rollback_deletes_for_the_tenant_that_stored(served: str | None) -> None:
    same_names()
    with pytest.raises(Mishap), transaction.atomic():
        with serving(ONE):
            Paper.objects.create(file=text())
            assert len(listed(ONE)) == 2
        # the transaction outlives the request's tenant
        with serving(served) if served else nullcontext():
            raise Mishap
    gc.collect()
    assert listed(ONE) == listed(TWO) == ["plain.txt"]


@pytest.mark.parametrize("served", [None, TWO])
def test_a_commit_deletes_for_the_tenant_that_replaced(served: str | None) -> None:
    same_names()
    with serving(ONE):
        paper = Paper.objects.create(file=text("old"))
    with serving(TWO):
        storages["default"].save(paper.file.name, text("of another"))
    with serving(served) if served else nullcontext(), transaction.atomic(), serving(ONE):
        old, paper.file = paper.file.name, text("new", "b.txt")
        paper.save()
    assert old not in listed(ONE)
    assert old in listed(TWO)
    with serving(ONE):
        assert Paper.objects.get().file.get_content() == b"new"
        paper.delete()
    assert listed(ONE) == ["plain.txt"]
    assert old in listed(TWO)


def test_two_tenants_in_one_transaction() -> None:
    papers = {}
    for tenant in (ONE, TWO):
        with serving(tenant):
            papers[tenant] = Paper.objects.create(file=text(tenant))
    with transaction.atomic():
        for tenant in (ONE, TWO):
            with serving(tenant):
                papers[tenant].delete()
    assert listed(ONE) == listed(TWO) == []
    with pytest.raises(Mishap), transaction.atomic():
        for tenant in (ONE, TWO):
            with serving(tenant):
                Paper.objects.create(file=text(tenant))
        raise Mishap
    gc.collect()
    assert listed(ONE) == listed(TWO) == []


def test_callbacks_that_a_test_runs_later() -> None:
    with serving(ONE):
        paper = Paper.objects.create(file=text())
    with transaction.atomic():
        with TestCase.captureOnCommitCallbacks() as callbacks, serving(ONE):
            paper.delete()
        assert len(listed(ONE)) == 1
        with serving(TWO):
            for callback in callbacks:
                callback()
    assert listed(ONE) == []


def test_async_rows_of_both() -> None:
    async def work(tenant: str) -> None:
        with serving(tenant):
            paper = await Paper.objects.acreate(file=text(tenant))
            again = await Paper.objects.aget(pk=paper.pk)
            assert await again.file.aget_content() == tenant.encode()
            again.file = text("new")
            await again.asave()

            def read() -> bytes:
                return bytes(Paper.objects.get(pk=paper.pk).file.read())

            assert await sync_to_async(read)() == b"new"

    async def both() -> None:
        await asyncio.gather(work(ONE), work(TWO))

    async_to_sync(both)()
    assert len(listed(ONE)) == len(listed(TWO)) == 1


_thread = threading.local()


def of_thread() -> str:
    return str(_thread.tenant)


def test_a_rollback_where_only_the_thread_knows_its_tenant() -> None:
    options = {**options_of("memory"), "prefix": of_thread}
    with override_storage(default=options):
        _thread.tenant = ONE
        with pytest.raises(Mishap), transaction.atomic():
            Paper.objects.create(file=text())
            Paper.objects.bulk_create([Paper(file=text()) for _ in range(3)])
            raise Mishap
        gc.collect()
        assert list(get_storage("default").walk()) == []


# another tenant may have a file of the same name, where the commit runs


class Subclass(FSSpecStorage):
    """A storage of a site, whose OPTIONS do not show the callable."""

    def __init__(self, **options: Any) -> None:
        super().__init__(prefix=tell, **options)


def paper_of_one_beside_a_file_of_two() -> Paper:
    with serving(ONE):
        paper = Paper.objects.create(file=text("one"))
    with serving(TWO):
        storages["default"].save(paper.file.name, text("of another"))
    return paper


def forget_storages() -> None:
    """Have storages made anew, as in a process that has used none."""
    vars(storages)["_storages"].clear()


def test_a_deletion_for_no_tenant_deletes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    paper = paper_of_one_beside_a_file_of_two()
    with serving(TWO), transaction.atomic():
        contextvars.Context().run(paper.delete)
    assert "could not be deleted" in caplog.text
    assert listed(ONE) == listed(TWO) != []


@pytest.mark.parametrize("how", ["options", "url", "subclass"])
def test_a_deletion_by_a_storage_that_is_new_to_its_process(how: str) -> None:
    options = options_of("memory")
    config = {"BACKEND": "django_fsspec.storage.FSSpecStorage", "OPTIONS": options}
    if how != "options":
        del options["prefix"]
    if how == "url":
        options["fs"] += f"?prefix={TELL}"
    elif how == "subclass":
        config["BACKEND"] = f"{__name__}.Subclass"
    with override_settings(STORAGES={**settings.STORAGES, "default": config}):
        paper_of_one_beside_a_file_of_two()
        forget_storages()
        with serving(TWO), transaction.atomic(), serving(ONE):
            Paper.objects.get().delete()
        assert (listed(ONE), len(listed(TWO))) == ([], 1)


def test_a_deletion_by_one_of_two_storages_of_an_alias() -> None:
    paper = paper_of_one_beside_a_file_of_two()
    with serving(TWO), transaction.atomic():
        with serving(ONE):
            paper.delete()
        # Django makes two where two threads ask for the first time
        forget_storages()
    assert (listed(ONE), len(listed(TWO))) == ([], 1)


def test_a_receiver_that_deletes_for_another_tenant() -> None:
    papers = {}
    for tenant in (ONE, TWO):
        with serving(tenant):
            papers[tenant] = Paper.objects.create(file=text(tenant))
    for tenant, other in ((ONE, TWO), (TWO, ONE)):
        with serving(other):
            storages["default"].save(papers[tenant].file.name, text("of another"))

    def delete_other(instance: Paper, **kwargs: Any) -> None:
        if instance.pk == papers[ONE].pk:
            with serving(TWO):
                Paper.objects.filter(pk=papers[TWO].pk).delete()

    with receiving(pre_delete, delete_other, Paper), serving(ONE):
        Paper.objects.filter(pk=papers[ONE].pk).delete()
    assert listed(ONE) == [papers[TWO].file.name]
    assert listed(TWO) == [papers[ONE].file.name]


# schemas of a database: the connection is told which one a tenant has


@contextlib.contextmanager
def in_schema(name: str) -> Iterator[None]:
    """Have the connection look for tables in a schema, as django-tenants does it."""
    before = getattr(connection, "schema_name", "public")
    try:
        set_schema(name)
        yield
    finally:
        set_schema(before)


def set_schema(name: str) -> None:
    connection.schema_name = name  # type: ignore[attr-defined]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"SET search_path TO {name}, public")


@pytest.fixture
def schemas() -> Iterator[None]:
    """Two schemas, each with a table of its own for papers; on other databases names alone."""
    table = Paper._meta.db_table
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            for name in (ONE, TWO):
                cursor.execute(f"CREATE SCHEMA {name}")
                cursor.execute(f"CREATE TABLE {name}.{table} (LIKE public.{table} INCLUDING ALL)")
    yield
    del connection.schema_name  # type: ignore[attr-defined]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"DROP SCHEMA {ONE} CASCADE; DROP SCHEMA {TWO} CASCADE")


@pytest.mark.parametrize("prefix", [TELL, "of-all"])
def test_a_commit_in_another_schema_deletes_no_file_that_a_row_holds(
    schemas: None, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    with override_storage(default={**options_of("memory"), "prefix": prefix}), serving(ONE):
        with in_schema(ONE):
            paper = Paper.objects.create(file=text("old"))
            # rows that share a file, as those of a history do
            Paper.objects.create(file=paper.file.to_dict())
        with in_schema(TWO), transaction.atomic(), in_schema(ONE):
            paper.file = text("new", "b.txt")
            paper.save()
        with in_schema(ONE):
            contents = {each.file.get_content() for each in Paper.objects.all()}
            assert contents == {b"old", b"new"}
        assert "kept, since the commit ran in another schema" in caplog.text
        with in_schema(ONE), transaction.atomic():
            Paper.objects.all().delete()
        assert listed(ONE) == []


def test_a_transaction_over_two_schemas(schemas: None) -> None:
    with override_storage(default={**options_of("memory"), "prefix": "of-all"}):
        papers = {}
        for name in (ONE, TWO):
            with in_schema(name):
                papers[name] = Paper.objects.create(file=text(name))
        with in_schema(TWO), transaction.atomic():
            for name in (ONE, TWO):
                with in_schema(name):
                    papers[name].delete()
        # that of the schema in which the commit ran
        names = [stat.name for stat in get_storage("default").walk()]
        assert len(names) == 1
        with pytest.raises(Mishap), transaction.atomic():
            for name in (ONE, TWO):
                with in_schema(name):
                    Paper.objects.create(file=text(name))
            raise Mishap
        gc.collect()
        assert [stat.name for stat in get_storage("default").walk()] == names


# raw saves


def test_a_raw_save_looks_for_files_of_its_tenant(caplog: pytest.LogCaptureFixture) -> None:
    with serving(ONE):
        paper = Paper.objects.create(file=text())
        other = Paper.objects.create(file=text())
        rows = serializers.serialize("json", [paper, other])
        Paper.objects.filter(pk=other.pk).delete()
        Paper.objects.filter(pk=paper.pk).update(file=None)
    with serving(TWO), transaction.atomic(), serving(ONE):
        for row in serializers.deserialize("json", rows):
            row.save()
    [message] = [each for each in caplog.messages if "missing after a raw save" in each]
    assert other.file.name in message
    assert paper.file.name not in message
