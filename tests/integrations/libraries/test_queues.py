"""Files as arguments of jobs: Celery sends JSON, RQ pickles; both through a Redis."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from celery.contrib.testing.worker import start_worker
from celery.signals import setup_logging
from django.core.files.base import ContentFile
from kombu.exceptions import EncodeError
from kombu.utils import json as kombu_json
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer

from django_fsspec import FileObject
from tests.helpers.utils import started
from tests.library.models import Paper
from tests.servers import RedisServer

pytestmark = [
    pytest.mark.twin,
    pytest.mark.usefixtures("memory"),
    # Celery 5.7 calls what redis 8 deprecates
    pytest.mark.filterwarnings("ignore:Call to deprecated:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with started(RedisServer) as server:
        yield server


def content_of(file: FileObject | dict[str, Any]) -> str:
    """Do a job of a worker: read the file that was sent."""
    known = file if isinstance(file, FileObject) else FileObject.from_dict(file)
    return f"{type(file).__name__} {known.get_content().decode()} {known.size}"


def same(file: FileObject) -> FileObject:
    """Do a job whose result is a file."""
    return file


@pytest.fixture
def file() -> FileObject:
    return FileObject("default", "may.txt", content=b"all is well").save()


# Celery


@pytest.fixture(scope="module")
def celery(redis: RedisServer) -> Iterator[Celery]:
    app = Celery("tests", broker=redis.url, backend=redis.url)
    for job in (content_of, same):
        app.task(name=job.__name__)(job)
    app.finalize()

    def leave_logging(**kwargs: Any) -> None:
        """Celery sets up no logging where its signal has a receiver."""

    setup_logging.connect(leave_logging)
    with start_worker(app, perform_ping_check=False, pool="solo"):
        yield app
    setup_logging.disconnect(leave_logging)


def sent(celery: Celery, name: str, argument: Any) -> Any:
    return celery.send_task(name, [argument]).get(timeout=20)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have kombu write a file as JSON, as a project does in its celery.py."""
    for table in ("_encoders", "_decoders"):
        monkeypatch.setattr(kombu_json, table, dict(getattr(kombu_json, table)))
    kombu_json.register_type(FileObject, "FileObject", FileObject.to_dict, FileObject.from_dict)


def test_celery_takes_the_json_of_a_file(celery: Celery, file: FileObject) -> None:
    assert sent(celery, "content_of", file.to_dict()) == "dict all is well 11"


def test_celery_refuses_a_file_that_nobody_registered(celery: Celery, file: FileObject) -> None:
    with pytest.raises(EncodeError, match="FileObject is not JSON serializable"):
        sent(celery, "content_of", file)


@pytest.mark.django_db
def test_celery_takes_a_registered_file(
    celery: Celery, registered: None, file: FileObject
) -> None:
    assert sent(celery, "content_of", file) == "FileObject all is well 11"
    row = Paper.objects.create(file=ContentFile(b"one", name="a.txt"))
    row = Paper.objects.get(pk=row.pk)
    back = sent(celery, "same", row.file)
    assert isinstance(back, FileObject)
    assert back.to_dict() == row.file.to_dict()


# RQ


@pytest.fixture
def signals() -> Iterator[None]:
    """Put back the handlers that a worker of RQ sets for good."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("serializer", "argument", "kind"),
    [(None, "itself", "FileObject"), (JSONSerializer, "to_dict", "dict")],
)
def test_rq(
    redis: RedisServer, signals: None, file: FileObject, serializer: Any, argument: str, kind: str
) -> None:
    from redis import Redis

    queue = Queue(connection=Redis.from_url(redis.url), serializer=serializer)
    job = queue.enqueue(content_of, file if argument == "itself" else file.to_dict())
    worker = SimpleWorker([queue], connection=queue.connection, serializer=serializer)
    worker.work(burst=True, logging_level="ERROR")
    result: Any = job.latest_result()
    assert result.return_value == f"{kind} all is well 11"
