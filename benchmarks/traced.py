"""Print which files of ours one save passes through: `python -m benchmarks.traced`.

Three saves, each after one of its kind: `storage.save()` on a local disk, on S3 (moto, in this
process) and a row with a `StoredObjectField`. A file counts when one of its functions is entered,
in whatever thread; comprehensions and generators that go on are not counted twice.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django
from django.conf import settings

BUCKET = "traced"
PACKAGE = "django_fsspec"


_entered: dict[Any, None] | None = None


def _profile(frame: Any, event: str, argument: Any) -> None:
    if event == "call" and _entered is not None:
        _entered.setdefault(frame.f_code)


def traced(work: Callable[[], object]) -> Counter[str]:
    """Return file -> functions of ours that `work` enters, in all threads."""
    global _entered  # noqa: PLW0603
    entered: dict[Any, None] = {}
    _entered = entered
    try:
        work()
    finally:
        _entered = None
    return Counter(
        code.co_filename.rpartition(f"/{PACKAGE}/")[2]
        for code in entered
        if f"/{PACKAGE}/" in code.co_filename
    )


def saves(storage: Any) -> tuple[Counter[str], int]:
    """Return what one `save()` enters, and how often it checks the name."""
    from django.core.files.base import ContentFile

    from django_fsspec.core import names

    checks = Counter[str]()
    check_name = names.check_name

    def counting(name: object) -> str:
        checks["names"] += 1
        return check_name(name)

    storage.save("first.txt", ContentFile(b"all is well"))
    names.check_name = counting
    try:
        storage.save("second.txt", ContentFile(b"all is well"))
    finally:
        names.check_name = check_name
    return (
        traced(lambda: storage.save("third.txt", ContentFile(b"all is well"))),
        checks["names"],
    )


def row_saves() -> Counter[str]:
    """Return what the save of a new row with one file enters."""
    from django.core.management import call_command

    from django_fsspec import FileObject
    from tests.library.models import Paper

    call_command("migrate", run_syncdb=True, verbosity=0)

    def save(name: str) -> None:
        Paper.objects.create(file=FileObject("local", name, content=b"all is well"))

    save("rows/first.txt")
    return traced(lambda: save("rows/second.txt"))


def report(title: str, files: Counter[str], remark: str = "") -> None:
    print(f"{title}: {len(files)} files, {files.total()} functions{remark}")
    for file in sorted(files):
        print(f"    {file} ({files[file]})")


def main() -> None:
    # before fsspec starts its I/O thread
    threading.setprofile(_profile)
    sys.setprofile(_profile)
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys).create_bucket(
        Bucket=BUCKET
    )
    ours = "django_fsspec.storage.FSSpecStorage"
    fs_options = {
        "key": "testing",
        "secret": "testing",
        "endpoint_url": endpoint,
        "client_kwargs": {"region_name": "us-east-1"},
    }
    with tempfile.TemporaryDirectory() as folder:
        s3 = {"fs": "s3", "prefix": BUCKET, "fs_options": fs_options}
        settings.configure(
            USE_TZ=True,
            SECRET_KEY="of a benchmark",
            INSTALLED_APPS=["django_fsspec", "tests.library"],
            DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
            STORAGES={
                "local": {
                    "BACKEND": ours,
                    "OPTIONS": {"fs": "file", "prefix": str(Path(folder, "files"))},
                },
                "s3": {"BACKEND": ours, "OPTIONS": s3},
            },
        )
        django.setup()
        from django.core.files.storage import storages

        for alias in ("local", "s3"):
            files, checks = saves(storages[alias])
            report(f"storage.save(), {alias}", files, f", the name checked {checks} times")
        report("a row with one file, local", row_saves())
    server.stop()


if __name__ == "__main__":
    main()
