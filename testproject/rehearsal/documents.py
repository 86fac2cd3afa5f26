"""The Documents page, used as a person with a browser would."""

from __future__ import annotations

import secrets
from contextlib import suppress
from urllib.parse import quote

from django.core.files.base import ContentFile
from django.db import transaction

from django_fsspec.storage.aliases import label_of

from ..browser import Item, Response
from ..listing import aliases
from ..models import Document
from ..pictures import emblem
from ..placing import placed
from .part import Part, check, check_done, names_under

NAME = "Grüße von 100 % & mehr 🌍.txt"
HOSTILE_NAMES = ("%%%", "🌍🌍", "..", "folder/")


class Interrupted(Exception):
    """What goes wrong in the middle of a transaction."""


class DocumentsRehearsal(Part):
    """Documents on each storage."""

    def prepare(self) -> None:
        self.mark = secrets.token_hex(4)
        self.letter = f"Grüße 🌍 {self.mark}\n".encode()

    def run(self) -> None:
        for alias in aliases():
            self.use(alias, f"{label_of(alias)}, documents")

    def use(self, alias: str, title: str) -> None:
        step = self.steps.step
        before = names_under(alias, "documents")
        if self.seeded:
            with step(f"{title}: the samples are listed, at no request"):
                self.shows_samples(alias)
        with step(f"{title}: two are uploaded and listed"):
            self.uploads(alias)
        with step(f"{title}: one goes there past the form"):
            self.goes_past(alias)
        with step(f"{title}: found by title, by original name, by type"):
            self.searches(alias)
        with step(f"{title}: a download has the same bytes and its own name"):
            self.downloads(alias)
        with step(f"{title}: of one that is replaced, the old object is gone"):
            self.replaces(alias)
        with step(f"{title}: {len(HOSTILE_NAMES) + 3} hostile uploads are refused"):
            self.refuses(alias)
        with step(f"{title}: an exception in a transaction leaves nothing"):
            self.interrupts(alias)
        with step(f"{title}: they are deleted, their objects are gone"):
            self.deletes(alias)
            left = names_under(alias, "documents") ^ before
            check(not left, f"The storage holds others than before: {left}.")

    # what the steps do

    def upload(self, alias: str, title: str, name: str, data: bytes) -> Response:
        fields = {"title": title, "storage": alias}
        return self.browser.post("/documents/", fields, [(name, data)], into="file")

    def ours(self, alias: str, **query: str) -> list[Item]:
        page = self.browser.open("/documents/", **query)
        return [one for one in page.all("document", backend=alias) if self.is_ours(one)]

    def is_ours(self, item: Item) -> bool:
        return self.mark in item["title"] or self.mark in item["original"]

    def named(self, alias: str, ending: str) -> Item:
        return next(one for one in self.ours(alias) if one["original"].endswith(ending))

    def shows_samples(self, alias: str) -> None:
        page = self.browser.open("/documents/")
        check(len(page.all("document", backend=alias)) >= 4, "There are less than 4.")
        check(page.cost["data-queries"] == "1", f"The page cost {page.cost}.")
        check(page.cost["data-requests"] == "0", f"The page cost {page.cost}.")
        check(not page.inline, f"A strict policy forbids {page.inline}.")

    def uploads(self, alias: str) -> None:
        check_done(self.upload(alias, "", f"{self.mark} {NAME}", self.letter).page)
        check_done(self.upload(alias, f"Emblem {self.mark}", "a.png", emblem()).page)
        shown = {(one["title"], one["size"], one["type"]) for one in self.ours(alias)}
        expected = {
            (f"{self.mark} {NAME}", str(len(self.letter)), "text/plain"),
            (f"Emblem {self.mark}", str(len(emblem())), "image/png"),
        }
        check(shown == expected, f"The page shows {shown} instead of {expected}.")

    def goes_past(self, alias: str) -> None:
        page = self.browser.open("/documents/")
        name = f"{self.mark}.csv"
        receipt = self.browser.upload(page, alias, name, b"1,2,3", "text/csv")
        there = names_under(alias, "documents")
        fields = {"title": "", "storage": alias, "file-receipt": receipt}
        check_done(self.browser.post("/documents/", fields).page)
        item = self.named(alias, name)
        check(item["name"] in there, f"{item['name']} was not there before its row.")
        check(self.browser.get(item.links["name"]).body == b"1,2,3", "Other bytes came back.")

    def searches(self, alias: str) -> None:
        for words, number in (
            (f"emblem {self.mark}", 1),
            (f"{self.mark} Grüße von 100 %", 1),
            ("text/pl", 1),
            ("image/", 1),
            (f"{self.mark}%", 0),
            ("plain", 0),
        ):
            found = self.ours(alias, q=words)
            check(len(found) == number, f"{words!r} finds {len(found)} of ours.")

    def downloads(self, alias: str) -> None:
        item = self.named(alias, NAME)
        response = self.browser.get(item.links["download"])
        check(response.body == self.letter, f"{len(response.body)} other bytes came back.")
        told = response.headers.get("content-disposition", "")
        called = quote(f"{self.mark} {NAME}", safe="")
        check(told == f"attachment; filename*=utf-8''{called}", f"It is called {told}.")

    def replaces(self, alias: str) -> None:
        item = self.named(alias, NAME)
        path, fields = f"/documents/{item['pk']}/", {"title": item["title"], "storage": alias}
        check_done(self.browser.post(path, fields, [("other.csv", b"1,2")], into="file").page)
        there = names_under(alias, "documents")
        check(item["name"] not in there, f"{item['name']} is still there.")
        now = self.named(alias, "other.csv")
        check(now["name"] in there, f"{now['name']} is not there.")
        check(self.browser.get(now.links["name"]).body == b"1,2", "Other bytes came back.")

    def refuses(self, alias: str) -> None:
        before = names_under(alias, "documents")
        answers = [self.upload(alias, self.mark, name, b"x") for name in HOSTILE_NAMES]
        answers.append(self.upload("staticfiles", self.mark, "a.txt", b"x"))
        answers.append(self.upload(alias, "t" * 101, "a.txt", b"x"))
        fields = {"title": self.mark, "storage": alias, "file": '{"filename": "/etc/passwd"}'}
        answers.append(self.browser.post("/documents/", fields))
        for number, response in enumerate(answers):
            shown = response.status, response.page.errors
            check(response.status == 400 and shown[1], f"Number {number} was answered by {shown}.")
        check(names_under(alias, "documents") == before, "Something was stored.")

    def interrupts(self, alias: str) -> None:
        before = names_under(alias, "documents")
        with suppress(Interrupted), transaction.atomic():
            document = Document(title=self.mark)
            document.file = placed(document, "file", alias, ContentFile(b"x", name="lost.txt"))
            document.save()
            check(document.file.exists(), "It was not stored before its row.")
            raise Interrupted
        left = names_under(alias, "documents") - before
        check(not left, f"{left} is left.")
        check(not Document.objects.filter(title=self.mark).exists(), "The row is left.")

    def deletes(self, alias: str) -> None:
        for item in self.ours(alias):
            check_done(self.browser.post(f"/documents/{item['pk']}/delete/", {}).page)
            status = self.browser.get(item.links["name"]).status
            check(status == 404, f"{item['name']} is deleted, yet its URL gives {status}.")
        check(not self.ours(alias), "They are still listed.")
