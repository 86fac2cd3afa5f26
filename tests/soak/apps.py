"""Small web applications over a storage, as gunicorn and uvicorn load them.

The OPTIONS come from the environment. The storage is used when this module is imported: under
``gunicorn --preload`` that is in the master, before it forks.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import django
from django.conf import settings
from django.core.files.base import ContentFile

settings.configure(USE_TZ=True, SECRET_KEY="of a small app", STORAGES={})
django.setup()

from django_fsspec.storage import FSSpecStorage  # noqa: E402 - Django first

storage = FSSpecStorage(**json.loads(os.environ["SOAK_OPTIONS"]))
storage.save("imported.txt", ContentFile(b"by the importing process"))
IMPORTED_BY = os.getpid()


def _checked(name: str, data: bytes, stored: bytes) -> dict[str, Any]:
    assert stored == data, f"{name} came back as {stored[:50]!r}"
    return {"name": name, "pid": os.getpid(), "imported_by": IMPORTED_BY}


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Save what the path says, read it back, and answer with the name and this process' id."""
    data = environ["PATH_INFO"].encode() * 100
    name = storage.save("wsgi.txt", ContentFile(data))
    answer = json.dumps(_checked(name, data, storage.get_content(name))).encode()
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]


async def asgi(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Do ten saves and reads at once for each request."""
    if scope["type"] != "http":
        return

    async def one(number: int) -> dict[str, Any]:
        data = f"{scope['path']} {number}".encode() * 100
        name = await storage.asave("asgi.txt", ContentFile(data))
        return _checked(name, data, await storage.aget_content(name))

    answer = json.dumps(await asyncio.gather(*map(one, range(10)))).encode()
    headers = [(b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
