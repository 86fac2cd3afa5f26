"""The admin, used as a person with a browser would."""

from __future__ import annotations

from ..seed import PASSWORD, USERNAME
from .part import Part, check


class AdminRehearsal(Part):
    """Logs in as the demo says, and looks at the lists."""

    def run(self) -> None:
        with self.steps.step("admin: the printed login works"):
            self.logs_in()
        with self.steps.step("admin: documents and albums are listed, sorted and searched"):
            self.lists()

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
