"""HTTP requests per operation against django-storages: `python -m benchmarks.wire`.

Both talk to the same SeaweedFS through a proxy that counts. The budget is the design's; the
tests assert it (tests/adapters/test_s3_requests.py).
"""

from __future__ import annotations

import argparse
from typing import Any

import django
from django.conf import settings
from django.core.files.storage import Storage

from benchmarks.table import print_table
from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.soak import grounds, wire


def peer(s3: servers.S3Server, folder: str, endpoint: str) -> Storage:
    """Return django-storages' S3Storage, told not to overwrite, as Django's own does not."""
    from storages.backends.s3 import S3Storage

    storage: Storage = S3Storage(
        access_key=s3.key,
        secret_key=s3.secret,
        bucket_name=s3.bucket,
        endpoint_url=endpoint,
        region_name="us-east-1",
        location=folder,
        addressing_style="path",
        signature_version="s3v4",
        file_overwrite=False,
    )
    return storage


def table(s3: servers.S3Server, proxy: servers.CountingProxy) -> list[list[Any]]:
    """Return operation, ours, theirs, budget for every operation."""
    storages: dict[str, Storage] = {}
    for name in ("ours", "theirs"):
        folder = grounds.folder(name)
        wire.seed(s3, folder, many=True)
        if name == "ours":
            storages[name] = FSSpecStorage(**grounds.s3_options(s3, folder, proxy.url))
        else:
            storages[name] = peer(s3, folder, proxy.url)
    return [
        [operation.label, f"{made['ours']:,}", f"{made['theirs']:,}", f"{operation.budget:,}"]
        for operation, made in wire.counts(proxy, storages)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    settings.configure(USE_TZ=True)
    django.setup()
    with servers.SeaweedS3() as s3, servers.CountingProxy(s3.port) as proxy:
        rows = table(s3, proxy)
    head = ["operation, requests", "django-fsspec-storage", "django-storages", "budget"]
    print_table(head, rows, markdown=options.markdown)
    over = [row[0] for row in rows if int(row[1].replace(",", "")) > int(row[3].replace(",", ""))]
    print(f"\nOver the budget: {', '.join(over) or 'nothing'}.")


if __name__ == "__main__":
    main()
