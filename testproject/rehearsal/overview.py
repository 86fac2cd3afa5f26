"""The Overview page: what it says, against what was uploaded."""

from __future__ import annotations

import secrets

from django_fsspec.storage.aliases import label_of

from ..browser import Page
from ..listing import aliases
from .part import Part, check, check_done

SIZES = (1_000, 20_000, 300_000)
KIND = "text/css"


class OverviewRehearsal(Part):
    """Uploads documents of known sizes, and reads the figures."""

    def run(self) -> None:
        with self.steps.step("overview: opens, at no storage request"):
            before = self.opens()
        with self.steps.step("overview: the totals are what was uploaded"):
            self.counts(before)

    def opens(self) -> Page:
        page = self.browser.open("/overview/")
        check(not page.inline, f"A strict policy forbids {page.inline}.")
        check(page.cost["data-requests"] in ("", "0"), f"The page cost {page.cost}.")
        return page

    def counts(self, before: Page) -> None:
        title, stores = secrets.token_hex(4), aliases()
        for alias in stores:
            for size in SIZES:
                fields, file = {"title": title, "storage": alias}, ("a.css", bytes(size))
                check_done(self.browser.post("/documents/", fields, [file], into="file").page)
        now = self.opens()
        number, total = len(SIZES) * len(stores), sum(SIZES) * len(stores)
        for label, more in (("Documents", number), ("Bytes in documents", total)):
            was, found = (self.figure(page, label) for page in (before, now))
            check(found == was + more, f"{label}: {found}, not {was + more}.")
        for alias in stores:
            grown = self.grown(before, now, "By storage", label_of(alias))
            check(grown == (sum(SIZES), len(SIZES)), f"{alias} has grown by {grown}.")
        grown = self.grown(before, now, "By content type", KIND)
        check(grown == (total, number), f"{KIND} has grown by {grown}.")
        largest = now.all("bar", chart="The 10 largest", label=title, bytes=str(max(SIZES)))
        check(len(largest) == len(stores), f"Among the largest are {largest}.")
        for item in self.browser.open("/documents/").all("document", title=title):
            check_done(self.browser.post(f"/documents/{item['pk']}/delete/", {}).page)
        check(self.said(self.opens()) == self.said(before), "The figures are not as before.")

    def figure(self, page: Page, label: str) -> int:
        return int(page.all("figure", label=label)[0]["value"])

    def grown(self, before: Page, now: Page, chart: str, label: str) -> tuple[int, int]:
        was, found = (self.bar(page, chart, label) for page in (before, now))
        return found[0] - was[0], found[1] - was[1]

    def bar(self, page: Page, chart: str, label: str) -> tuple[int, int]:
        found = page.all("bar", chart=chart, label=label)
        return (int(found[0]["bytes"]), int(found[0]["files"])) if found else (0, 0)

    def said(self, page: Page) -> list[object]:
        return [one.data for one in page.items]
