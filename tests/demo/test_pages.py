"""What all pages of the demo have in common, its overview and its admin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.test import Client

from testproject import figures, measuring, seed
from testproject.models import Album, Document
from tests.demo.visit import document, picture, shown, silent, upload
from tests.helpers.utils import started
from tests.servers import SeaweedS3
from tests.soak import grounds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import DjangoAssertNumQueries, Settings

PAGES = ["/", "/documents/", "/albums/", "/overview/"]


@pytest.mark.django_db
class TestPages:
    @pytest.mark.parametrize("path", PAGES)
    def test_one_navigation_nothing_inline_a_strict_policy(
        self, browser: Client, path: str
    ) -> None:
        seed.seed_rows()
        response = browser.get(path)
        page = shown(response)
        assert page.inline == []
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert all(f'href="{other}"' in response.content.decode() for other in PAGES)
        assert f'href="{path}" aria-current="page"' in response.content.decode()

    @pytest.mark.parametrize(
        "path", ["/documents/7/delete/", "/albums/7/delete/", "/albums/7/arrange/"]
    )
    def test_buttons_take_no_get_and_need_a_token(self, browser: Client, path: str) -> None:
        assert browser.get(path).status_code == 405
        assert browser.post(path).status_code == 404
        assert Client(enforce_csrf_checks=True).post(path).status_code == 403

    @pytest.mark.parametrize("path", ["/documents/7/", "/albums/7/", f"/albums/{10**30}/"])
    def test_what_is_not_there(self, browser: Client, path: str) -> None:
        assert browser.get(path).status_code == 404
        assert browser.post(path).status_code == 404

    @pytest.mark.parametrize("page", ["0", "-1", "x", "999999999999999999999", "٣", "²"])
    def test_a_page_that_is_none(self, browser: Client, page: str) -> None:
        assert browser.get("/documents/", {"page": page}).status_code == 200


@pytest.mark.django_db
class TestOverview:
    def test_figures(
        self, browser: Client, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        sizes = range(1000, 13_000, 1000)
        Document.objects.bulk_create(
            document(
                f"{size}", ("default", "s3")[n % 2], ("a.txt", "b.png")[n % 3 == 0], bytes(size)
            )
            for n, size in enumerate(sizes)
        )
        Album.objects.create(title="A", photos=[picture(), picture()])
        with django_assert_num_queries(6):
            page = shown(browser.get("/overview/"))
        numbers = {one["label"]: one["value"] for one in page.all("figure")}
        assert numbers == {
            "Documents": "12",
            "Bytes in documents": "78000",
            "Photos in albums": "2",
        }
        bars = {
            (one["label"], one["files"], one["bytes"])
            for one in page.all("bar")
            if "data-files" in one.data
        }
        assert bars == {
            ("text/plain", "8", "56000"),
            ("image/png", "4", "22000"),
            ("Local disk", "6", "36000"),
            ("S3", "6", "42000"),
        }
        largest = [one["label"] for one in page.all("bar", chart="The 10 largest")]
        assert largest == [str(size) for size in reversed(sizes)][:10]

    def test_another_host_is_refused(self, browser: Client, settings: Settings) -> None:
        # a name that somebody else resolves to 127.0.0.1; the tests' own client adds "testserver"
        response = browser.get("/", headers={"host": "evil.example"})
        assert response.status_code == 400

    def test_of_nothing(self, browser: Client) -> None:
        page = shown(browser.get("/overview/"))
        assert [one["value"] for one in page.all("figure")] == ["0", "0", "0"]
        assert page.all("bar") == []

    def test_the_code_shown_is_the_code_that_runs(self) -> None:
        assert figures.code_of(figures.largest) == 'Document.objects.order_by("-file__size")[:10]'
        assert figures.code_of(figures.by_storage).splitlines()[:2] == [
            'Document.objects.values(label=F("file__backend"))',
            '    .annotate(files=Count("pk"), bytes=Sum("file__size"))',
        ]


@pytest.mark.django_db
class TestAdmin:
    @pytest.mark.parametrize("model", ["document", "album"])
    def test_a_list_asks_no_storage_and_no_row_twice(
        self, admin_client: Client, settings: Settings, model: str, two_storages: None
    ) -> None:
        seed.seed_rows()
        # where any request would be an error
        settings.STORAGES = {**settings.STORAGES, "default": silent(), "s3": silent()}
        with measuring.counted() as cost:
            response = admin_client.get(f"/admin/testproject/{model}/")
        assert response.status_code == 200
        assert cost.requests == 0
        few = cost.queries
        # by their JSON: a row that is copied gets a copy of its file, which is a request
        for row in list(Document.objects.all()) * 5:
            Document.objects.create(title=row.title, file=row.file.to_dict())
        for album in list(Album.objects.all()) * 5:
            photos = [photo.to_dict() for photo in album.photos]
            Album.objects.create(title=album.title, photos=photos)
        with measuring.counted() as cost:
            response = admin_client.get(f"/admin/testproject/{model}/?o=2")
        assert response.status_code == 200
        assert (cost.requests, cost.queries) == (0, few)


@pytest.fixture(scope="module")
def seaweed() -> Iterator[SeaweedS3]:
    with started(SeaweedS3) as server:
        yield server


@pytest.mark.django_db
class TestMeasuring:
    def test_requests_are_counted_by_who_makes_them(
        self, browser: Client, settings: Settings, seaweed: SeaweedS3
    ) -> None:
        options = grounds.s3_options(seaweed, grounds.folder("demo"))
        backend = "django_fsspec.storage.FSSpecStorage"
        settings.STORAGES = {**settings.STORAGES, "s3": {"BACKEND": backend, "OPTIONS": options}}
        upload(browser, "a.txt", storage="s3")
        upload(browser, "b.txt", storage="s3")
        Document.objects.bulk_create(document(str(n), "s3") for n in range(3))
        costs = {
            path: shown(browser.get(path)).cost["data-requests"]
            for path in ("/?storage=s3", "/", "/documents/", "/albums/", "/overview/")
        }
        # one list, a look at each of two files
        assert costs.pop("/?storage=s3") == "3"
        assert set(costs.values()) == {"0"}
        with measuring.counted() as cost:
            Document.objects.bulk_create(document(str(n), "s3", f"{n}.txt") for n in range(3))
        assert cost.requests == 3
