"""A forked child lets go of the connections of its parent's loops, and of nothing else."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from typing import Any

import pytest

from django_fsspec.adapters.loops import remember_loop

pytestmark = pytest.mark.once


async def closed_transport(listener: socket.socket) -> tuple[Any, int]:
    """Return a transport whose connection is closed, and the number that its socket had."""
    address = listener.getsockname()
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, *address)
    number = transport.get_extra_info("socket").fileno()
    transport.abort()
    await asyncio.sleep(0.05)
    assert transport.get_extra_info("socket").fileno() == -1
    return transport, number


def test_a_descriptor_that_was_a_connections_is_left_alone() -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    remember_loop(loop)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        work = closed_transport(listener)
        transport, number = asyncio.run_coroutine_threadsafe(work, loop).result(10)
    reading, writing = os.pipe()
    if writing != number:
        os.dup2(writing, number)
        os.close(writing)
    child = os.fork()
    if not child:
        try:
            os.write(number, b"through")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(number)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b"through"
    assert transport.is_closing()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
