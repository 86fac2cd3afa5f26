"""Check the CORS rule of a bucket for direct uploads: send a preflight, name the fix."""

from __future__ import annotations

import http.client
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from django_fsspec.core.flows import Flow, call
from django_fsspec.storage.fsspec_storage import FSSpecStorage

from .doctor import Step

_RULE = {
    "AllowedOrigins": ["{origin}"],
    "AllowedMethods": ["PUT"],
    "AllowedHeaders": ["*"],
    "ExposeHeaders": ["ETag"],
    "MaxAgeSeconds": 3600,
}
#: the adapter's extra -> the command that sets the rule
_COMMANDS = {
    "s3": "aws s3api put-bucket-cors --bucket {bucket} --cors-configuration '{s3}'",
    "gcs": "echo '{gcs}' > cors.json; gcloud storage buckets update gs://{bucket} "
    "--cors-file=cors.json",
    "azure": "az storage cors add --services b --methods PUT --origins {origin} "
    "--allowed-headers '*' --exposed-headers ETag --max-age 3600",
}


def examine(storage: FSSpecStorage, origin: str) -> Step:
    """Send the preflight of a browser on a page of `origin`: 1 request.

    The problem of the step says what is refused, and the command that allows it. Raises nothing.
    """
    started = time.perf_counter()
    problem, note = None, ""
    try:
        upload = storage.flows.run(_signed_upload(storage))
        if upload is None:
            note = "uploads go through Django: no CORS rule needed"
        else:
            refused = _preflight(upload[0], upload[1], origin)
            problem = refused and f"{refused} Run: {_command(storage, origin)}"
            note = f"browsers may upload from {origin}"
    except Exception as error:
        problem = f"{type(error).__name__}: {storage.flows.errors.hidden(str(error))}"
    return Step(title="cors", seconds=time.perf_counter() - started, problem=problem, note=note)


def _signed_upload(storage: FSSpecStorage) -> Flow[tuple[str, Sequence[str]] | None]:
    """Return a URL to upload to, and the headers that a browser sends; None without one."""
    flows = storage.flows
    if flows.adapter.direct is None or not flows.adapter.dialect.writable:
        return None
    path = flows.path(f"check-storages-{secrets.token_hex(8)}.txt")
    options = {"content_type": "text/plain"}
    signed = yield from call(
        flows.adapter.direct.sign, path, 60, size=1, options=options, sha256="00" * 32
    )
    return None if signed is None else (signed.url, sorted(map(str.lower, signed.headers)))


def _preflight(url: str, headers: Sequence[str], origin: str) -> str | None:
    """Return why a browser refuses the upload (Fetch, "CORS-preflight fetch"), or None."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    connection_class = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = connection_class(parts.netloc, timeout=30)
    try:
        request_headers = {
            "Origin": origin,
            "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": ",".join(headers),
        }
        connection.request("OPTIONS", f"{parts.path}?{parts.query}", headers=request_headers)
        response = connection.getresponse()
        response.read()
        response_headers = {name.title(): value for name, value in response.headers.items()}
        return refusal(response.status, response_headers, headers, origin)
    finally:
        connection.close()


def refusal(
    status: int, response: Mapping[str, str], headers: Sequence[str], origin: str
) -> str | None:
    """Return why the response to a preflight forbids an upload, or None where it allows it.

    `response` has header names in title case, `headers` the request's in lower case.
    """

    def listed(name: str) -> set[str]:
        return {item.strip().lower() for item in (response.get(name) or "").split(",")}

    allowed = response.get("Access-Control-Allow-Origin")
    if not 200 <= status < 300 or allowed not in ("*", origin):
        return f"Browsers may not upload from {origin} (the preflight got status {status})."
    if not listed("Access-Control-Allow-Methods") & {"put", "*"}:
        return "The method PUT is not allowed."
    names = listed("Access-Control-Allow-Headers")
    missing = [] if "*" in names else [name for name in headers if name not in names]
    return f"These headers are not allowed: {', '.join(missing)}." if missing else None


def _command(storage: FSSpecStorage, origin: str) -> str:
    rule = {key: [origin] if key == "AllowedOrigins" else value for key, value in _RULE.items()}
    gcs = {
        "origin": [origin],
        "method": ["PUT"],
        "responseHeader": ["*"],
        "maxAgeSeconds": _RULE["MaxAgeSeconds"],
    }
    template = _COMMANDS.get(storage.flows.adapter.dialect.extra or "", "{s3}")
    return template.format(
        bucket=storage.flows.root.partition("/")[0],
        origin=origin,
        s3=json.dumps({"CORSRules": [rule]}),
        gcs=json.dumps([gcs]),
    )
