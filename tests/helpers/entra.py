"""Before Azurite: an account that takes tokens of Entra ID and gives user delegation keys.

It verifies a SAS that such a key signed, by Azure's own library and the key that it gave, and
asks Azurite with one of the account key and the same permissions. Azurite's own verification of
such a SAS lags behind the library.
"""

from __future__ import annotations

import base64
import io
import secrets
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, unquote, urlencode
from xml.etree import ElementTree

import aiohttp
from aiohttp import web
from yarl import URL

from tests import servers
from tests.helpers.backends import folder, server
from tests.helpers.web import WebServer
from tests.servers.certificates import self_signed, server_context

#: parameters of a SAS, and the arguments that they were made from
_SIGNED = {
    "sp": "permission",
    "st": "start",
    "se": "expiry",
    "rscc": "cache_control",
    "rscd": "content_disposition",
    "rsce": "content_encoding",
    "rsct": "content_type",
}
_DROPPED = frozenset(("content-length", "content-encoding", "transfer-encoding"))


class EntraCredential:
    """An ``AsyncTokenCredential`` of azure-core: gives `token`, or raises `error`."""

    def __init__(self, token: str = "good-token", *, error: Exception | None = None) -> None:
        self.token, self.error = token, error

    async def get_token(self, *scopes: str, **kwargs: Any) -> Any:
        from azure.core.credentials import AccessToken

        if self.error is not None:
            raise self.error
        return AccessToken(self.token, int(time.time()) + 3600)

    async def close(self) -> None:
        """Close nothing."""

    async def __aenter__(self) -> EntraCredential:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        pass


class EntraAzure:
    """Use as a context manager. `refused` is what is answered to a request for a key."""

    def __init__(self, directory: Path) -> None:
        self._azurite = server(servers.Azurite)
        self.certificate = self_signed(directory)
        #: (start, expiry) -> the key that was given for that time
        self._keys: dict[tuple[str, str], Any] = {}
        self.refused: tuple[int, str] | None = None

    def __enter__(self) -> EntraAzure:
        context = server_context(self.certificate)
        self._server = WebServer(self._answer, context).__enter__()
        self.url = f"{self._server.url}/{self._azurite.account_name}"
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.__exit__(*exc_info)

    @property
    def keys_asked(self) -> int:
        """How many requests for a user delegation key came."""
        queries = [request.query for request in self._server.requests]
        return sum(query.get("comp") == "userdelegationkey" for query in queries)

    def options(self, credential: Any = None, **further: Any) -> dict[str, Any]:
        """Return OPTIONS of a storage in a folder of its own."""
        prefix = f"{self._azurite.container}/{folder()}"
        return {
            "fs": self._filesystem(credential or EntraCredential()),
            "prefix": prefix,
        } | further

    def _filesystem(self, credential: Any) -> Any:
        from adlfs import AzureBlobFileSystem
        from azure.storage.blob.aio import BlobServiceClient

        fs = AzureBlobFileSystem(
            account_name=self._azurite.account_name,
            account_host=self.url.removeprefix("https://"),
            credential=credential,
            skip_instance_cache=True,
        )
        # adlfs has no argument for a certificate
        fs.service_client = BlobServiceClient(
            self.url, credential, connection_verify=str(self.certificate)
        )
        return fs

    async def _answer(self, request: web.Request) -> web.Response:
        query = dict(parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True))
        if "sig" in query:
            asked = self._with_sas(unquote(request.rel_url.raw_path), query)
        else:
            asked = self._with_token(request.headers.get("Authorization", ""), query)
        if asked is None:
            return web.Response(status=403, headers={"x-ms-error-code": "AuthenticationFailed"})
        if query.get("comp") == "userdelegationkey":
            return await self._key(request)
        return await self._forward(request, asked)

    def _with_token(self, authorization: str, query: dict[str, str]) -> str | None:
        from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

        if authorization != "Bearer good-token":
            return None
        sas = generate_account_sas(
            self._azurite.account_name,
            self._azurite.account_key,
            ResourceTypes(service=True, container=True, object=True),
            AccountSasPermissions(read=True, write=True, delete=True, list=True, create=True),
            datetime.now(UTC) + timedelta(minutes=5),
        )
        return "&".join(filter(None, [urlencode(query, quote_via=quote), sas]))

    def _with_sas(self, path: str, query: dict[str, str]) -> str | None:
        """Return a query that Azurite takes, None where Azure would refuse the one that came."""
        from azure.storage.blob import generate_blob_sas

        key = self._keys.get((query.get("skt", ""), query.get("ske", "")))
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if key is None or not query["skt"] <= now < query["se"] <= query["ske"]:
            return None
        _, account, container, blob = path.split("/", 3)
        signed: dict[str, Any] = {
            _SIGNED[name]: text for name, text in query.items() if name in _SIGNED
        }
        expected = generate_blob_sas(account, container, blob, user_delegation_key=key, **signed)
        if parse_qs(expected)["sig"] != [query["sig"]]:
            return None
        known = generate_blob_sas(
            account, container, blob, account_key=self._azurite.account_key, **signed
        )
        further = {k: v for k, v in query.items() if k in ("comp", "blockid")}
        return "&".join(filter(None, [urlencode(further), known]))

    async def _key(self, request: web.Request) -> web.Response:
        from azure.storage.blob import UserDelegationKey

        if self.refused is not None:
            status, code = self.refused
            body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>"
            return web.Response(status=status, headers={"x-ms-error-code": code}, text=body)
        asked = ElementTree.fromstring(await request.read())
        ends = datetime.fromisoformat(str(asked.findtext("Expiry")))
        if ends > datetime.now(UTC) + timedelta(days=7):
            return web.Response(status=400, headers={"x-ms-error-code": "InvalidXmlNodeValue"})
        key = UserDelegationKey()  # type: ignore[no-untyped-call]
        key.signed_oid, key.signed_tid = "11059fcc-5514", "ab1f708d-50f6"
        key.signed_start, key.signed_expiry = asked.findtext("Start"), asked.findtext("Expiry")
        key.signed_service, key.signed_version = "b", request.headers["x-ms-version"]
        key.value = base64.b64encode(secrets.token_bytes(32)).decode()
        self._keys[str(key.signed_start), str(key.signed_expiry)] = key
        fields = {
            "SignedOid": key.signed_oid,
            "SignedTid": key.signed_tid,
            "SignedStart": key.signed_start,
            "SignedExpiry": key.signed_expiry,
            "SignedService": key.signed_service,
            "SignedVersion": key.signed_version,
            "Value": key.value,
        }
        inner = "".join(f"<{name}>{text}</{name}>" for name, text in fields.items())
        body = f"<?xml version='1.0'?><UserDelegationKey>{inner}</UserDelegationKey>"
        return web.Response(text=body, content_type="application/xml")

    async def _forward(self, request: web.Request, query: str) -> web.Response:
        target = URL(
            f"{self._azurite.url}{request.rel_url.raw_path}?{query}",
            encoded=True,
        )
        headers = {k: v for k, v in request.headers.items() if k not in ("Host", "Authorization")}
        # without the limit of request.read()
        data = await request.content.read()
        async with (
            aiohttp.ClientSession(auto_decompress=False) as client,
            client.request(
                request.method, target, headers=headers, data=io.BytesIO(data)
            ) as answer,
        ):
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in _DROPPED}
            return web.Response(status=answer.status, headers=kept, body=await answer.read())
