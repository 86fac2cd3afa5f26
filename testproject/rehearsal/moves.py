"""Documents moved to the other storage by a command, and back by the reverse one."""

from __future__ import annotations

import io
import secrets

from django.core.files.base import ContentFile
from django.core.management import call_command

from ..models import Document
from ..placing import placed
from .part import Part, check, names_under


class MovesRehearsal(Part):
    """All documents of the disk go to S3, and come back."""

    def prepare(self) -> None:
        """Have a document there where there are no samples."""
        self.own = Document(title=f"Moved {secrets.token_hex(4)}")
        content = ContentFile(b"there and back", name="moved.txt")
        self.own.file = placed(self.own, "file", "default", content)

    def run(self) -> None:
        self.own.save()
        try:
            here = self.held("default")
            with self.steps.step("migrate_files: the documents on the disk go to S3, verified"):
                self.move("default", "s3", here)
            with self.steps.step("migrate_files: the reverse command brings them back"):
                self.move("s3", "default", here)
                check(self.held("default") == here, "They are not what they were.")
        finally:
            self.own.delete()

    def held(self, alias: str) -> dict[int, str]:
        """Return the names of the files that documents have on a storage."""
        rows = Document.objects.filter(file__backend=alias)
        return dict(rows.values_list("pk", "file__filename"))

    def move(self, source: str, target: str, rows: dict[int, str]) -> None:
        out = io.StringIO()
        call_command(
            *("migrate_files", "testproject.Document", "--from", source, "--to", target),
            *("--filter", f"pk__in={','.join(map(str, rows))}", "--delete-source"),
            stdout=out,
        )
        check(f"{'moved':24}{len(rows):>10}" in out.getvalue(), out.getvalue())
        found = Document.objects.in_bulk(rows)
        for document in found.values():
            check(document.file.backend == target, f"{document} is on {document.file.backend}.")
            check(document.file.verify(), f"{document} has other bytes on {target}.")
        left = names_under(source, "documents") & set(rows.values())
        check(not left, f"{source} still has {left}.")
        for pk in rows:
            response = self.browser.get(f"/documents/{pk}/")
            check(response.status == 200, f"Document {pk}: {response.status}")
