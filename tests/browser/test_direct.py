"""Direct uploads in a browser: past the form, by way of the site or straight to S3."""

from __future__ import annotations

import hashlib
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from django.core.files.storage import storages
from django.core.signals import request_started

from django_fsspec.rows.claims import FOLDER
from tests import servers
from tests.browser.conftest import Look, until
from tests.browser.test_input import LIVE, labels, opened, save, saved
from tests.helpers.backends import backends_named, folder, server
from tests.helpers.gcs_sessions import GCSSessions
from tests.helpers.samples import png
from tests.helpers.utils import started
from tests.library.models import Paper
from tests.soak import grounds
from tests.soak.memory import Generated
from tests.soak.readers import forget_peak, resident

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page
    from pytest_django import Settings
    from pytest_django.live_server_helper import LiveServer

MIB = 1024 * 1024


class Traffic:
    """The requests of direct uploads; the first `troubles` of those with bytes fail."""

    def __init__(self, page: Page) -> None:
        self.troubles: list[int] = []
        self.seen: list[str] = []
        #: bytes that came with the form
        self.sent: list[int] = []
        page.on("request", self._note)
        page.route("**/files/upload/**", self._serve)

    def _note(self, request: Any) -> None:
        if request.method == "POST" and "/forms/" in request.url:
            self.sent.append(len(request.post_data_buffer or b""))
        found = re.search(r"/files/(upload(?=/)|uploads/\w+)", request.url)
        if found:
            self.seen.append(found[1])

    def _serve(self, route: Any) -> None:
        if self.troubles:
            route.fulfill(status=self.troubles.pop(0))
        else:
            route.continue_()


def slow_line(page: Page, speed: int = 200_000) -> None:
    """Upload so many bytes a second from now on, -1 for as many as there can be."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1}
    session.send("Network.emulateNetworkConditions", {**limits, "uploadThroughput": speed})


@pytest.mark.usefixtures("site")
class TestByTheSite:
    @pytest.fixture
    def traffic(self, page: Page) -> Traffic:
        return Traffic(page)

    def test_bytes_then_a_receipt(self, page: Page, samples: Path, traffic: Traffic) -> None:
        widget = opened(page, "/forms/direct/")
        widget.locator("[data-input]").set_input_files(samples / "half a megabyte.bin")
        saved(page)
        assert traffic.seen == ["uploads/start", "upload", "uploads/finish"]
        file = Paper.objects.get().file
        assert (file.size, file.original_name) == (500_000, "half a megabyte.bin")
        assert file.checksum == f"sha256:{hashlib.sha256(bytes(500_000)).hexdigest()}"
        # the bytes did not come with the form as well
        assert max(traffic.sent) < 5000

    def test_one_flipped_byte(self, page: Page, samples: Path) -> None:
        page.expected = ["400"]  # type: ignore[attr-defined]
        widget = opened(page, "/forms/direct/")
        flipped = bytes([1]) + bytes(499_999)
        page.route("**/files/upload/**", lambda route: route.continue_(post_data=flipped))
        widget.locator("[data-input]").set_input_files(samples / "half a megabyte.bin")
        page.get_by_text("refused the upload (400)").wait_for()
        assert [stat.name for stat in storages["default"].walk()] == []  # type: ignore[attr-defined]

    def test_too_many_at_once(
        self, page: Page, samples: Path, traffic: Traffic, settings: Settings
    ) -> None:
        page.expected = ["429"]  # type: ignore[attr-defined]
        settings.FSSPEC_UPLOADS = {"max_open": 1}
        cache.clear()
        widget = opened(page, "/forms/direct%20shelf/")
        widget.locator("[data-input]").set_input_files([samples / "a.txt", samples / "b.txt"])
        widget.get_by_text("too many uploads wait for their form").wait_for()
        # at once: it is not tried again
        assert traffic.seen.count("uploads/start") == 2
        assert "connection was lost" not in widget.inner_text()
        widget.locator("[data-card]", has_text="Not uploaded").get_by_role(
            "button", name="Remove"
        ).click()
        saved(page)
        cache.clear()

    @pytest.mark.parametrize(
        ("hook", "status", "says"),
        [
            ("scan", "422", "“a.png” did not pass the check of this site and was deleted."),
            ("may_upload", "403", "“a.png”: You may not upload files here."),
            ("", "415", "“a.png” was refused: its content is not of an allowed type"),
        ],
        ids=["scan", "may_upload", "content"],
    )
    def test_a_refusal_for_good_says_why(
        self, page: Page, tmp_path: Path, settings: Settings, hook: str, status: str, says: str
    ) -> None:
        page.expected = [status]  # type: ignore[attr-defined]
        settings.FSSPEC_UPLOADS = {hook: lambda *asked: False} if hook else {}
        content = png(2, 2) if hook else b"<!DOCTYPE html><script>"
        (tmp_path / "a.png").write_bytes(content)
        widget = opened(page, "/forms/direct%20photo/")
        widget.locator("[data-input]").set_input_files(tmp_path / "a.png")
        widget.get_by_text(says).wait_for()
        widget.get_by_text("Not uploaded. Choose another file, or take this one out.").wait_for()

    def test_goes_on_where_it_was(self, page: Page, samples: Path, traffic: Traffic) -> None:
        page.expected = ["503", "500"]  # type: ignore[attr-defined]
        widget = opened(page, "/forms/direct/")
        traffic.troubles += [503, 500]
        widget.locator("[data-input]").set_input_files(samples / "half a megabyte.bin")
        saved(page)
        assert traffic.seen == ["uploads/start", *["upload"] * 3, "uploads/finish"]
        assert Paper.objects.get().file.size == 500_000

    def test_another_input_says_where(self, page: Page, samples: Path, traffic: Traffic) -> None:
        page.expected = ["403", "404"]  # type: ignore[attr-defined]
        widget = opened(page, "/forms/choosy/")
        widget.locator("[data-input]").set_input_files(samples / "a.txt")
        traffic.troubles.append(403)
        page.get_by_label("Storage").select_option("default")
        page.get_by_text("refused the upload (403)").wait_for()
        page.get_by_label("Storage").select_option("second")
        saved(page)
        once = ["uploads/start", "upload", "uploads/finish"]
        assert traffic.seen == once * 2
        file = Paper.objects.get().file
        assert (file.backend, file.get_content()) == ("second", b"This is a.txt.")

    def test_another_input_says_with_the_form(
        self, page: Page, samples: Path, traffic: Traffic
    ) -> None:
        widget = opened(page, "/forms/choosy/")
        widget.locator("[data-input]").set_input_files(samples / "a.txt")
        saved(page)
        assert traffic.seen == []
        assert Paper.objects.get().file.get_content() == b"This is a.txt."

    def test_given_up_for_good(self, page: Page, samples: Path, traffic: Traffic) -> None:
        page.expected = ["403", "404"]  # type: ignore[attr-defined]
        widget = opened(page, "/forms/direct/")
        traffic.troubles += [403, 403]
        widget.locator("[data-input]").set_input_files(samples / "a.txt")
        page.get_by_text("refused the upload (403)").wait_for()
        # asked whether it is there all the same
        assert traffic.seen == ["uploads/start", "upload", "uploads/finish"]
        save(page)
        until(page, "!document.querySelector('[data-faults] p')")
        page.get_by_text("refused the upload (403)").wait_for()
        assert traffic.seen == ["uploads/start", "upload", "uploads/finish"] * 2
        assert traffic.sent == []
        assert not Paper.objects.exists()

    def test_kept_when_the_form_is_wrong_elsewhere(
        self, page: Page, samples: Path, traffic: Traffic
    ) -> None:
        widget = opened(page, "/forms/direct/")
        widget.locator("[data-input]").set_input_files(samples / "a.txt")
        page.get_by_label("Word").fill("wrong")
        save(page)
        page.get_by_text("That is not the right word.").wait_for()
        page.wait_for_selector(LIVE)
        assert labels(page.locator(LIVE)) == ["a.txt"]
        page.get_by_label("Word").fill("right")
        saved(page)
        assert traffic.seen == ["uploads/start", "upload", "uploads/finish"]
        assert Paper.objects.get().file.get_content() == b"This is a.txt."


@pytest.mark.usefixtures("site")
def test_the_sha_256_of_the_script(page: Page) -> None:
    opened(page, "/forms/direct/")
    script = """async (length) => {
      const { sha256 } = await import("/static/django_fsspec/sha256.js");
      const bytes = Uint8Array.from({ length }, (_, i) => (i * i) % 251);
      return sha256(new Blob([bytes]));
    }"""
    # around the sizes of blocks, and of what is read at a time
    for length in (0, 1, 55, 56, 63, 64, 65, 120, 512 * 1024 - 1, 512 * 1024 + 57):
        data = bytes(i * i % 251 for i in range(length))
        assert page.evaluate(script, length) == hashlib.sha256(data).hexdigest()


@pytest.mark.usefixtures("site")
class TestOnTheWay:
    @pytest.fixture
    def slow(self, page: Page) -> None:
        slow_line(page)

    def test_progress_while_the_submit_is_held(
        self, page: Page, samples: Path, slow: None, sees: Callable[..., None]
    ) -> None:
        widget = opened(page, "/forms/direct/")
        widget.locator("[data-input]").set_input_files(samples / "half a megabyte.bin")
        save(page)
        until(page, "document.querySelector('progress').value > 0.1")
        assert re.search(r"\d+ %, [\d.]+\s\w+/s, \d+ sec left", widget.inner_text())
        assert page.evaluate("document.querySelector('[data-drop]').inert")
        sees()
        save(page)
        page.get_by_text("Saved.").wait_for()
        assert Paper.objects.count() == 1

    def test_a_file_removed_while_the_submit_is_held(
        self, page: Page, samples: Path, slow: None
    ) -> None:
        widget = opened(page, "/forms/direct/")
        widget.locator("[data-input]").set_input_files(samples / "half a megabyte.bin")
        save(page)
        until(page, "document.querySelector('progress').value > 0.1")
        widget.get_by_role("button", name="Remove").click()
        page.get_by_text("The upload of half a megabyte.bin was cancelled.").wait_for()
        # what was submitted is not what is shown any more
        assert not Paper.objects.exists()
        assert labels(widget) == []
        saved(page)
        assert Paper.objects.get().file is None


class Bucket:
    """A folder on S3, by way of a proxy that knows what passed; and what the site got."""

    def __init__(self, origin: str) -> None:
        #: how long the bodies were that came to the site
        self.bodies: list[int] = []
        request_started.connect(self._note)
        self.s3 = server(servers.SeaweedS3)
        self.proxy = started(servers.CountingProxy, self.s3.port)
        self.folder = grounds.folder("direct")
        self.client = self.s3.boto3_client()
        self.let_in(origin)
        self.options = grounds.s3_options(self.s3, self.folder, self.proxy.url)

    def _note(self, environ: dict[str, str], **_: Any) -> None:
        self.bodies.append(int(environ.get("CONTENT_LENGTH") or 0))

    def let_in(self, origin: str) -> None:
        """Allow uploads to pages of one origin."""
        rule = {"AllowedOrigins": [origin], "AllowedMethods": ["PUT"], "AllowedHeaders": ["*"]}
        self.client.put_bucket_cors(Bucket=self.s3.bucket, CORSConfiguration={"CORSRules": [rule]})

    def close(self) -> None:
        request_started.disconnect(self._note)
        self.client.delete_bucket_cors(Bucket=self.s3.bucket)
        self.client.close()
        self.proxy.stop()

    def puts(self) -> list[str]:
        """Return the parts that were sent over the wire, "" for a whole file."""
        puts = [one.target for one in self.proxy.requests() if one.method == "PUT"]
        # without claims of rows, which the site stores
        sent = [target for target in puts if FOLDER not in target]
        return [found[1] if (found := re.search(r"partNumber=(\d+)", one)) else "" for one in sent]

    def has_exactly(self, data: bytes) -> bool:
        """Whether one object is in the folder, and has these bytes."""
        found = grounds.s3_files(self.s3, self.folder)
        return [hashlib.sha256(one).digest() for one in found.values()] == [
            hashlib.sha256(data).digest()
        ]


class Straight:
    @pytest.fixture
    def context(
        self, chromium: Browser, look: Look, live_server: LiveServer
    ) -> Iterator[BrowserContext]:
        """A browser whose requests nobody answers for: preflights are the bucket's."""
        made = chromium.new_context(
            base_url=live_server.url,
            color_scheme="dark" if look.theme == "dark" else "light",
            viewport={"width": look.width, "height": 800},
        )
        made.set_default_timeout(20_000)
        yield made
        made.close()

    @pytest.fixture
    def twelve(self, tmp_path: Path) -> Path:
        """A file of three parts, no block of which is like another."""
        path = tmp_path / "twelve.bin"
        path.write_bytes(b"".join(n.to_bytes(8, "big") * 512 for n in range(3000)))
        return path

    def choose(self, page: Page, path: Path) -> None:
        with page.expect_response("**/forms/direct/") as answer:
            widget = opened(page, "/forms/direct/")
        assert "'self'" in answer.value.headers["content-security-policy"]
        widget.locator("[data-input]").set_input_files(path)


@pytest.mark.usefixtures("site")
class TestStraightToOthers(Straight):
    """To Azure and Google Cloud Storage, whose pages are of other origins too."""

    @pytest.fixture(params=["azure", "gcs"])
    def host(
        self, request: pytest.FixtureRequest, settings: Settings, live_server: LiveServer
    ) -> Iterator[str]:
        azure = request.param == "azure"
        with GCSSessions() as gcs:
            (backend,) = backends_named("azure (azurite)")
            options = backend.options(folder()) if azure else gcs.options()
            storage = {
                "BACKEND": "django_fsspec.storage.FSSpecStorage",
                "OPTIONS": {**options, "chunk_size": 5 * MIB},
            }
            settings.STORAGES = {**django_settings.STORAGES, "default": storage}
            if azure:
                _let_into_azure(live_server.url)
            settings.UPLOAD_HOST = server(servers.Azurite).url if azure else gcs.url
            yield settings.UPLOAD_HOST

    def test_a_file(self, page: Page, host: str, samples: Path) -> None:
        sent: list[str] = []
        page.on("request", lambda one: sent.append(f"{one.method} {one.url[: len(host)]}"))
        self.choose(page, samples / "half a megabyte.bin")
        saved(page)
        assert sent.count(f"PUT {host}") == 1
        file = Paper.objects.get().file
        assert (file.size, file.original_name) == (500_000, "half a megabyte.bin")
        assert file.get_content() == bytes(500_000)

    def test_a_reload_resumes(self, page: Page, host: str, twelve: Path) -> None:
        page.on("dialog", lambda dialog: dialog.accept())
        arrived: list[int] = []
        sent: list[str] = []

        def is_part(answer: Any) -> bool:
            good = answer.request.method == "PUT" and answer.status in (200, 201, 308)
            arrived.extend([answer.status] * good)
            return good

        slow_line(page, 3 * MIB)
        with page.expect_response(is_part):
            self.choose(page, twelve)
        page.reload()
        page.wait_for_selector(LIVE)
        slow_line(page, -1)
        page.on("request", lambda one: sent.extend([one.url] * (one.method == "PUT")))
        page.locator("[data-input]").set_input_files(twelve)
        saved(page)
        # those alone that had not arrived; of a second one the answer may have been lost
        assert 1 <= len(sent) <= 3 - len(arrived) == 2
        file = Paper.objects.get().file
        assert file.get_content() == twelve.read_bytes()
        # computed by the browser alone
        assert file.verify()


def _let_into_azure(origin: str) -> None:
    from azure.storage.blob import CorsRule

    rule = CorsRule([origin], ["PUT"], allowed_headers=["*"], max_age_in_seconds=60)
    with server(servers.Azurite).client() as client:
        client.set_service_properties(cors=[rule])


@pytest.mark.usefixtures("site")
class TestByTheSiteInParts(Straight):
    @pytest.mark.parametrize(
        "name", ["local", pytest.param("sftp (OpenSSH)", marks=pytest.mark.slow)]
    )
    def test_a_reload_resumes(
        self, page: Page, twelve: Path, settings: Settings, name: str
    ) -> None:
        options = {**backends_named(name)[0].options(folder()), "chunk_size": MIB}
        storage = {"BACKEND": "django_fsspec.storage.FSSpecStorage", "OPTIONS": options}
        settings.STORAGES = {**django_settings.STORAGES, "default": storage}
        page.on("dialog", lambda dialog: dialog.accept())
        sent: list[tuple[int, int]] = []

        def note(request: Any) -> None:
            if request.method == "PATCH":
                length = int(request.all_headers()["content-length"])
                sent.append((int(request.headers["upload-offset"]), length))

        four = twelve.with_name("four.bin")
        four.write_bytes(twelve.read_bytes()[: 7 * MIB // 2])
        slow_line(page, 2 * MIB)
        with page.expect_response("**/uploads/tus/**"):
            self.choose(page, four)
        until(page, "document.querySelector('progress').value > 0.5")
        page.reload()
        page.wait_for_selector(LIVE)
        page.on("request", note)
        slow_line(page, -1)
        page.locator("[data-input]").set_input_files(four)
        saved(page)
        size = four.stat().st_size
        # the first part, and what came of the second
        assert sent[0][0] > MIB
        assert sum(length for _, length in sent) == size - sent[0][0]
        file = Paper.objects.get().file
        assert file.get_content() == four.read_bytes()
        assert file.checksum == f"sha256:{hashlib.sha256(four.read_bytes()).hexdigest()}"
        assert [stat.name for stat in storages["default"].walk()] == [file.name]  # type: ignore[attr-defined]


def check_resumed(bucket: Bucket) -> None:
    """Check that the last part, which had arrived, was not sent again."""
    puts = Counter(bucket.puts())
    assert puts.keys() == {"1", "2", "3"}
    assert puts["3"] == 1
    # on a busy machine the others may have arrived, too
    assert max(puts.values()) <= 2


@pytest.mark.usefixtures("site")
class TestStraightToS3(Straight):
    @pytest.fixture
    def bucket(self, site: Path, settings: Settings, live_server: LiveServer) -> Iterator[Bucket]:
        made = Bucket(live_server.url)
        storage = {
            "BACKEND": "django_fsspec.storage.FSSpecStorage",
            "OPTIONS": {**made.options, "chunk_size": 5 * MIB},
        }
        settings.STORAGES = {**django_settings.STORAGES, "default": storage}
        settings.UPLOAD_HOST = made.proxy.url
        yield made
        made.close()

    def choose_until_the_last_part(self, page: Page, path: Path) -> None:
        """Return once the last part, which is short, has arrived; the others are on their way."""
        with page.expect_response(lambda answer: "partNumber=3" in answer.url):
            self.choose(page, path)

    def test_a_small_file_in_one_piece(self, page: Page, bucket: Bucket, samples: Path) -> None:
        self.choose(page, samples / "half a megabyte.bin")
        saved(page)
        assert bucket.puts() == [""]
        # asked by the browser, answered by the bucket
        assert "OPTIONS" in [one.method for one in bucket.proxy.requests()]
        assert bucket.has_exactly(bytes(500_000))
        assert Paper.objects.get().file.size == 500_000
        assert max(bucket.bodies) < 5000

    def test_a_bucket_that_lets_others_in_takes_nothing(
        self, page: Page, bucket: Bucket, samples: Path
    ) -> None:
        page.expected = ["CORS", "ERR_FAILED"]  # type: ignore[attr-defined]
        bucket.let_in("https://other.example")
        self.choose(page, samples / "a.txt")
        page.get_by_text("The connection was lost.").wait_for()
        assert bucket.puts() == []

    def test_a_part_that_fails_is_sent_again(
        self, page: Page, bucket: Bucket, twelve: Path
    ) -> None:
        page.expected = ["ERR_FAILED"]  # type: ignore[attr-defined]
        asked: list[str] = []

        def fail_once(route: Any) -> None:
            asked.append(re.search(r"partNumber=(\d)", route.request.url)[1])  # type: ignore[index]
            if asked.count("2") == 1 and asked[-1] == "2":
                route.abort()
            else:
                route.continue_()

        page.route("**/*partNumber=*", fail_once)
        self.choose(page, twelve)
        saved(page)
        assert sorted(asked) == ["1", "2", "2", "3"]
        assert sorted(bucket.puts()) == ["1", "2", "3"]
        assert bucket.has_exactly(twelve.read_bytes())
        assert max(bucket.bodies) < 5000

    def test_a_browser_that_was_offline_goes_on(
        self, page: Page, bucket: Bucket, twelve: Path
    ) -> None:
        page.expected = ["ERR_"]  # type: ignore[attr-defined]
        bucket.proxy.shape(bandwidth=2 * MIB)
        self.choose_until_the_last_part(page, twelve)
        save(page)
        page.context.set_offline(True)
        # what is on its way breaks off too, as it does where a line is cut
        bucket.proxy.set_down(True)
        page.get_by_text("The connection was lost.").wait_for()
        assert sorted(bucket.puts()) == ["1", "2", "3"]
        bucket.proxy.shape()
        bucket.proxy.set_down(False)
        page.context.set_offline(False)
        page.get_by_text("Saved.").wait_for()
        check_resumed(bucket)
        assert bucket.has_exactly(twelve.read_bytes())
        assert max(bucket.bodies) < 5000

    def test_a_reload_resumes(self, page: Page, bucket: Bucket, twelve: Path) -> None:
        page.on("dialog", lambda dialog: dialog.accept())
        bucket.proxy.shape(bandwidth=2 * MIB)
        self.choose_until_the_last_part(page, twelve)
        assert sorted(bucket.puts()) == ["1", "2", "3"]
        page.reload()
        page.wait_for_selector(LIVE)
        bucket.proxy.shape()
        page.locator("[data-input]").set_input_files(twelve)
        saved(page)
        check_resumed(bucket)
        assert bucket.has_exactly(twelve.read_bytes())

    def test_urls_that_expire_meanwhile(
        self, page: Page, bucket: Bucket, twelve: Path, settings: Settings
    ) -> None:
        page.expected = ["ERR_", "403", "CORS"]  # type: ignore[attr-defined]
        settings.STORAGES["default"]["OPTIONS"]["url_expires_in"] = 3
        settings.STORAGES = {**settings.STORAGES}
        bucket.proxy.shape(bandwidth=2 * MIB)
        self.choose(page, twelve)
        until(page, "document.querySelector('progress').value > 0.3")
        bucket.proxy.set_down(True)
        page.wait_for_timeout(3500)
        bucket.proxy.shape()
        bucket.proxy.set_down(False)
        saved(page)
        assert bucket.has_exactly(twelve.read_bytes())

    def test_a_removed_file_leaves_nothing(self, page: Page, bucket: Bucket, twelve: Path) -> None:
        bucket.proxy.shape(bandwidth=2 * MIB)
        self.choose(page, twelve)
        until(page, "document.querySelector('progress').value > 0.1")
        with page.expect_response("**/uploads/abort") as answer:
            page.get_by_role("button", name="Remove").click()
        assert answer.value.json() == {"aborted": True}
        page.get_by_text("The upload of twelve.bin was cancelled.").wait_for()
        assert "Uploads" not in bucket.client.list_multipart_uploads(Bucket=bucket.s3.bucket)
        saved(page)
        assert Paper.objects.get().file is None
        assert grounds.s3_files(bucket.s3, bucket.folder) == {}

    def test_a_file_removed_while_it_is_begun_leaves_nothing(
        self, page: Page, bucket: Bucket, twelve: Path
    ) -> None:
        held: list[Any] = []
        page.route("**/uploads/start", lambda route: held.append(route))  # noqa: PLW0108
        self.choose(page, twelve)
        while not held:
            page.wait_for_timeout(20)
        answer = held[0].fetch()
        assert bucket.client.list_multipart_uploads(Bucket=bucket.s3.bucket)["Uploads"]
        page.get_by_role("button", name="Remove").click()
        page.get_by_text("Removed; will not be saved").wait_for()
        with page.expect_response("**/uploads/abort") as aborted:
            held[0].fulfill(response=answer)
        assert aborted.value.json() == {"aborted": True}
        assert "Uploads" not in bucket.client.list_multipart_uploads(Bucket=bucket.s3.bucket)
        assert bucket.puts() == []
        saved(page)
        assert Paper.objects.get().file is None

    def test_parts_are_sent_side_by_side(self, page: Page, bucket: Bucket, twelve: Path) -> None:
        held: list[Any] = []
        page.route("**/*partNumber=*", lambda route: held.append(route))  # noqa: PLW0108
        self.choose(page, twelve)
        while len(held) < 3:
            page.wait_for_timeout(20)
        for route in held:
            route.continue_()
        saved(page)
        assert bucket.has_exactly(twelve.read_bytes())

    # a ratio of times: proved by `make soak`, where nothing runs beside it
    @pytest.mark.soak
    def test_parallel_parts_are_twice_as_fast(
        self, page: Page, bucket: Bucket, tmp_path: Path
    ) -> None:
        forty = tmp_path / "forty.bin"
        forty.write_bytes(bytes(40 * MIB))
        bucket.proxy.shape(latency=0.1, bandwidth=20 * MIB)

        def one_by_one(route: Any) -> None:
            route.fulfill(json={**route.fetch().json(), "parallel": 1})

        def seconds() -> float:
            self.choose(page, forty)
            began = time.perf_counter()
            page.get_by_text("will be saved when you submit").wait_for()
            return time.perf_counter() - began

        parallel = min(seconds() for _ in range(2))
        page.route("**/uploads/start", one_by_one)
        serial = min(seconds() for _ in range(2))
        print(f"8 parts at 100 ms: {serial:.2f} s one by one, {parallel:.2f} s in parallel")
        assert serial > 2 * parallel

    def test_a_removed_file_comes_back(self, page: Page, bucket: Bucket, twelve: Path) -> None:
        bucket.proxy.shape(bandwidth=2 * MIB)
        self.choose(page, twelve)
        until(page, "document.querySelector('progress').value > 0.1")
        for name in ("Remove", "Undo"):
            with page.expect_response("**/uploads/*"):
                page.get_by_role("button", name=f"{name} twelve.bin").click()
        bucket.proxy.shape()
        page.get_by_text("will be saved when you submit").wait_for()
        parts = bucket.puts()
        # what has arrived is kept
        for name in ("Remove", "Undo"):
            page.get_by_role("button", name=f"{name} twelve.bin").click()
        saved(page)
        assert bucket.puts() == parts
        assert bucket.has_exactly(twelve.read_bytes())

    def test_an_answer_that_was_lost(self, page: Page, bucket: Bucket, samples: Path) -> None:
        """The second try of what may only be created is refused: the first arrived."""
        page.expected = ["CORS", "ERR_", "412"]  # type: ignore[attr-defined]
        tries: list[str] = []

        def lose_once(route: Any) -> None:
            tries.append(route.request.method)
            if len(tries) == 1:
                bucket.proxy.cut_after(5)
            route.continue_()

        page.route(f"{bucket.proxy.url}/**", lose_once)
        self.choose(page, samples / "half a megabyte.bin")
        saved(page)
        assert tries == ["PUT", "PUT"]
        assert (bucket.puts(), bucket.proxy.cuts()) == (["", ""], 1)
        assert bucket.has_exactly(bytes(500_000))
        assert Paper.objects.get().file.size == 500_000

    def test_a_refusal_that_meant_something_else(
        self, page: Page, bucket: Bucket, samples: Path
    ) -> None:
        page.expected = ["ERR_FAILED", "403", "404"]  # type: ignore[attr-defined]
        tries: list[str] = []

        def refuse(route: Any) -> None:
            tries.append(route.request.method)
            if len(tries) == 1:
                route.abort()
            else:
                route.fulfill(status=403, headers={"Access-Control-Allow-Origin": "*"})

        page.route(f"{bucket.proxy.url}/**", refuse)
        self.choose(page, samples / "a.txt")
        page.get_by_text("refused the upload (403)").wait_for()
        assert tries == ["PUT", "PUT"]
        assert not Paper.objects.exists()


@pytest.fixture
def large(tmp_path: Path) -> Iterator[Path]:
    """A file of 200 MB, no block of which is like another."""
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        source = Generated(200 * 1_000_000)
        while piece := source.read(MIB):
            file.write(piece)
    yield path
    path.unlink()


@pytest.mark.soak
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_200_megabytes_past_a_site(chromium: Browser, large: Path) -> None:
    """The site's process hardly grows; the line is cut at half, and the upload goes on."""
    bucket = Bucket("*")
    storage = {
        "BACKEND": "django_fsspec.storage.FSSpecStorage",
        "OPTIONS": {**bucket.options, "chunk_size": 8 * MIB},
    }
    with started(servers.Site, {"default": storage}, wsgi=True, module="tests.soak.inbox") as site:
        context = chromium.new_context(base_url=site.url)
        page = context.new_page()
        bucket.proxy.shape(bandwidth=40 * MIB)
        grew = _sent(page, site, bucket, large)
        context.close()
    client, key = bucket.client, _only_key(bucket)
    digest = hashlib.sha256()
    with client.get_object(Bucket=bucket.s3.bucket, Key=key)["Body"] as body:
        while piece := body.read(MIB):
            digest.update(piece)
    with large.open("rb") as file:
        assert digest.digest() == hashlib.file_digest(file, "sha256").digest()
    puts = bucket.puts()
    parts = [str(number) for number in range(1, 25)]
    again = [part for part in parts if puts.count(part) > 1]
    client.delete_object(Bucket=bucket.s3.bucket, Key=key)
    bucket.close()
    print(
        f"direct | 200 MB from Chromium to S3, cut at half | {grew / 1e6:.1f} MB more in the site "
        f"| {len(puts)} PUTs of {len(parts)} parts, again: {', '.join(again)} | sha256 is right"
    )
    assert sorted(set(puts), key=int) == parts
    assert 1 <= len(again) <= 3
    assert grew < 20_000_000


def _only_key(bucket: Bucket) -> str:
    found = bucket.client.list_objects_v2(Bucket=bucket.s3.bucket, Prefix=f"{bucket.folder}/")
    (entry,) = found["Contents"]
    key: str = entry["Key"]
    return key


def _sent(page: Page, site: servers.Site, bucket: Bucket, path: Path) -> int:
    """Send a file with a cut at half; return how far the site's memory peaked above idle."""

    def send(file: Path) -> str:
        page.goto("/")
        page.wait_for_selector(LIVE)
        page.locator("[data-input]").set_input_files(file)
        page.get_by_role("button", name="Save", exact=True).click()
        return f"{file.name}: {file.stat().st_size} bytes"

    # the first upload loads what talks to S3, which takes more than the upload itself
    first = path.with_name("first.bin")
    first.write_bytes(bytes(9 * MIB))
    page.get_by_text(send(first)).wait_for(timeout=30_000)
    bucket.client.delete_object(Bucket=bucket.s3.bucket, Key=_only_key(bucket))
    bucket.proxy.reset()
    forget_peak(site.worker)
    idle = resident(site.worker)
    came = send(path)
    until(page, "document.querySelector('progress').value > 0.5")
    page.context.set_offline(True)
    bucket.proxy.set_down(True)
    page.get_by_text("The connection was lost.").wait_for()
    page.wait_for_timeout(3000)
    bucket.proxy.set_down(False)
    page.context.set_offline(False)
    page.get_by_text(came).wait_for(timeout=120_000)
    return resident(site.worker, "VmHWM") - idle
