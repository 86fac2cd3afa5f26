"""Before fake-gcs-server: Google as it is seen by credentials that hold no private key.

There are its machines' metadata server, the exchange of tokens of other identity providers, the
IAM Credentials API, and a storage that verifies the tokens and the signatures of URLs (V4). The
client libraries reach the first three under their real names, through a proxy of the environment.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import secrets
import select
import socket
import socketserver
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.helpers.gcs_sessions import GCSSessions
from tests.helpers.web import WebServer
from tests.servers.certificates import self_signed, server_context
from tests.servers.ports import HOST

EMAIL = "site@project.iam.gserviceaccount.com"
STORAGE = "https://www.googleapis.com/auth/devstorage.full_control"
_IAM = ("https://www.googleapis.com/auth/iam", "https://www.googleapis.com/auth/cloud-platform")
_ACCOUNT = f"/v1/projects/-/serviceAccounts/{EMAIL}"
_DATE = "%Y%m%dT%H%M%SZ"


class GoogleCloud(GCSSessions):
    """Use as a context manager, with `environment` set. `denied` is what signBlob answers."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        #: token -> whose it is and what it may be used for
        self._tokens: dict[str, tuple[str, list[str]]] = {}
        self.denied: tuple[int, str] | None = None
        #: seconds that the IAM API takes to answer
        self.pause = 0.0
        #: how many signatures were asked for
        self.signatures = 0

    def __enter__(self) -> GoogleCloud:
        pem = self_signed(self._directory, "iamcredentials.googleapis.com", "sts.googleapis.com")
        self._apis = WebServer(self._answer_api, server_context(pem)).__enter__()
        self._metadata = WebServer(self._answer_metadata).__enter__()
        self._proxy = _Proxy(self._port(self._metadata), self._port(self._apis))
        self.environment = {
            **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), self._proxy.url),
            "NO_PROXY": HOST,
            "REQUESTS_CA_BUNDLE": str(pem),
            "GOOGLE_CLOUD_PROJECT": "test",
        }
        super().__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        super().__exit__(*exc_info)
        self._proxy.close()
        self._apis.__exit__(*exc_info)
        self._metadata.__exit__(*exc_info)

    @staticmethod
    def _port(served: WebServer) -> int:
        return int(served.url.rpartition(":")[2])

    # credentials

    def compute_engine(self) -> Any:
        """Return the credentials of a machine of Google's, or of a pod on GKE."""
        from google.auth import compute_engine

        return compute_engine.Credentials(scopes=[STORAGE])  # type: ignore[no-untyped-call]

    def external_account(self, *, impersonates: bool = True) -> Any:
        """Return the credentials of another identity provider (workload identity federation)."""
        from google.auth.identity_pool import Credentials

        info = self.external_account_info(impersonates=impersonates)
        return Credentials.from_info(info, scopes=[STORAGE])  # type: ignore[no-untyped-call]

    def external_account_info(self, *, impersonates: bool = True) -> dict[str, Any]:
        """Return what the file of such credentials says."""
        token = self._directory / "token"
        token.write_text("of another provider")
        info: dict[str, Any] = {
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/"
            "workloadIdentityPools/pool/providers/provider",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "https://sts.googleapis.com/v1/token",
            "credential_source": {"file": str(token)},
        }
        if impersonates:
            info["service_account_impersonation_url"] = (
                f"https://iamcredentials.googleapis.com{_ACCOUNT}:generateAccessToken"
            )
        return info

    def impersonated(self) -> Any:
        """Return credentials that stand for the service account, by those of another."""
        from google.auth.impersonated_credentials import Credentials

        return Credentials(  # type: ignore[no-untyped-call]
            self.external_account(impersonates=False), EMAIL, [STORAGE]
        )

    def forget_tokens(self) -> None:
        """Take none of the tokens that were given any more."""
        self._tokens.clear()

    def storage_options(self, credentials: Any) -> dict[str, Any]:
        """Return OPTIONS of a storage in a folder of its own."""
        options = self.options()
        return {**options, "fs_options": {**options["fs_options"], "token": credentials}}

    # the servers

    def _token(self, owner: str, scopes: list[str]) -> str:
        token = f"token-{secrets.token_hex(8)}"
        self._tokens[token] = (owner, scopes)
        return token

    def _owner(self, request: web.Request) -> tuple[str, list[str]]:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return self._tokens.get(token, ("", []))

    async def _answer_metadata(self, request: web.Request) -> web.Response:
        headers = {"Metadata-Flavor": "Google"}
        path = request.url.path.removeprefix("/computeMetadata/v1/")
        if path.endswith("/token"):
            token = self._token(EMAIL, request.query.get("scopes", STORAGE).split(","))
            told = {"access_token": token, "expires_in": 3600, "token_type": "Bearer"}
            return web.json_response(told, headers=headers)
        if path.startswith("instance/service-accounts/"):
            return web.json_response({"email": EMAIL, "scopes": [STORAGE]}, headers=headers)
        return web.Response(status=404, headers=headers)

    async def _answer_api(self, request: web.Request) -> web.Response:
        data = await request.read()
        if request.path == "/v1/token":
            asked = dict(parse_qsl(data.decode()))
            token = self._token("other", asked["scope"].split())
            return web.json_response(
                {
                    "access_token": token,
                    "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
                    "token_type": "Bearer",
                    "expires_in": 3600,
                }
            )
        owner, scopes = self._owner(request)
        if not owner:
            return _fault(401, "Request had invalid authentication credentials.")
        if not set(scopes) & set(_IAM):
            return _fault(403, "Request had insufficient authentication scopes.")
        if request.path == f"{_ACCOUNT}:generateAccessToken":
            ends = datetime.now(UTC) + timedelta(hours=1)
            token = self._token(EMAIL, json.loads(data)["scope"])
            return web.json_response(
                {"accessToken": token, "expireTime": ends.strftime("%Y-%m-%dT%H:%M:%SZ")}
            )
        if request.path == f"{_ACCOUNT}:signBlob":
            return await self._sign(base64.b64decode(json.loads(data)["payload"]))
        return _fault(404, "Not found.")

    async def _sign(self, payload: bytes) -> web.Response:
        self.signatures += 1
        await asyncio.sleep(self.pause)
        if self.denied is not None:
            return _fault(*self.denied)
        signature = self._key.sign(payload, padding.PKCS1v15(), hashes.SHA256())
        return web.json_response(
            {"keyId": "system", "signedBlob": base64.b64encode(signature).decode()}
        )

    async def _answer(self, request: web.Request) -> web.Response:
        if "X-Goog-Signature" in request.query:
            allowed = self._is_signed(request)
        else:
            # the address of a resumable upload is its own permission
            allowed = "upload_id" in request.query or STORAGE in self._owner(request)[1]
        return await super()._answer(request) if allowed else _fault(403, "SignatureDoesNotMatch")

    def _is_signed(self, request: web.Request) -> bool:
        """Verify a URL as documented ("V4 signing process with your own program")."""
        query = request.query
        pairs = request.rel_url.raw_query_string.split("&")
        names = query["X-Goog-SignedHeaders"].split(";")
        canonical = "\n".join(
            [
                request.method,
                request.rel_url.raw_path,
                "&".join(sorted(p for p in pairs if not p.startswith("X-Goog-Signature="))),
                *(f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in names),
                "",
                ";".join(names),
                "UNSIGNED-PAYLOAD",
            ]
        )
        signer, scope = query["X-Goog-Credential"].split("/", 1)
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = "\n".join(["GOOG4-RSA-SHA256", query["X-Goog-Date"], scope, digest])
        began = datetime.strptime(query["X-Goog-Date"], _DATE).replace(tzinfo=UTC).timestamp()
        if signer != EMAIL or not began <= time.time() + 60 < began + int(query["X-Goog-Expires"]):
            return False
        try:
            self._key.public_key().verify(
                bytes.fromhex(query["X-Goog-Signature"]),
                text.encode(),
                padding.PKCS1v15(),
                hashes.SHA256(),
            )
        except InvalidSignature:
            return False
        return True


def _fault(status: int, message: str) -> web.Response:
    names = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED"}
    error = {"code": status, "message": message, "status": names.get(status, "UNAVAILABLE")}
    return web.json_response({"error": error}, status=status)


class _Proxy:
    """An HTTP proxy that takes every host over TLS for one server, and the others for another."""

    def __init__(self, plain: int, tls: int) -> None:
        proxy = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                proxy.serve(self.connection)

        self._plain, self._tls = plain, tls
        self._open: set[socket.socket] = set()
        self._server = socketserver.ThreadingTCPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://{HOST}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        for open_socket in tuple(self._open):
            with contextlib.suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)

    def serve(self, client: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        tunnel = head.startswith(b"CONNECT ")
        with socket.create_connection((HOST, self._tls if tunnel else self._plain)) as server:
            if tunnel:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                server.sendall(head)
            self._open |= {client, server}
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(OSError):
                _join(client, server)
            self._open -= {client, server}


def _join(one: socket.socket, other: socket.socket) -> None:
    """Send what comes from either to the other, until one ends."""
    while True:
        for ready in select.select([one, other], [], [])[0]:
            data = ready.recv(65536)
            if not data:
                return
            # urllib3 waits for this before it sends the body, where there is a proxy
            ready.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            (other if ready is one else one).sendall(data)
