"""The site, as gunicorn (``application``), uvicorn (``asgi``) and Celery (``celery``) load it.

Its storages are used when this module is imported: under ``gunicorn --preload`` and in Celery
that is in the parent, before it forks.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import threading
import time
from collections import Counter
from typing import Any, cast

import django
from django.apps import apps

if not apps.ready:
    django.setup()

from asgiref.sync import sync_to_async
from celery import Celery
from django.core.files.storage import storages
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.db import close_old_connections, connections
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.urls import path

from django_fsspec import FileObject
from django_fsspec.responses import afile_response, file_response
from django_fsspec.storage import FSSpecStorage
from tests.library.models import Paper
from tests.soak.faults.content import named
from tests.soak.faults.visitors import EXPECTED, MEGABYTE, Visitor

ALIASES = ("default", "far", "ssh")
_own = threading.local()

for _alias in ALIASES:
    with contextlib.suppress(OSError):
        storages[_alias].exists("imported")


class SiteVisitor(Visitor):
    """A visitor whose files lie on all storages; some are uploaded in parts."""

    def file(self, size: int | None = None) -> FileObject:
        """Return content that no other has."""
        self.made += 1
        if size is None:
            size = self.random.choice((0, 10, 700, 20_000, 20_000, 300_000))
            size = 6 * MEGABYTE if self.random.random() < 0.06 else size
        name, data = named(f"{self.label}-{self.made}", size)
        return FileObject(self.random.choice(ALIASES), name, content=data)


def visitor() -> SiteVisitor:
    """Return that of this thread."""
    if getattr(_own, "pid", None) != os.getpid():
        _own.pid = os.getpid()
        _own.visitor = SiteVisitor(f"{os.getpid()}-{threading.get_ident()}-{time.time_ns()}")
    found: SiteVisitor = _own.visitor
    return found


def transact() -> dict[str, int]:
    """Do one transaction; return its outcomes."""
    own = visitor()
    own.outcomes = Counter()
    try:
        own.visit()
    finally:
        # a thread of a pool has its own, which nobody else closes
        connections.close_all()
    return dict(own.outcomes)


def visit(request: HttpRequest) -> HttpResponse:
    """Do one transaction."""
    return JsonResponse(transact())


async def avisit(request: HttpRequest) -> HttpResponse:
    """Do one transaction in a thread, or one by async methods."""
    if random.random() < 0.5:
        return JsonResponse(await sync_to_async(transact, thread_sensitive=False)())
    content = SiteVisitor(f"a{os.getpid()}-{time.time_ns()}")
    outcomes: Counter[str] = Counter()
    try:
        paper = await Paper.objects.acreate(file=content.file())
        for _ in range(content.random.randrange(3)):
            paper.file = content.file()
            await paper.asave()
        if content.random.random() < 0.7:
            await paper.adelete()
        outcomes["committed by async methods"] += 1
    except FileNotFoundError:
        outcomes["a file is gone"] += 1
    except EXPECTED as error:
        reason = "storage" if isinstance(error, OSError) else type(error).__name__
        outcomes[f"rolled back: {reason}"] += 1
    finally:
        await sync_to_async(connections.close_all)()
    return JsonResponse(outcomes)


def _some_file() -> FileObject:
    close_old_connections()
    with_file = Paper.objects.exclude(file=None).order_by("?")
    paper = with_file.first()
    connections.close_all()
    if paper is None or not paper.file:
        raise Http404
    file: FileObject = paper.file
    return file


def _told(response: HttpResponseBase, file: FileObject) -> HttpResponseBase:
    response["X-Original"] = str(file.original_name)
    return response


def download(request: HttpRequest) -> HttpResponseBase:
    """Serve the file of a row."""
    file = _some_file()
    try:
        return _told(file_response(request, file), file)
    except FileNotFoundError as error:
        # replaced since its row was read
        raise Http404 from error


async def adownload(request: HttpRequest) -> HttpResponseBase:
    """Do the same from an async view."""
    file = await sync_to_async(_some_file, thread_sensitive=False)()
    try:
        return _told(await afile_response(request, file), file)
    except FileNotFoundError as error:
        raise Http404 from error


def listing(request: HttpRequest) -> HttpResponse:
    """Count what lies in a folder of each storage."""
    return JsonResponse({alias: len(storages[alias].listdir("papers")[1]) for alias in ALIASES})


async def alisting(request: HttpRequest) -> HttpResponse:
    """Do the same by async methods."""
    own = {alias: cast(FSSpecStorage, storages[alias]) for alias in ALIASES}
    counts = {alias: len((await own[alias].alistdir("papers"))[1]) for alias in ALIASES}
    return JsonResponse(counts)


def alive(request: HttpRequest) -> HttpResponse:
    """Say that the site is there."""
    return HttpResponse(str(os.getpid()))


urlpatterns = [
    path("alive", alive),
    path("visit", visit),
    path("avisit", avisit),
    path("download", download),
    path("adownload", adownload),
    path("listing", listing),
    path("alisting", alisting),
]

application = WSGIHandler()
asgi = ASGIHandler()
celery = Celery("production", broker=os.environ["REDIS_URL"])
celery.conf.update(
    task_default_queue=os.environ["DJANGO_FSSPEC_QUEUE"],
    worker_prefetch_multiplier=1,
    worker_max_tasks_per_child=40,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    worker_cancel_long_running_tasks_on_connection_loss=False,
)


@celery.task(name="visit")  # type: ignore[untyped-decorator]
def visit_later(answers: str, number: int) -> None:
    """Do one transaction; tell of its beginning and its outcomes in Redis."""
    import redis

    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        told: dict[str, Any] = {"number": number, "pid": os.getpid()}
        client.rpush(answers, json.dumps(told))
        client.rpush(answers, json.dumps({**told, "outcomes": transact()}))
