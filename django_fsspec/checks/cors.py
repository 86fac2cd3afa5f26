"""Whether a backend lets a site's pages upload: a browser's preflight, and the rule to set."""

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
#: extra of the backend -> how its rule is set
_COMMANDS = {
    "s3": "aws s3api put-bucket-cors --bucket {bucket} --cors-configuration '{s3}'",
    "gcs": "echo '{gcs}' > cors.json; gcloud storage buckets update gs://{bucket} "
    "--cors-file=cors.json",
    "azure": "az storage cors add --services b --methods PUT --origins {origin} "
    "--allowed-headers '*' --exposed-headers ETag --max-age 3600",
}


def examine(storage: FSSpecStorage, origin: str) -> Step:
    """Ask a storage what a browser on a page of `origin` asks before an upload: 1 request.

    The step's problem tells what is refused, and the command that sets the rule.
    """
    begun = time.perf_counter()
    problem, note = None, ""
    try:
        found = storage.flows.run(_place(storage))
        if found is None:
            note = "uploads go through this site: nothing to allow"
        else:
            refused = _preflight(found[0], found[1], origin)
            problem = refused and f"{refused} Set: {_command(storage, origin)}"
            note = f"{origin} may upload"
    except Exception as error:
        problem = f"{type(error).__name__}: {storage.flows.errors.hidden(str(error))}"
    return Step(title="cors", seconds=time.perf_counter() - begun, problem=problem, note=note)


def _place(storage: FSSpecStorage) -> Flow[tuple[str, Sequence[str]] | None]:
    """Return a URL that browsers would upload to, and the headers they would send."""
    flows = storage.flows
    if flows.adapter.direct is None or not flows.adapter.dialect.writable:
        return None
    path = flows.path(f"check-storages-{secrets.token_hex(8)}.txt")
    options = {"content_type": "text/plain"}
    signed = yield from call(flows.adapter.direct.sign, path, 60, size=1, options=options)
    return None if signed is None else (signed.url, sorted(map(str.lower, signed.headers)))


def _preflight(url: str, headers: Sequence[str], origin: str) -> str | None:
    """Return what a browser would refuse (Fetch, "CORS-preflight fetch"); None if nothing."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=30)
    try:
        asked = {
            "Origin": origin,
            "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": ",".join(headers),
        }
        connection.request("OPTIONS", f"{parts.path}?{parts.query}", headers=asked)
        answer = connection.getresponse()
        answer.read()
        told = {name.title(): value for name, value in answer.headers.items()}
        return refusal(answer.status, told, headers, origin)
    finally:
        connection.close()


def refusal(
    status: int, told: Mapping[str, str], headers: Sequence[str], origin: str
) -> str | None:
    """Return why the answer to a preflight keeps a browser from uploading; None if it does not."""

    def listed(name: str) -> set[str]:
        return {item.strip().lower() for item in (told.get(name) or "").split(",")}

    allowed = told.get("Access-Control-Allow-Origin")
    if not 200 <= status < 300 or allowed not in ("*", origin):
        return f"Pages of {origin} may not upload here (the preflight got {status})."
    if not listed("Access-Control-Allow-Methods") & {"put", "*"}:
        return "PUT is not among the allowed methods."
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
