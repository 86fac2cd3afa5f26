"""The pages of albums, several pictures a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client

from django_fsspec import FileObject
from testproject.models import Album
from testproject.pictures import emblem
from tests.demo.visit import HTML, held, picture, send, shown
from tests.helpers.samples import png

if TYPE_CHECKING:
    from pytest_django import DjangoAssertNumQueries


@pytest.mark.django_db
class TestAlbums:
    def test_costs_one_query(
        self, browser: Client, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        for _ in range(3):
            send(browser, "/albums/", title="A", photos=[picture(f"{n}.png") for n in range(4)])
        with django_assert_num_queries(1):
            page = shown(browser.get("/albums/"))
        assert [one["photos"] for one in page.all("album")] == ["4"] * 3
        with django_assert_num_queries(1):
            page = shown(browser.get(f"/albums/{page.all('album')[0]['pk']}/"))
        for photo in page.all("photo"):
            shape = {key: photo.pictures[0][key] for key in ("width", "height", "loading")}
            assert shape == {"width": "4", "height": "3", "loading": "lazy"}

    @pytest.mark.parametrize(
        ("name", "data", "said"),
        [
            ("evil.png", HTML, "evil.png"),
            ("evil.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image"),
            ("a.txt", b"text", "text/plain"),
            ("cut.png", png(30, 30)[:60], "image"),
            ("empty.png", b"", "empty"),
            ("picture.fsspec-part", png(2, 2), "picture.fsspec-part"),
        ],
    )
    def test_what_is_refused_is_refused_with_all_that_came_along(
        self, browser: Client, name: str, data: bytes, said: str
    ) -> None:
        album = Album.objects.create(title="A", photos=[picture("kept.png")])
        before = held("albums")
        for path in ("/albums/", f"/albums/{album.pk}/"):
            photos = [picture("good.png"), picture(name, data)]
            response = send(browser, path, title="B", photos=photos)
            assert response.status_code == 400
            assert any(said in error for error in shown(response).errors), shown(response).errors
        assert held("albums") == before
        assert [photo.original_name for photo in Album.objects.get().photos] == ["kept.png"]

    def test_new_photos_go_where_the_others_are(self, browser: Client) -> None:
        photo = FileObject("s3", "a.png", content=emblem())
        album = Album.objects.create(title="On S3", photos=[photo])
        html = browser.get(f"/albums/{album.pk}/").content.decode()
        assert '<option value="s3" selected>' in html
        assert "New files go to" in html

    def test_nothing_to_add(self, browser: Client) -> None:
        album = Album.objects.create(title="A", photos=[picture()])
        response = send(browser, f"/albums/{album.pk}/")
        assert response.status_code == 400
        assert shown(response).errors == ["Choose at least one photo."]
        assert len(Album.objects.get().photos) == 1

    def test_an_album_without_photos(self, browser: Client) -> None:
        send(browser, "/albums/", title="A")
        assert shown(browser.get("/albums/")).all("album", photos="0")
        assert browser.get(f"/albums/{Album.objects.get().pk}/").status_code == 200

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"photo": "a.png", "move": "left"},
            {"photo": "../../etc/passwd", "move": "out"},
            {"photo": None, "move": "up"},
            {"photo": None},
        ],
    )
    def test_hostile_arrangements(self, browser: Client, fields: dict[str, Any]) -> None:
        album = Album.objects.create(title="A", photos=[picture("a.png"), picture("b.png")])
        fields = {key: value or album.photos[0].name for key, value in fields.items()}
        assert shown(send(browser, f"/albums/{album.pk}/arrange/", **fields)).errors
        assert Album.objects.get().photos == album.photos
        assert len(held("albums")) == 2
