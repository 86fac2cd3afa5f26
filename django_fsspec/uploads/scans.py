"""The hook `scan`: files that a scanner has to pass before anybody may download them."""

from __future__ import annotations

from django_fsspec.objects.description import PENDING, REFUSED
from django_fsspec.objects.file_object import FileObject
from django_fsspec.rows.scan_states import set_scan_state
from django_fsspec.rows.values import Ref

from .options import upload_options


def scan(file: FileObject) -> str | None:
    """Return what the hook says of a file: "pending", "refused", or "" where it passed.

    None without the hook.
    """
    hook = upload_options().hook("scan")
    if hook is None:
        return None
    passed = hook(file)
    return PENDING if passed is None else "" if passed else REFUSED


def scanned(backend: str, name: str, *, passed: bool) -> int:
    """Have the rows with a file know that a scanner passed or refused it; return their number.

    0 where no row has the file yet: then try again later, or have the hook `scan` know the result,
    which is asked again when the form is submitted. 1 query for each ``StoredObjectField``, and 2
    for each row. Raises ``DatabaseError``.
    """
    return set_scan_state(Ref(backend, name), "" if passed else REFUSED)
