"""A site that serves downloads, as gunicorn (``application``) and uvicorn (``asgi``) load it.

Its STORAGES are those of the environment. No database: what a row would tell is in the query.
"""

from __future__ import annotations

import json
import os
from typing import Any

import django
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        INSTALLED_APPS=["django_fsspec"],
        ROOT_URLCONF="tests.soak.site",
        SECRET_KEY=os.environ["SITE_SECRET"],
        STORAGES=json.loads(os.environ["SITE_STORAGES"]),
        FSSPEC_ACCEL_REDIRECT=json.loads(os.environ.get("SITE_ACCEL", "{}")),
        FSSPEC_UPLOADS=json.loads(os.environ.get("SITE_UPLOADS", "{}")),
        MIDDLEWARE=["django_fsspec.middleware.UploadsMiddleware"],
        USE_TZ=True,
    )
    django.setup()

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.urls import include, path

from django_fsspec import FileObject
from django_fsspec.responses import afile_response, file_response
from django_fsspec.uploads.asgi import UploadGuard


def by_name(request: HttpRequest, name: str) -> HttpResponseBase:
    """Serve what the storage tells of itself."""
    return file_response(request, name, backend=request.GET.get("backend", "default"))


def of_row(request: HttpRequest, name: str) -> FileObject:
    """Return a file as a row has it; the query has the columns."""
    row: dict[str, Any] = json.loads(request.GET["row"])
    return FileObject(request.GET.get("backend", "default"), name, **row)


def by_row(request: HttpRequest, name: str) -> HttpResponseBase:
    """Serve what a row tells of a file."""
    return file_response(request, of_row(request, name))


async def by_row_async(request: HttpRequest, name: str) -> HttpResponseBase:
    """Do the same from an async view."""
    return await afile_response(request, of_row(request, name))


def redirected(request: HttpRequest, name: str) -> HttpResponseBase:
    """Send the client to where the file lies."""
    return file_response(request, name, redirect=True)


def alive(request: HttpRequest) -> HttpResponse:
    """Say that the site is there."""
    return HttpResponse(str(os.getpid()))


urlpatterns = [
    path("alive", alive),
    path("name/<path:name>", by_name),
    path("row/<path:name>", by_row),
    path("arow/<path:name>", by_row_async),
    path("redirected/<path:name>", redirected),
    path("files/", include("django_fsspec.urls")),
]

application = WSGIHandler()
asgi = UploadGuard(ASGIHandler())
