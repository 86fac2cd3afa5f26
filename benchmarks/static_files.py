"""collectstatic to S3, against django-storages: `python -m benchmarks.static_files`.

Both run Django's command, ours that of this app, over the same files and the same proxy with a
round trip of 20 ms. "unchanged" is the same again, "checked out" with newer times on all files.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import django

from benchmarks.table import print_table
from tests import servers
from tests.soak import grounds

LATENCY = 0.02
SIZE = 2_000


class Taken(NamedTuple):
    seconds: float
    requests: int
    writes: int


def write(folder: Path, count: int) -> None:
    """Write style sheets that refer to pictures, a tenth of all files."""
    for number in range(count):
        if number % 10:
            (folder / f"{number}.svg").write_text(f"<svg id='{number}'/>".ljust(SIZE))
        else:
            text = f".a {{ background: url('{number + 1}.svg') }}".ljust(SIZE)
            (folder / f"{number}.css").write_text(text)


def taken(proxy: servers.CountingProxy, work: Callable[[], object]) -> Taken:
    proxy.reset()
    start = time.perf_counter()
    work()
    seconds = time.perf_counter() - start
    requests = proxy.requests()
    writes = sum(request.method in ("PUT", "POST", "DELETE") for request in requests)
    return Taken(seconds, len(requests), writes)


def runs(proxy: servers.CountingProxy, config: dict[str, Any], ours: bool, folder: Path) -> Any:
    """Return what the first run takes, the same again, and again with newer files."""
    from django.contrib.staticfiles.management.commands.collectstatic import Command as Djangos
    from django.core.management import call_command
    from django.test import override_settings

    from django_fsspec.management.commands.collectstatic import Command as Ours

    command = Ours if ours else Djangos

    def collect() -> None:
        call_command(command(), interactive=False, verbosity=0)

    def collect_newer() -> None:
        later = time.time() + 3600
        for path in folder.iterdir():
            os.utime(path, (later, later))
        collect()

    with override_settings(
        STORAGES={
            "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
            "staticfiles": config,
        },
        STATICFILES_DIRS=[folder],
        STATICFILES_FINDERS=["django.contrib.staticfiles.finders.FileSystemFinder"],
    ):
        now = time.time()
        for path in folder.iterdir():
            os.utime(path, (now, now))
        return [taken(proxy, work) for work in (collect, collect, collect_newer)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    count = parser.parse_args().count
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    rows = []
    with (
        servers.SeaweedS3() as s3,
        servers.CountingProxy(s3.port, latency=LATENCY) as proxy,
        tempfile.TemporaryDirectory() as name,
    ):
        folder = Path(name)
        write(folder, count)
        peer = {
            "bucket_name": s3.bucket,
            "endpoint_url": proxy.url,
            "access_key": s3.fs_options["key"],
            "secret_key": s3.fs_options["secret"],
            "querystring_auth": False,
        }
        for kind in ("", "Manifest"):
            ours = {
                "BACKEND": f"django_fsspec.staticfiles.FSSpec{kind}StaticStorage",
                "OPTIONS": grounds.s3_options(s3, grounds.folder("static"), proxy.url),
            }
            theirs = {
                "BACKEND": f"storages.backends.s3.S3{kind}StaticStorage",
                "OPTIONS": {**peer, "location": grounds.folder("static")},
            }
            measured = zip(
                ("first", "unchanged", "checked out"),
                runs(proxy, ours, True, folder),
                runs(proxy, theirs, False, folder),
                strict=True,
            )
            for label, own, other in measured:
                rows.append(
                    (
                        f"{kind or 'plain'}, {label}",
                        f"{own.seconds:.2f} s",
                        f"{own.requests} ({own.writes})",
                        f"{other.seconds:.2f} s",
                        f"{other.requests} ({other.writes})",
                        f"{other.seconds / own.seconds:.1f}",
                    )
                )
    titles = ("run", "ours", "requests (writes)", "django-storages", "requests (writes)", "ratio")
    print(f"\n{count} files, {LATENCY * 1000:.0f} ms\n")
    print_table(titles, rows)


if __name__ == "__main__":
    main()
