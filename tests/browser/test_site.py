"""The site of the documents: built without a warning, found by its search, seen in both themes."""

from __future__ import annotations

import fcntl
import functools
import subprocess
import threading
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest

from tests.browser.conftest import DARK_PHONE, LIGHT, ROOT, Look

if TYPE_CHECKING:
    from playwright.sync_api import Page

# the environment of the site is set up, where it is not there yet
pytestmark = [pytest.mark.slow, pytest.mark.once, pytest.mark.timeout(600)]

#: what a newcomer asks, and the pages that answer; one is among the first three hits
QUESTIONS = {
    "how do I serve private files?": ["how-to/downloads"],
    "what does AWS_S3_CUSTOM_DOMAIN become?": ["coming-from/django-storages"],
    "replace django-storages": ["coming-from/django-storages"],
    "difference between FileField and StoredObjectField": ["coming-from/filefield"],
    "boto3 generate_presigned_url": ["coming-from/boto3"],
    "how to upload directly from the browser to S3": ["how-to/direct-uploads"],
    "MinIO endpoint_url": ["backends/s3"],
    "how do I migrate files from local disk to S3": ["how-to/migrate-files"],
    "delete orphaned files": ["how-to/sweep-and-refresh"],
    "convert FileField to StoredObjectField": ["how-to/convert-a-filefield"],
    "test without S3 override_storage": ["how-to/testing", "cookbook/testing"],
    "async views upload": ["how-to/async"],
    "presigned URL expires": ["reference/storage"],
    "CORS bucket": ["how-to/direct-uploads"],
    "byte ranges video seeking": ["how-to/downloads"],
    "collectstatic to S3": ["how-to/static-files"],
    "multiple files in one field": ["how-to/forms-and-admin", "reference/stored-object-field"],
    "django REST framework serializer for file": ["how-to/rest-and-schemas"],
    "rollback deletes uploaded file": ["explanation/order-of-events"],
    "SFTP private key known_hosts": ["backends/sftp"],
    "django_fsspec.W001": ["reference/checks"],
    "cache remote files locally": ["backends/caches-and-chains"],
    "timeout and retries": ["reference/options"],
    "show thumbnails in admin": ["how-to/forms-and-admin"],
    "user avatars with thumbnails": ["cookbook/avatars"],
    "only the owner may download a document": ["cookbook/private-documents"],
    "play video with seeking": ["cookbook/video"],
    "upload files of several GB": ["cookbook/large-uploads"],
    "htmx file upload": ["cookbook/htmx"],
    "Turbo form with errors 422": ["cookbook/turbo"],
    "upload API with Django REST framework": ["cookbook/drf"],
    "django-ninja file upload": ["cookbook/ninja"],
    "process an uploaded file in a Celery task": ["cookbook/celery"],
    "unfold admin theme": ["cookbook/admin-themes"],
    "CloudFront signed URL": ["how-to/cdn", "cookbook/cloudfront"],
    "import rows with files from a spreadsheet": ["cookbook/import-export"],
    "back up media files and database": ["cookbook/backup"],
    "move to another bucket": ["cookbook/moving-a-bucket"],
    "clean up orphans every night cron": ["cookbook/orphans"],
    "tests without leaving files on the disk": ["cookbook/testing"],
    "multi-tenant folder for each customer": ["how-to/tenants", "cookbook/tenants"],
    "several databases using": ["cookbook/multi-database"],
    "Cloudflare R2": ["backends/s3"],
    "Backblaze B2": ["backends/s3"],
    "The specified bucket does not exist": ["backends/s3"],
    "Nextcloud": ["backends/webdav"],
    "Dropbox refresh token expired": ["backends/dropbox"],
    "FTPS self-signed certificate": ["backends/ftp"],
    "GOOGLE_APPLICATION_CREDENTIALS": ["backends/gcs"],
    "Azure managed identity": ["backends/azure"],
    "Host key is not trusted": ["backends/sftp", "troubleshooting"],
    "This class is not fork-safe": ["troubleshooting"],
    "client intended to send too large body": ["troubleshooting"],
    "RequestTimeTooSkewed": ["troubleshooting"],
    "slow admin list": ["troubleshooting"],
    "nginx client_max_body_size": ["how-to/deploy", "how-to/direct-uploads"],
    "Content-Security-Policy for uploads": ["how-to/deploy", "how-to/forms-and-admin"],
    "monitoring and alerts": ["how-to/deploy"],
    "security threat model": ["explanation/security"],
    "redirect or X-Accel": ["how-to/choosing", "how-to/downloads"],
    "when to set cleanup=False": ["how-to/choosing"],
    "The algorithm of Upload-Checksum must be": ["reference/messages"],
    "read files from a ZIP archive": ["backends/archives"],
    "GitHub private repository": ["backends/github"],
    "local disk MEDIA_ROOT": ["backends/local"],
    "files over HTTP without a listing page": ["backends/http"],
    "which names may fs_options have on SFTP?": ["backends/sftp"],
}


@pytest.fixture(scope="session")
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site, once for all processes of a run; a warning is an error."""
    shared = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):
        # the folder above is that of the run; without processes, that of all runs
        shared = shared.parent
    html = shared / "site" / "html"
    with (shared / "site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not html.exists():
            run("scripts/bootstrap", "docs")
            sphinx = (".venv-docs/bin/python", "-m", "sphinx", "-W", "--keep-going", "-q")
            run(*sphinx, "-b", "html", "-d", str(html.with_name("trees")), "docs", str(html))
    return html


def run(*command: str) -> None:
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(built: Path) -> Iterator[str]:
    """Serve the site; return its address."""
    handler = functools.partial(QuietHandler, directory=str(built))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


class Links(HTMLParser):
    """The ids of a page, and where its links lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.targets: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids.add(values.get("id") or "")
        self.targets.add(values.get("href") or values.get("src") or "")


def test_every_link_of_the_site_leads_somewhere(built: Path) -> None:
    pages = {page: Links(page.read_text()) for page in built.rglob("*.html")}
    assert len(pages) > 50
    dead = []
    for page, links in pages.items():
        for target in links.targets:
            scheme, host, path, _, anchor = urlsplit(target)
            there = (page.parent / unquote(path)).resolve() if path else page
            if scheme or host:
                continue
            known = pages[there].ids if there in pages else set()
            if not there.exists() or (anchor and there in pages and unquote(anchor) not in known):
                dead.append(f"{page.relative_to(built)}: {target}")
    assert dead == []


def test_old_addresses_lead_to_new_ones(built: Path) -> None:
    page = Links((built / "how-to" / "sftp-ftp-webdav.html").read_text())
    assert "../backends/sftp.html" in page.targets


@pytest.mark.parametrize("look", [LIGHT], ids=str)
def test_the_search_answers_newcomers(page: Page, look: Look, address: str) -> None:
    page.goto(f"{address}search.html?q=files")
    page.wait_for_selector("ul.search li")
    # without its page for each: the best is the last
    asked = "questions => questions.map(q => Search._performSearch(...Search._parseQuery(q)))"
    hits = page.evaluate(asked, list(QUESTIONS))
    misses = {}
    for (question, answers), found in zip(QUESTIONS.items(), hits, strict=True):
        first = list(dict.fromkeys(hit[0] for hit in reversed(found)))[:3]
        if not set(answers) & set(first):
            misses[question] = first
    assert misses == {}


@pytest.mark.parametrize("look", [LIGHT], ids=str)
def test_decisions_are_not_among_the_hits(page: Page, look: Look, address: str) -> None:
    page.goto(f"{address}search.html?q=decided+measured+change+our+mind")
    page.wait_for_selector("ul.search li")
    hits = page.eval_on_selector_all("ul.search li > a", "links => links.map(one => one.href)")
    assert [hit for hit in hits if "/decisions/" in hit] == []


@pytest.mark.parametrize("name", ["index", "reference/options"])
def test_pages_look_well(
    page: Page,
    look: Look,
    address: str,
    name: str,
    sees: Callable[..., None],
    fits: Callable[[], None],
) -> None:
    page.goto(f"{address}{name}.html")
    page.wait_for_selector("article h1")
    fits()
    sees("article")
    assert page.locator("button.copybtn").count() > 0


@pytest.mark.parametrize("look", [DARK_PHONE], ids=str)
def test_the_reference_is_made_of_docstrings(page: Page, look: Look, address: str) -> None:
    page.goto(f"{address}reference/api/storage.html")
    signature = page.locator("dt[id='django_fsspec.storage.FSSpecStorage']")
    assert "url_expires_in: int = 3600" in signature.inner_text()
    method = page.locator("dl.method", has=page.locator("dt[id$='.FSSpecStorage.get_content']"))
    assert "Raises" in method.inner_text()
    # names in backticks are code, and no markup is left over
    assert "`" not in page.locator("article").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
