"""Redirects of HTTP: credentials stay with the origin that they are for (Fetch, 4.4).

aiohttp sends the headers and cookies of a session, and its ``auth``, wherever a server redirects
to. fsspec's own calls use the same session, so this is a middleware of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

_REDIRECTS = (301, 302, 303, 307, 308)
#: headers of a request that say nothing of who makes it
_NEUTRAL = ("Accept-Encoding", "If-Range", "Range")


async def keep_to_origin(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Send a request; where it is redirected to another origin, follow without credentials.

    aiohttp follows redirects inside an origin itself. Raises ``InvalidUrlRedirectClientError``
    for a redirect from https to http, and for one of a request that is not GET or HEAD.
    """
    response = await _secure(request, handler)
    target = _target(response)
    if target is None or target.origin() == request.url.origin():
        return response
    response.release()
    if request.method not in ("GET", "HEAD"):
        raise _refused(request.url, target)
    return await _anonymous(request, target)


async def _secure(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Send a request; refuse a redirect from https to http."""
    response = await handler(request)
    target = _target(response)
    if target is not None and request.url.scheme == "https" and target.scheme == "http":
        response.close()
        raise _refused(request.url, target)
    return response


async def _anonymous(request: ClientRequest, target: URL) -> ClientResponse:
    """Request `target` with nothing that names us, over the connections of the same session."""
    ours = request.session
    session = aiohttp.ClientSession(
        connector=ours.connector,
        connector_owner=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=ours.timeout,
        trust_env=ours.trust_env,
        # once without credentials, always without: an origin can't send us back for a file
        middlewares=(_secure,),
    )
    headers = {name: request.headers[name] for name in _NEUTRAL if name in request.headers}
    try:
        return await session.request(
            request.method,
            target,
            headers=headers,
            # a body whose Content-Encoding was not asked for is what is stored
            auto_decompress=headers.get("Accept-Encoding") != "identity",
            ssl=request.ssl,
            proxy=request.proxy,
            proxy_auth=request.proxy_auth,
            proxy_headers=request.proxy_headers,
        )
    finally:
        session.detach()


def _target(response: ClientResponse) -> URL | None:
    """Return the absolute URL that a response redirects to, or None.

    An address that is none is left to aiohttp, which refuses it.
    """
    location = response.headers.get("Location") or response.headers.get("URI")
    if response.status not in _REDIRECTS or not location:
        return None
    try:
        target = response.url.join(URL(location))
    except ValueError:
        return None
    return target if target.scheme in ("http", "https") and target.raw_host else None


def _refused(source: URL, target: URL) -> aiohttp.InvalidUrlRedirectClientError:
    return aiohttp.InvalidUrlRedirectClientError(
        target.origin(),
        f"{source.origin()} redirects there, which is not followed: "
        "write the address where the files are in 'fs' or 'prefix'",
    )
