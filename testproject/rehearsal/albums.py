"""The Albums page, used as a person with a browser would."""

from __future__ import annotations

import secrets

from django_fsspec.storage.aliases import label_of

from ..browser import Item, Response
from ..listing import aliases
from ..pictures import dunes, emblem, mountains, triangles
from .part import Part, check, check_done, names_under

HTML = b"<!doctype html><script>alert(1)</script>"
#: no image is called so, and no storage takes it: it marks files that are being written
REFUSED = "picture.fsspec-part"


class AlbumsRehearsal(Part):
    """An album on each storage."""

    def prepare(self) -> None:
        self.title = f"Rehearsal {secrets.token_hex(4)}"
        self.pictures = {"a.jpg": dunes(), "b.png": emblem(), "c.jpg": triangles()}

    def run(self) -> None:
        for alias in aliases():
            self.use(alias, f"{label_of(alias)}, albums")

    def use(self, alias: str, title: str) -> None:
        step = self.steps.step
        before = names_under(alias, "albums")
        with step(f"{title}: one is made of {len(self.pictures)} pictures"):
            self.makes(alias)
        with step(f"{title}: another picture is added, all are shown, at no request"):
            self.adds(alias)
        with step(f"{title}: pictures are moved to the left and the right"):
            self.moves()
        with step(f"{title}: one is removed, its object is gone"):
            self.removes(alias)
        with step(f"{title}: HTML named .png is refused, and what came with it"):
            self.refuses(alias)
        if alias == "default":
            with step(f"{title}: the second of two can't be stored, so none is"):
                self.fails(alias)
        with step(f"{title}: the album is deleted, all its objects are gone"):
            self.deletes()
            left = names_under(alias, "albums") ^ before
            check(not left, f"The storage holds others than before: {left}.")

    # what the steps do

    def make(self, alias: str, title: str, *files: tuple[str, bytes]) -> Response:
        fields = {"title": title, "storage": alias}
        return self.browser.post("/albums/", fields, files, into="photos")

    def add(self, alias: str, *files: tuple[str, bytes]) -> Response:
        return self.browser.post(self.path, {"storage": alias}, files, into="photos")

    def photos(self) -> list[Item]:
        return self.browser.open(self.path).all("photo")

    def order(self) -> str:
        return "".join(photo["original"][0] for photo in self.photos())

    def arrange(self, photo: Item, move: str) -> None:
        page = self.browser.post(
            f"{self.path}arrange/", {"photo": photo["name"], "move": move}
        ).page
        check(not page.errors, page.errors)

    def makes(self, alias: str) -> None:
        self.browser.open("/albums/")
        response = self.make(alias, self.title, *self.pictures.items())
        check_done(response.page)
        listed = self.browser.open("/albums/").all("album", title=self.title)
        check([one["photos"] for one in listed] == ["3"], f"The list says {listed}.")
        self.path = f"/albums/{listed[0]['pk']}/"

    def adds(self, alias: str) -> None:
        check_done(self.add(alias, ("d.jpg", mountains())).page)
        page = self.browser.open(self.path)
        photos = page.all("photo", backend=alias)
        sizes = [(one.pictures[0]["width"], one.pictures[0]["height"]) for one in photos]
        expected = [("1200", "900"), ("400", "400"), ("600", "800"), ("800", "600")]
        check(sizes == expected, f"Their sizes are {sizes}.")
        check(page.cost["data-requests"] in ("", "0"), f"The page cost {page.cost}.")
        for photo, data in zip(photos, [*self.pictures.values(), mountains()], strict=True):
            body = self.browser.get(photo.pictures[0]["src"]).body
            check(body == data, f"{photo['original']}: {len(body)} other bytes came back.")

    def moves(self) -> None:
        for place, move, expected in (
            (0, "right", "bacd"),
            (3, "left", "badc"),
            (0, "left", "badc"),
            (3, "right", "badc"),
        ):
            self.arrange(self.photos()[place], move)
            check(self.order() == expected, f"{place} to the {move}: {self.order()}")

    def removes(self, alias: str) -> None:
        photo = self.photos()[1]
        self.arrange(photo, "out")
        check(self.order() == "bdc", f"The album holds {self.order()}.")
        check(photo["name"] not in names_under(alias, "albums"), "The object is still there.")
        errors = self.browser.post(
            f"{self.path}arrange/", {"photo": photo["name"], "move": "out"}
        ).page.errors
        check(errors and "not in this album" in errors[0], f"Twice: {errors}")

    def refuses(self, alias: str) -> None:
        self.stays(alias, ("good.png", emblem()), ("bad.png", HTML), said="bad.png")

    def fails(self, alias: str) -> None:
        self.stays(alias, ("good.png", emblem()), (REFUSED, emblem()), said=REFUSED)

    def stays(self, alias: str, *files: tuple[str, bytes], said: str) -> None:
        before = names_under(alias, "albums")
        for response in (self.add(alias, *files), self.make(alias, "Bad", *files)):
            errors = response.page.errors
            check(response.status == 400, f"It was answered by {response.status}.")
            check(any(said in error for error in errors), f"The page says {errors}.")
        check(names_under(alias, "albums") == before, "Something was stored.")
        check(self.order() == "bdc", f"The album holds {self.order()}.")
        check(not self.browser.open("/albums/").all("album", title="Bad"), "There is an album.")

    def deletes(self) -> None:
        photos = self.photos()
        check_done(self.browser.post(f"{self.path}delete/", {}).page)
        check(self.browser.get(self.path).status == 404, "The album is still there.")
        for photo in photos:
            status = self.browser.get(photo.links["name"]).status
            check(status == 404, f"{photo['name']} is deleted, yet its URL gives {status}.")
