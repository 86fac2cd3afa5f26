"""Signed requests over botocore's connections: what goes wrong is told as botocore tells it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore.awsrequest import AWSPreparedRequest

from django_fsspec.adapters.s3.sending import Received, sender

pytestmark = pytest.mark.once

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def is_no_server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"no such protocol\r\n\r\n")
    writer.close()


async def ends_early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall")
    writer.close()


async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: e\r\n\r\nall")
    await writer.drain()
    writer.close()


def client_of(url: str, **config: Any) -> Any:
    return AioSession().create_client(
        "s3",
        config=AioConfig(read_timeout=0.2, connect_timeout=0.2, **config),
        aws_access_key_id="a",
        aws_secret_access_key="b",
        region_name="us-east-1",
        endpoint_url=url,
    )


def both(answer: Answer | None, url: str = "", **config: Any) -> list[Any]:
    """Return what botocore's own ``send()`` and ours give or raise for one request."""
    given: list[Any] = []

    connections: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        with contextlib.suppress(OSError, EOFError):
            await (answer or closes)(reader, writer)

    async def ask() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        if answer is None:
            server.close()
            await server.wait_closed()
        address = url or f"http://127.0.0.1:{port}"
        async with client_of(address, **config) as client:
            http = client._endpoint.http_session
            for send in (http.send, sender(http)):
                request = AWSPreparedRequest("PUT", f"{address}/b/k", {"a": "b"}, b"x", False)
                try:
                    given.append(await send(request))
                except Exception as error:
                    given.append(error)
        server.close()
        for writer in connections:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    asyncio.run(ask())
    return given


@pytest.mark.parametrize("answer", [None, closes, says_nothing, is_no_server, ends_early])
def test_failures_are_those_of_botocore(answer: Answer | None) -> None:
    botocores, ours = both(answer)
    assert isinstance(ours, Exception)
    assert type(ours) is type(botocores)
    assert str(ours) == str(botocores)


@pytest.mark.parametrize("url", ["http://no.such.host.invalid", "https://127.0.0.1:1"])
def test_addresses_that_lead_nowhere(url: str) -> None:
    botocores, ours = both(answers, url)
    assert type(ours) is type(botocores)
    assert str(ours) == str(botocores)


def test_an_answer() -> None:
    botocores, ours = both(answers)
    assert isinstance(ours, Received)
    assert ours.status_code == botocores.status_code == 200
    assert ours.headers == {name.lower(): value for name, value in botocores.headers.items()}
    assert asyncio.run(_content(ours)) == b"all"


async def _content(received: Received) -> bytes:
    return await received.content


def test_botocore_finds_the_way_through_a_proxy() -> None:
    _, ours = both(answers, proxies={"http": "http://127.0.0.1:1"})
    assert type(ours).__name__ == "ProxyConnectionError"


@pytest.mark.parametrize("name", ["_get_session", "_proxy_config"])
def test_a_missing_name_leaves_all_to_botocore(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    http = AIOHTTPSession()
    if name in vars(http):
        delattr(http, name)
    else:
        monkeypatch.delattr(AIOHTTPSession, name)
    assert sender(http) == http.send


def test_another_session_sends_by_itself() -> None:
    class Other(AIOHTTPSession):  # type: ignore[misc]
        pass

    http = Other()
    assert sender(http) == http.send
