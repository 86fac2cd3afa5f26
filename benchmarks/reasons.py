"""Why a row is below 1.0: for each, a decision or a cost that is known."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import NamedTuple

from benchmarks.rows import Row


class Reason(NamedTuple):
    """Patterns of work, peer and measure, and the text, which holds down to a ratio."""

    work: str
    peer: str
    measure: str
    least: float
    text: str

    def explains(self, row: Row) -> bool:
        """Return whether it is the reason of a row."""
        pairs = ((row.work, self.work), (row.peer, self.peer), (row.measure, self.measure))
        return row.ratio >= self.least and all(fnmatchcase(*pair) for pair in pairs)


#: the first that fits counts
REASONS: tuple[Reason, ...] = (
    Reason(
        *("*", "obstore", "*", 0.01),
        "obstore is a client in Rust below the API of storages. It overwrites what is there, and "
        "computes no checksum of its own. [Decision 0037](decisions/0037-no-engine-on-obstore.md) "
        "tells what we would lose with it.",
    ),
    Reason(
        *("*", "rclone", "memory", 0.4),
        "Ours is a Python process that has imported Django and s3fs, rclone one program in Go.",
    ),
    Reason(
        *("save 64 MB from memory", "advanced-alchemy", "requests", 0.2),
        "advanced-alchemy sends one request of 64 MB. Ours sends parts of 8 MiB, so that a lost "
        "connection costs one part, and a file of any size fits into memory.",
    ),
    Reason(
        *("save 64 MB from a file", "boto3", "memory", 0.4),
        "boto3 reads each part from the file while it sends it. Ours takes any source, also one "
        "that can be read once, so it holds the parts under way: 4 of 8 MiB.",
    ),
    Reason(
        *("save 64 MB*", "*", "CPU", 0.7),
        "Ours reads the content into parts of 8 MiB, so that any source can be sent in parts.",
    ),
    Reason(
        *("save 64 MB*", "*", "time", 0.85),
        "boto3, and django-storages with it, computes the checksums of the parts in ten threads. "
        "With ours botocore does so on the event loop that all requests of the process share: the "
        "CRC32 and, over http, the sha256 of the signature take 65 ms together.",
    ),
    Reason(
        *("read 64 MB", "boto3", "*", 0.4),
        "boto3 reads from the socket in the caller's thread. Ours reads on the event loop that "
        "all requests of the process share, and hands pieces to the caller's thread: each waits "
        "for the interpreter's lock while the other has it. "
        "[Decision 0048](decisions/0048-what-is-not-the-wire.md)",
    ),
    Reason(
        *("start and one url()", "django-storages", "*", 0.4),
        "s3fs imports aiobotocore and aiohttp besides botocore, once a process.",
    ),
    Reason(
        *("manage.py check", "django-storages", "*", 0.45),
        "Ours checks the options of each alias and all file fields; django-storages has no "
        "checks. Neither imports a client library.",
    ),
    Reason(
        *("django.setup()", "django-storages", "*", 0.7),
        "Ours is an app, django-storages need not be one.",
    ),
    Reason(
        *("download *", "nginx", "*", 0.001),
        "nginx does nothing else. `FSSPEC_ACCEL_REDIRECT` has it send the files of ours, "
        "see [downloads](how-to/downloads.md).",
    ),
    Reason(
        *("download *", "*", "memory", 0.6),
        "Ours has imported fsspec, and for S3 its client.",
    ),
    Reason(
        *("download * from disk*", "whitenoise", "*", 0.3),
        "whitenoise has looked at all files when it started, and asks nobody: they are static. "
        "Ours opens a file of a storage in a view of Django.",
    ),
    Reason(
        *("download *", "FileResponse", "*", 0.4),
        "Ours answers conditions and ranges, and decides by the content what a browser may do "
        "with it; FileResponse does not.",
    ),
    Reason(
        *("download *", "Starlette", "*", 0.3),
        "A request through Django costs more than one through Starlette: for small files that "
        "is all.",
    ),
    Reason(
        *("200 streams*disk", "FileSystemStorage", "memory", 0.6),
        "Ours reads 512 kB at once, for fewer switches between threads.",
    ),
    Reason(
        *("disk: save*", "FileSystemStorage", "*", 0.7),
        "Ours computes a sha256 and creates the file so that no reader sees half of it. "
        "[Decision 0007](decisions/0007-local-files.md)",
    ),
    Reason(
        *("disk*", "FileSystemStorage", "*", 0.85),
        "Ours checks more of a name, and translates errors: a microsecond or two. "
        "[Decision 0007](decisions/0007-local-files.md)",
    ),
    Reason(
        *("memory*", "InMemoryStorage", "*", 0.02),
        "Ours takes the same steps as on a remote filesystem, so that tests of a site see what "
        "production does, and copies what it reads. InMemoryStorage hands out the bytes it holds.",
    ),
)


def is_below(row: Row) -> bool:
    """Return whether the peer is better, to the two digits that are shown."""
    return round(row.ratio, 2) < 1


def reason_of(row: Row) -> str | None:
    """Return why a row is below 1.0, or None."""
    return next((reason.text for reason in REASONS if reason.explains(row)), None)
