"""What a page costs: database queries and requests to S3, counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from django.db import connection
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
    """Have the S3 client behind an alias, if it is one, count each request that it sends.

    Not by an event of botocore: small requests pass by its machinery.
    """
    fs = getattr(storage_of(alias).flows.adapter, "fs", None)
    if not isinstance(fs, S3FileSystem):
        return False
    session = fs.connect()._endpoint.http_session
    if "send" not in vars(session):
        session.send = _counting_each(session.send)
    return True


def _counting_each(send: Callable[..., Any]) -> Callable[..., Any]:
    def sending(*arguments: Any) -> Any:
        # the context of whoever calls a storage goes along to the thread that sends
        cost = _counting.get()
        if cost is not None:
            cost.requests = (cost.requests or 0) + 1
        return send(*arguments)

    return sending
