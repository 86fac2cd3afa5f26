"""The Files page, used as a person with a browser would."""

from __future__ import annotations

import secrets

from django_fsspec.storage.aliases import label_of

from ..browser import Page, Response, ShownFile
from ..listing import aliases
from ..pictures import emblem
from ..samples import RECORDING, RECORDING_SIZE, samples
from .part import Part, check

HOSTILE_FOLDERS = ("../outside", "/etc", "~root", "a//b", "a/../../b", "back\\slash", "s3://x")
HOSTILE_FILES = ("a?versionId=1.txt", "chain::x.txt", "half.fsspec-part")


class FilesRehearsal(Part):
    """Files as they lie on the storages. It works in a folder of its own, and clears it."""

    def prepare(self) -> None:
        self.folder = f"rehearsal-{secrets.token_hex(4)}"
        self.uploads = {
            "notes.txt": secrets.token_hex(500).encode(),
            "Grüße von 100 % #1 & mehr 🌍.txt": "Grüße 🌍\n".encode(),
            "picture.png": emblem(),
            "larger.bin": secrets.token_bytes(3_000_000),
        }

    def run(self) -> None:
        with self.steps.step("the page opens, with its style and script"):
            self.opens()
        for alias in aliases():
            self.use(alias, label_of(alias))
        if "s3" in aliases():
            with self.steps.step("Local disk to S3: a copy has the same bytes"):
                self.copies()
        with self.steps.step("an upload without CSRF token is refused"):
            self.guards()
        for alias in aliases():
            with self.steps.step(f"{label_of(alias)}: files are deleted, their URLs are dead"):
                self.deletes(alias)

    def use(self, alias: str, title: str) -> None:
        step = self.steps.step
        if self.seeded:
            with step(f"{title}: the samples are listed"):
                self.shows_samples(alias)
        with step(f"{title}: {len(self.uploads)} files are uploaded"):
            self.uploads_to(alias)
        with step(f"{title}: they are listed with size and type"):
            self.lists(alias)
        with step(f"{title}: their URLs give the same bytes"):
            self.follows(alias)
        with step(f"{title}: a second file of one name becomes a second file"):
            self.keeps_both(alias)
        if self.seeded:
            with step(f"{title}: a range out of the middle of 50 MB"):
                self.ranges(alias)
        with step(f"{title}: {len(HOSTILE_FOLDERS + HOSTILE_FILES)} hostile names are refused"):
            self.refuses(alias)
        with step(f"{title}: what is missing is told kindly"):
            self.misses(alias)

    # what the steps do

    def page(self, alias: str, folder: str | None = None) -> Page:
        folder = self.folder if folder is None else folder
        return self.browser.open("/", storage=alias, folder=folder)

    def upload(self, alias: str, folder: str, **files: bytes) -> Response:
        fields = {"storage": alias, "folder": folder}
        return self.browser.post("/", fields, files.items())

    def press(self, button: str, alias: str, name: str, **fields: str) -> Page:
        fields = {"storage": alias, "name": name, **fields}
        return self.browser.post(f"/{button}/", fields).page

    def opens(self) -> None:
        page = self.browser.open()
        check(page.token, "The page has no CSRF token.")
        check(len(page.assets) == 2, f"The page links {page.assets}.")
        for asset in page.assets:
            check(self.browser.get(asset).status == 200, f"{asset} is not served.")

    def shows_samples(self, alias: str) -> None:
        for sample in samples():
            folder = sample.name.rpartition("/")[0]
            shown = self.page(alias, folder).files.get(sample.name)
            check(shown and shown.size == sample.size, f"{sample.name} is shown as {shown}.")

    def uploads_to(self, alias: str) -> None:
        page = self.upload(alias, self.folder, **self.uploads).page
        check(page.messages and not page.errors, page.errors or "There is no message.")

    def lists(self, alias: str) -> None:
        files = self.page(alias).files
        expected = {f"{self.folder}/{name}": len(data) for name, data in self.uploads.items()}
        shown = {name: file.size for name, file in files.items()}
        check(shown == expected, f"The page shows {shown} instead of {expected}.")
        kind = files[f"{self.folder}/picture.png"].content_type
        check(kind == "image/png", f"The picture's type is {kind}.")

    def follows(self, alias: str) -> None:
        files = self.page(alias).files
        for name, data in self.uploads.items():
            self.gives(files[f"{self.folder}/{name}"], data)

    def gives(self, file: ShownFile, data: bytes) -> None:
        response = self.browser.get(file.url)
        check(response.status == 200, f"{file.name}: {response.status} from {file.url}")
        check(response.body == data, f"{file.name}: {len(response.body)} other bytes came back.")

    def keeps_both(self, alias: str) -> None:
        folder = f"{self.folder}/twice"
        for data in (b"first", b"second"):
            self.upload(alias, folder, **{"name.txt": data})
        files = self.page(alias, folder).files.values()
        bodies = sorted(self.browser.get(file.url).body for file in files)
        check(bodies == [b"first", b"second"], f"The two files hold {bodies}.")

    def ranges(self, alias: str) -> None:
        file = self.page(alias, "").files[RECORDING]
        sample = next(sample for sample in samples() if sample.name == RECORDING)
        start, end = RECORDING_SIZE // 2 - 500, RECORDING_SIZE // 2 + 500
        response = self.browser.get(file.url, Range=f"bytes={start}-{end - 1}")
        check(response.status == 206, f"The answer to a range is {response.status}.")
        told = response.headers.get("content-range")
        check(told == f"bytes {start}-{end - 1}/{RECORDING_SIZE}", f"Content-Range is {told}.")
        check(response.body == sample.part(start, end), "Other bytes came back.")

    def refuses(self, alias: str) -> None:
        tried = [(folder, "hostile.txt") for folder in HOSTILE_FOLDERS]
        tried += [(self.folder, name) for name in HOSTILE_FILES]
        for folder, name in tried:
            response = self.upload(alias, folder, **{name: b"hostile"})
            shown = response.status, response.page.errors
            check(response.status == 400, f"{folder!r} {name!r} was answered by {shown}.")
            check(response.page.errors, f"{folder!r} {name!r} was refused without a word.")

    def misses(self, alias: str) -> None:
        errors = self.page(alias, f"{self.folder}/no such folder").errors
        check(errors and "There is no folder" in errors[0], f"The page says {errors}.")
        for button, fields in (("delete", {}), ("copy", {"to": aliases()[-1]})):
            errors = self.press(button, alias, f"{self.folder}/none.txt", **fields).errors
            check(errors and "There is no file" in errors[0], f"{button}: the page says {errors}.")

    def copies(self) -> None:
        name = f"{self.folder}/larger.bin"
        self.press("delete", "s3", name)
        page = self.press("copy", "default", name, to="s3")
        check(page.messages and not page.errors, page.errors or "There is no message.")
        self.gives(self.page("s3").files[name], self.uploads["larger.bin"])

    def guards(self) -> None:
        fields = {"storage": "default", "folder": self.folder}
        status = self.browser.post("/", fields, [("forged.txt", b"")], token="forged").status
        check(status == 403, f"A forged upload was answered by {status}.")

    def deletes(self, alias: str) -> None:
        for folder in (f"{self.folder}/twice", self.folder):
            for file in self.page(alias, folder).files.values():
                page = self.press("delete", alias, file.name)
                check(page.messages and not page.errors, page.errors or "There is no message.")
                check(file.name not in page.files, f"{file.name} is still listed.")
                status = self.browser.get(file.url).status
                check(status == 404, f"{file.name} is deleted, yet its URL gives {status}.")
