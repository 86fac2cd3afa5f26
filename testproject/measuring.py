"""What a page costs: database queries and requests to S3, counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from aiohttp import TraceConfig
from django.db import connection
from fsspec.asyn import sync
from s3fs import S3FileSystem

from .listing import aliases, storage_of


@dataclass
class Cost:
    """What was counted so far; `requests` is None where there is no S3."""

    queries: int = 0
    requests: int | None = None


_counting: ContextVar[Cost | None] = ContextVar("counting", default=None)


@contextmanager
def counted() -> Iterator[Cost]:
    """Count what the block inside does, and nobody else."""
    cost = Cost()

    def query(execute: Callable[..., Any], *arguments: Any) -> Any:
        cost.queries += 1
        return execute(*arguments)

    for alias in aliases():
        if _watched(alias):
            cost.requests = 0
    token = _counting.set(cost)
    try:
        with connection.execute_wrapper(query):
            yield cost
    finally:
        _counting.reset(token)


def _watched(alias: str) -> bool:
    """Have aiohttp count each request of the S3 client behind an alias, if there is one.

    Not by an event of botocore: small requests pass by its machinery.
    """
    fs = getattr(storage_of(alias).flows.adapter, "fs", None)
    if not isinstance(fs, S3FileSystem):
        return False
    session = fs.connect()._endpoint.http_session
    traces = sync(fs.loop, session._get_session, None).trace_configs
    if _TRACE not in traces:
        traces.append(_TRACE)
    return True


async def _count(*_: Any) -> None:
    # the context of whoever calls a storage goes along to the thread that sends
    cost = _counting.get()
    if cost is not None:
        cost.requests = (cost.requests or 0) + 1


_TRACE = TraceConfig()
_TRACE.on_request_start.append(_count)
_TRACE.freeze()
