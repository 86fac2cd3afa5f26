"""The admin, used as a person with a browser would."""

from __future__ import annotations

import secrets

from django.core.files.base import ContentFile

from ..models import Document
from ..placing import placed
from ..seed import PASSWORD, USERNAME
from .part import Part, check, names_under

DOCUMENTS = "/admin/testproject/document/"


class AdminRehearsal(Part):
    """Logs in as the demo says, and looks at the lists."""

    def run(self) -> None:
        with self.steps.step("admin: the printed login works"):
            self.logs_in()
        with self.steps.step("admin: documents and albums are listed, sorted and searched"):
            self.lists()
        with self.steps.step("admin: a document is moved to S3, its file on the disk is gone"):
            self.moves()

    def logs_in(self) -> None:
        self.browser.open("/admin/login/")
        fields = {"username": USERNAME, "password": PASSWORD, "next": "/admin/"}
        response = self.browser.post("/admin/login/", fields)
        check(response.url.endswith("/admin/"), f"The login led to {response.url}.")
        check(b"Site administration" in response.body, "The admin did not open.")

    def lists(self) -> None:
        for path in ("document/", "document/?o=-3.4&q=e", "album/?o=-2", "document/add/"):
            response = self.browser.get(f"/admin/testproject/{path}")
            check(response.status == 200, f"{path}: {response.status}")
            # what the admin cannot sort or search by it leaves out, on a page that says so
            check("e=1" not in response.url, f"{path} is not understood.")

    def moves(self) -> None:
        document = Document(title=f"Moved {secrets.token_hex(4)}")
        content = ContentFile(b"to be moved", name="moved.txt")
        document.file = placed(document, "file", "default", content)
        document.save()
        try:
            self.move(document)
        finally:
            document.refresh_from_db()
            document.delete()
        check(document.file.name not in names_under("s3", "documents"), "It is still on S3.")

    def move(self, document: Document) -> None:
        name = document.file.name
        chosen = {"action": "move_files", "_selected_action": str(document.pk)}
        self.browser.open(DOCUMENTS)
        asked = self.browser.post(DOCUMENTS, chosen)
        check(
            b"1 file of the selected rows will be moved" in asked.body,
            "It was not asked where to.",
        )
        self.browser.token = asked.page.token
        moved = self.browser.post(DOCUMENTS, {**chosen, "target": "s3", "delete_source": "on"})
        check(b"1 file was moved." in moved.body, "Nothing was said of it.")
        document.refresh_from_db()
        check(document.file.backend == "s3", f"The row says {document.file.backend}.")
        check(document.file.get_content() == b"to be moved", "S3 has other bytes.")
        check(name not in names_under("default", "documents"), "It is still on the disk.")
