"""What operations tell: log records, spans and metrics, without secrets and without cost."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.test import RequestFactory, override_settings
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from django_fsspec import FileObject, save_files
from django_fsspec.exceptions import StorageError
from django_fsspec.responses import file_response
from django_fsspec.storage import FSSpecStorage, get_storage, telemetry
from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers.backends import _s3, folder, server

SECRET = "very-secret-value"

# a process has one of each, for good
_spans, _reader = InMemorySpanExporter(), InMemoryMetricReader()
_provider = TracerProvider()
_provider.add_span_processor(SimpleSpanProcessor(_spans))


@cache
def _set_up() -> None:
    trace.set_tracer_provider(_provider)
    metrics.set_meter_provider(MeterProvider([_reader]))


@pytest.fixture(autouse=True)
def sdk() -> None:
    _set_up()


@pytest.fixture
def spans() -> Iterator[Callable[[], list[ReadableSpan]]]:
    _spans.clear()
    with override_settings(DJANGO_FSSPEC_OPENTELEMETRY=True):
        yield lambda: list(_spans.get_finished_spans())


@pytest.fixture(params=["memory", "s3"])
def storage(request: pytest.FixtureRequest) -> Iterator[FSSpecStorage]:
    options = {"fs": "memory", "prefix": folder()}
    if request.param == "s3":
        options = _s3(servers.SeaweedS3)(folder())
    with override_storage(default=options):
        yield get_storage("default")


def told(span: ReadableSpan) -> tuple[str, Any, Any]:
    attributes = dict(span.attributes or {})
    assert span.kind is SpanKind.CLIENT
    assert attributes["django.storage.alias"] == "default"
    assert span.name == f"{attributes['django.storage.operation']} default"
    operation = str(attributes["django.storage.operation"])
    return operation, attributes.get("file.path"), attributes.get("file.size")


EXPECTED = [
    ("save", "a.txt", 5),
    ("exists", "a.txt", None),
    ("stat", "a.txt", 5),
    ("size", "a.txt", None),
    ("get_content", "a.txt", 5),
    ("digest", "a.txt", None),
    ("stream", "a.txt", 5),
    ("open", "a.txt", None),
    ("copy", "b.txt", None),
    ("listdir", None, None),
    ("walk", None, None),
    ("delete", "b.txt", None),
    ("delete_many", None, None),
]


def work(storage: FSSpecStorage) -> None:
    storage.save("a.txt", ContentFile(b"12345"))
    storage.exists("a.txt")
    storage.stat("a.txt")
    storage.size("a.txt")
    storage.get_content("a.txt")
    storage.digest("a.txt")
    assert b"".join(storage.stream("a.txt")) == b"12345"
    storage.open("a.txt").close()
    storage.copy("a.txt", "b.txt")
    storage.listdir("")
    assert len(list(storage.walk())) == 2
    storage.delete("b.txt")
    storage.delete_many(["a.txt"])
    storage.url("a.txt")


async def awork(storage: FSSpecStorage) -> None:
    await storage.asave("a.txt", ContentFile(b"12345"))
    await storage.aexists("a.txt")
    await storage.astat("a.txt")
    await storage.asize("a.txt")
    await storage.aget_content("a.txt")
    await storage.adigest("a.txt")
    assert [piece async for piece in storage.astream("a.txt")] == [b"12345"]
    (await storage.aopen("a.txt")).close()
    await storage.acopy("a.txt", "b.txt")
    await storage.alistdir("")
    assert len([stat async for stat in storage.awalk()]) == 2
    await storage.adelete("b.txt")
    await storage.adelete_many(["a.txt"])
    await storage.asign("a.txt")


@pytest.mark.parametrize("is_async", [False, True])
def test_each_operation_is_a_span(
    storage: FSSpecStorage, spans: Callable[[], list[ReadableSpan]], is_async: bool
) -> None:
    if is_async:
        asyncio.run(awork(storage))
    else:
        work(storage)
    assert [told(span) for span in spans()] == EXPECTED


@pytest.mark.parametrize("is_async", [False, True])
def test_each_operation_is_a_debug_record(
    storage: FSSpecStorage, caplog: pytest.LogCaptureFixture, is_async: bool
) -> None:
    caplog.set_level(logging.DEBUG, "django_fsspec")
    if is_async:
        asyncio.run(awork(storage))
    else:
        work(storage)
    records: list[Any] = [r for r in caplog.records if r.name == "django_fsspec"]
    assert [(r.operation, r.file_name or None, r.size) for r in records] == EXPECTED
    assert {record.alias for record in records} == {"default"}
    assert all(0 <= record.seconds < 60 and record.error_type is None for record in records)
    assert records[0].getMessage().startswith("save 'a.txt' on default: 5 bytes, ")


def test_an_open_file(storage: FSSpecStorage, spans: Callable[[], list[ReadableSpan]]) -> None:
    with storage.open("a.txt", "wb") as file:
        file.write(b"12345")
    with storage.open("a.txt") as file:
        assert file.read() == b"12345"
    opened, saved, again, *reads = map(told, spans())
    assert opened == again == ("open", "a.txt", None)
    assert saved == ("save", "a.txt", 5)
    assert {read[:2] for read in reads} <= {("read", "a.txt")}
    assert sum(size for _, _, size in reads) in (0, 5)


def test_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    assert not telemetry.is_wanted()
    with override_storage("default"):
        _spans.clear()
        work(get_storage("default"))
    assert not _spans.get_finished_spans()
    assert not caplog.records


def test_requests_of_a_client_are_children(spans: Callable[[], list[ReadableSpan]]) -> None:
    tracer = trace.get_tracer("of a test")

    class Noting(ContentFile):  # type: ignore[type-arg]
        def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
            with tracer.start_as_current_span("read"):
                yield b"12345"

    with override_storage("default"), tracer.start_as_current_span("request"):
        get_storage("default").save("a.txt", Noting(b"12345"))
    read, save, request = spans()
    assert read.parent is not None
    assert save.parent is not None
    assert read.parent.span_id == save.context.span_id
    assert save.parent.span_id == request.context.span_id


def test_an_iteration_is_nobodys_parent(spans: Callable[[], list[ReadableSpan]]) -> None:
    tracer = trace.get_tracer("of a test")
    with override_storage("default"):
        storage = get_storage("default")
        storage.save("a.txt", ContentFile(b"12345" * 100_000))
        stream = storage.stream("a.txt")
        first = next(stream)
        with tracer.start_as_current_span("other work") as other:
            assert other.parent is None  # type: ignore[attr-defined]
        stream.close()  # type: ignore[attr-defined]
    _, other_work, streamed = spans()
    assert told(streamed) == ("stream", "a.txt", len(first))
    assert streamed.status.status_code is StatusCode.UNSET
    assert other_work.name == "other work"


def test_a_failure_is_told_by_its_type(
    spans: Callable[[], list[ReadableSpan]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "django_fsspec")
    with override_storage("default"):
        with pytest.raises(FileNotFoundError):
            get_storage("default").get_content("none.txt")
        with pytest.raises(FileNotFoundError):
            list(get_storage("default").stream("none.txt"))
    for span in spans():
        assert span.status.status_code is StatusCode.ERROR
        assert (span.attributes or {})["error.type"] == "FileNotFoundError"
        assert not span.events
        assert not span.status.description
    assert [record.error_type for record in caplog.records] == ["FileNotFoundError"] * 2  # type: ignore[attr-defined]


def test_no_secret_is_told(
    spans: Callable[[], list[ReadableSpan]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "django_fsspec")
    s3 = server(servers.SeaweedS3)
    options = {**s3.fs_options, "key": f"key-{SECRET}", "secret": SECRET, "token": SECRET}
    with override_storage(default={"fs": "s3", "prefix": s3.bucket, "fs_options": options}):
        storage = get_storage("default")
        url = storage.url("a.txt")
        for call in (storage.get_content, storage.stat, storage.delete):
            with pytest.raises((PermissionError, StorageError)):
                call("a.txt")
    assert SECRET in url
    told = [span.to_json() for span in spans()]
    told += [json.dumps(vars(record), default=repr) for record in caplog.records]
    assert len(told) == 6
    assert not any(SECRET in text or "Signature" in text for text in told)


@pytest.mark.django_db
def test_files_of_rows_bulk_and_responses(spans: Callable[[], list[ReadableSpan]]) -> None:
    with override_storage("default"):
        file = FileObject("default", "a.txt", content=b"12345")
        file.save()
        save_files([FileObject("default", f"{n}.txt", content=b"x") for n in range(2)])
        response: Any = file_response(RequestFactory().get("/"), file)
        assert b"".join(response) == b"12345"
        response.close()
    found = [told(span) for span in spans()]
    assert found[0] == ("save", "a.txt", 5)
    assert sorted(found[1:3]) == [("save", "0.txt", 1), ("save", "1.txt", 1)]
    assert found[-1] == ("response", "a.txt", 5)


def test_metrics(spans: Callable[[], list[ReadableSpan]]) -> None:
    _reader.get_metrics_data()
    with override_storage("metered"):
        storage = get_storage("metered")
        storage.save("a.txt", ContentFile(b"12345"))
        storage.save("b.txt", ContentFile(b"12345"))
        with pytest.raises(FileNotFoundError):
            storage.stat("none.txt")
    data: Any = _reader.get_metrics_data()
    points: dict[str, dict[Any, Any]] = {}
    for scope in data.resource_metrics[0].scope_metrics:
        assert scope.scope.name == "django_fsspec"
        for metric in scope.metrics:
            assert metric.unit == {"duration": "s", "size": "By"}[metric.name.rpartition(".")[2]]
            points[metric.name] = {
                tuple(sorted(point.attributes.items())): point
                for point in metric.data.data_points
                if point.attributes["django.storage.alias"] == "metered"
            }
    saved = (("django.storage.alias", "metered"), ("django.storage.operation", "save"))
    failed = (
        ("django.storage.alias", "metered"),
        ("django.storage.operation", "stat"),
        ("error.type", "FileNotFoundError"),
    )
    durations = points["django.storage.operation.duration"]
    assert {key: point.count for key, point in durations.items()} == {saved: 2, failed: 1}
    assert points["django.storage.operation.size"][saved].sum == 10


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    with (
        pytest.raises(ImproperlyConfigured) as caught,
        override_settings(DJANGO_FSSPEC_OPENTELEMETRY=True),
    ):
        pass
    monkeypatch.undo()
    telemetry.start()
    assert "DJANGO_FSSPEC_OPENTELEMETRY" in str(caught.value)
    assert "django-fsspec-storage[otel]" in str(caught.value)
