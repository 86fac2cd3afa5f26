"""A site that sends the same files in one of several ways, as benchmarks.downloads starts it.

``SITE_PEER`` names the way: "ours", "FileResponse", "whitenoise" or "Starlette".
"""

from __future__ import annotations

import json
import os
from typing import Any

import django
from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        INSTALLED_APPS=["django_fsspec"],
        ROOT_URLCONF="benchmarks.sites.downloads",
        SECRET_KEY=os.environ["SITE_SECRET"],
        STORAGES=json.loads(os.environ["SITE_STORAGES"]),
        MIDDLEWARE=[],
        USE_TZ=True,
    )
    django.setup()

from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.urls import path

from django_fsspec.responses import afile_response, file_response

PEER, ROOT = os.environ["SITE_PEER"], os.environ["SITE_ROOT"]


def download(request: HttpRequest, alias: str, name: str) -> HttpResponseBase:
    """Send a file of the storage `alias`."""
    if PEER == "ours":
        return file_response(request, name, backend=alias)
    return FileResponse(storages[alias].open(name))


async def download_async(request: HttpRequest, alias: str, name: str) -> HttpResponseBase:
    """Send a file of the storage `alias`."""
    return await afile_response(request, name, backend=alias)


def alive(request: HttpRequest) -> HttpResponse:
    """Say which process this is."""
    return HttpResponse(str(os.getpid()))


# under ASGI a sync view waits for a thread; Django's FileResponse has no async twin
view = download_async if (os.environ["SITE_ASYNC"], PEER) == ("1", "ours") else download
urlpatterns = [path("alive", alive), path("<str:alias>/<path:name>", view)]

for folder, _, names in os.walk(ROOT):
    for name in names if "memory" in storages.backends else ():
        with open(os.path.join(folder, name), "rb") as file:
            storages["memory"].save(name, ContentFile(file.read()))


def whitenoise() -> Any:
    """Return a WSGI application that has whitenoise send the files of the disk."""
    from whitenoise import WhiteNoise

    return WhiteNoise(WSGIHandler(), root=ROOT, prefix="disk/")


def starlette() -> Any:
    """Return an ASGI application that has Starlette send the files of the disk."""
    from starlette.applications import Starlette
    from starlette.responses import FileResponse as StarlettesResponse
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def send(request: Any) -> Any:
        return StarlettesResponse(os.path.join(ROOT, request.path_params["name"]))

    async def process(request: Any) -> Any:
        return PlainTextResponse(str(os.getpid()))

    return Starlette(routes=[Route("/alive", process), Route("/disk/{name}", send)])


application = whitenoise() if PEER == "whitenoise" else WSGIHandler()
asgi = starlette() if PEER == "Starlette" else ASGIHandler()
