"""Send signed requests over the connections of botocore's client, as its HTTP session does.

``AIOHTTPSession.send()`` parses the URL twice, looks for a proxy and builds a response of its
own: a sixth of the CPU that aiohttp itself needs for a HEAD. A session with a proxy, or of
another class, sends by itself.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import aiohttp
from aiobotocore.httpsession import AIOHTTPSession
from botocore import exceptions as botocores
from yarl import URL

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest

_CLOSED = (
    aiohttp.ServerDisconnectedError,
    aiohttp.ClientPayloadError,
    aiohttp.http_exceptions.BadStatusLine,
)

Send: TypeAlias = "Callable[[AWSPreparedRequest], Awaitable[Any]]"


@dataclass(slots=True)
class Received:
    """An answer as botocore's functions want it; names of headers are in lower case."""

    status_code: int
    headers: Mapping[str, str]
    raw: aiohttp.ClientResponse

    @property
    def content(self) -> Awaitable[bytes]:
        """The body, to be awaited."""
        return self.raw.read()


def sender(http: Any) -> Send:
    """Return what sends a request by botocore's HTTP session `http`, and raises what that does."""
    by_botocore: Send = http.send
    if type(http) is not AIOHTTPSession:
        return by_botocore
    try:
        session_for, proxy_for = http._get_session, http._proxy_config.proxy_url_for
    except AttributeError:
        return by_botocore
    if any(proxy_for(f"{scheme}://host/") for scheme in ("http", "https")):
        return by_botocore

    async def send(request: AWSPreparedRequest) -> Received:
        try:
            session = await session_for(None)
            response = await session.request(
                request.method,
                URL(request.url, encoded=True),
                headers={**request.headers, "Accept-Encoding": "identity"},
                data=request.body,
            )
            if not request.stream_output:
                await response.read()
        except Exception as error:
            raise _as_botocores(error, request.url) from error
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Received(response.status, headers, response)

    return send


def _as_botocores(error: Exception, url: str) -> Exception:
    """Return the exception that botocore's HTTP session raises for one of aiohttp's."""
    made: Exception = _kind_of(error)(endpoint_url=url, error=error)
    return made


def _kind_of(error: Exception) -> Any:
    if isinstance(error, aiohttp.ClientSSLError):
        return botocores.SSLError
    if isinstance(error, _CLOSED):
        return botocores.ConnectionClosedError
    if isinstance(error, aiohttp.ServerTimeoutError) and str(error).lower().startswith("connect"):
        return botocores.ConnectTimeoutError
    if isinstance(error, TimeoutError):
        return botocores.ReadTimeoutError
    if isinstance(error, aiohttp.ClientConnectionError | socket.gaierror):
        return botocores.EndpointConnectionError
    return botocores.HTTPClientError
