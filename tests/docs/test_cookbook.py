"""The recipes of docs/cookbook do what their pages say."""

from __future__ import annotations

import re
import unittest
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tablib
from django.contrib import admin
from django.contrib.admin import helpers, sites
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from django.urls import path

from django_fsspec import FileObject, uploads
from django_fsspec.storage import get_storage
from django_fsspec.testing import override_storage
from tests.docs.conftest import logged_in
from tests.helpers import cdn
from tests.helpers.doc_pages import Modules
from tests.helpers.recipes import COOKBOOK, Recipe
from tests.helpers.samples import matroska, png, track, turned
from tests.helpers.upload_client import Browser
from tests.helpers.utils import numbered

if TYPE_CHECKING:
    from pytest_django import Settings

# what recipes do with files, whatever the Django and the database
pytestmark = [pytest.mark.twin, pytest.mark.django_db(transaction=True, databases="__all__")]

Site = Callable[..., None]


def names(alias: str = "default") -> list[str]:
    """Return the names of the files of an alias."""
    return [stat.name for stat in get_storage(alias).walk()]


def upload(name: str = "may.txt", content: bytes = b"all is well") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


@pytest.mark.parametrize("page", sorted(COOKBOOK.glob("*.md")), ids=lambda page: page.stem)
def test_recipes_have_the_same_headings(page: Any) -> None:
    headings = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
    assert headings == ["Goal", "Code", "Why", "See also"]


class TestAvatars:
    def form(self, recipe: Recipe, data: bytes, name: str = "me.jpg") -> Any:
        modules = recipe("avatars")
        self.profile = modules("accounts.models")["Profile"]
        self.row = self.profile(user=User.objects.create(username="ann"))
        self.forms = modules("accounts.forms")["ProfileForm"]
        return self.forms({}, {"avatar": upload(name, data)}, instance=self.row)

    def test_a_thumbnail_is_stored_and_replaced_with_its_picture(self, recipe: Recipe) -> None:
        self.form(recipe, turned("JPEG", 6, (700, 500))).save()
        row = self.profile.objects.get()
        assert (row.thumbnail.width, row.thumbnail.height) == (91, 128)
        assert row.thumbnail.content_type == "image/webp"
        first = names()
        assert len(first) == 2
        again = self.forms({}, {"avatar": upload("b.png", png(300, 300))}, instance=row)
        again.save()
        assert len(names()) == 2
        assert not set(first) & set(names())
        row.avatar = None
        row.save()
        assert names() == []
        assert self.profile.objects.get().thumbnail is None

    def test_a_rollback_leaves_nothing(self, recipe: Recipe) -> None:
        form = self.form(recipe, png(300, 300), "a.png")
        with pytest.raises(IntegrityError), transaction.atomic():
            form.save()
            self.profile.objects.create(user=self.row.user)
        assert names() == []

    def test_a_bomb_is_refused_unread(self, recipe: Recipe) -> None:
        form = self.form(recipe, png(1, 1)[:16] + b"\0\1\0\0" * 2 + png(1, 1)[24:], "a.png")
        assert not form.is_valid()
        assert names() == []


def test_private_documents_exist_for_their_owner_only(recipe: Recipe, site: Site) -> None:
    modules = recipe("private-documents")
    site(modules, *modules("documents.urls")["urlpatterns"])
    owner, other = logged_in("ann"), logged_in("ben")
    contract = modules("documents.models")["Contract"].objects.create(
        owner=User.objects.get(username="ann"), file=upload("may.html", b"<script>")
    )
    address = f"/contracts/{contract.pk}/"
    answer: Any = owner.get(address)
    assert answer.getvalue() == b"<script>"
    assert answer["Content-Disposition"].startswith("attachment")
    assert "private" in answer["Cache-Control"]
    assert other.get(address).status_code == 404
    assert Client().get(address).status_code == 302


def test_cloudfront_gets_whom_the_site_lets(
    recipe: Recipe, site: Site, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "cloudfront.pem").write_text(cdn.PEM)
    modules = recipe("cloudfront")
    site(modules, *modules("courses.urls")["urlpatterns"])
    member, other = logged_in("ann"), logged_in("ben")
    lesson = modules("courses.models")["Lesson"].objects.create(video=upload("a b.txt"))
    lesson.members.add(User.objects.get(username="ann"))
    options = modules("settings")["STORAGES"]["default"]["OPTIONS"]
    in_memory = {"fs": "memory", "prefix": get_storage("default").options.prefix}
    with cdn.CDN(cdn.cloudfront) as server:
        in_memory["base_url"] = f"{server.url}media/"
        with override_storage(default={**options, **in_memory}):
            answer: Any = member.get(f"/lessons/{lesson.pk}/")
            assert answer.status_code == 302
            assert other.get(f"/lessons/{lesson.pk}/").status_code == 404
        with urllib.request.urlopen(answer["Location"]) as sent:
            assert sent.read().decode() == f"/media/{lesson.video.name}"
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(answer["Location"].replace("Expires=", "Expires=1"))


def test_video_is_sent_from_any_point(recipe: Recipe, site: Site) -> None:
    modules = recipe("video")
    site(modules, *modules("films.urls")["urlpatterns"])
    content = matroska(b"webm") + track(b"V_VP8") + numbered(100_000)
    row = modules("films.models")["Film"](title="t", file=upload("f.webm", content))
    row.full_clean()
    row.save()
    middle = len(content) // 2
    answer: Any = Client().get(f"/films/{row.pk}/file/", headers={"Range": f"bytes={middle}-"})
    assert answer.status_code == 206
    assert answer["Content-Type"] == "video/webm"
    assert answer.getvalue() == content[middle:]


def test_large_uploads_come_ahead_of_their_form(recipe: Recipe, site: Site) -> None:
    modules = recipe("large-uploads")
    site(modules)
    footage = modules("footage.models")["Footage"]
    form_class = modules("footage.forms")["FootageForm"]
    browser = Browser()
    destination = uploads.Destination.of(footage.file.field)
    content = numbered(300_000)
    receipt = browser.upload(destination, "film.mov", content, "video/quicktime")
    form = browser.submitted(form_class, "file", receipt)
    assert form.is_valid(), form.errors
    form.save()
    assert footage.objects.get().file.get_content() == content
    assert not browser.submitted(form_class, "file", "forged").is_valid()


def test_a_signed_url_takes_the_upload_of_a_script(recipe: Recipe, site: Site) -> None:
    modules = recipe("large-uploads")
    site(modules)
    namespace = modules("example")
    sign = get_storage("default").sign
    url = sign(namespace["name"], for_upload=True, content_type="video/quicktime")
    put = Client().put(url, b"film", content_type="video/quicktime")
    assert put.status_code in (200, 201)
    assert get_storage("default").get_content(namespace["name"]) == b"film"


def test_htmx_gets_fragments(recipe: Recipe, site: Site) -> None:
    modules = recipe("htmx")
    site(modules, path("notes/", modules("notes.views")["add_note"], name="add_note"))
    client, htmx = Client(), {"HX-Request": "true"}
    page = client.get("/notes/").content.decode()
    assert "stored-object.js" in page
    assert 'enctype="multipart/form-data"' in page
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token
    sent = {"csrfmiddlewaretoken": token[1], "title": ""}
    refused = client.post("/notes/", {**sent, "file": upload()}, headers=htmx)
    assert refused.status_code == 200
    text = refused.content.decode()
    assert text.strip().startswith("<form")
    # the upload is kept: it need not be chosen again
    kept = re.search(r'name="file-retained" value="([^"]+)"', text)
    assert kept
    sent |= {"title": "May", "file-retained": kept[1]}
    done = client.post("/notes/", sent, headers=htmx).content.decode()
    assert ">May</a>" in done
    assert modules("notes.models")["Note"].objects.get().file.original_name == "may.txt"


def test_turbo_gets_the_statuses_that_it_wants(recipe: Recipe, site: Site) -> None:
    modules = recipe("turbo")
    site(modules, path("add/", modules("notes.views")["add_sketch"]))
    client = Client()
    assert client.get("/add/").status_code == 200
    assert client.post("/add/", {"title": ""}).status_code == 422
    done: Any = client.post("/add/", {"title": "May", "file": upload()})
    assert (done.status_code, done["Location"]) == (303, "/sketches/")


class TestDRF:
    @pytest.fixture(autouse=True)
    def api(self, recipe: Recipe, site: Site) -> None:
        modules = recipe("drf")
        site(modules, *modules("reports.urls")["urlpatterns"])
        self.ann, self.ben = logged_in("ann"), logged_in("ben")

    def test_reports_are_their_owners(self) -> None:
        made = self.ann.post("/reports/", {"title": "May", "file": upload()}).json()
        assert made["file"] == {"name": "may.txt", "size": 11, "content_type": "text/plain"}
        address = f"/reports/{made['id']}/download/"
        answer: Any = self.ann.get(address)
        assert answer.getvalue() == b"all is well"
        assert self.ben.get(address).status_code == 404
        assert Client().get(address).status_code == 403

    def test_a_client_chooses_no_file_of_the_storage(self) -> None:
        get_storage("default").save("salaries.csv", ContentFile(b"x"))
        forged = {"title": "May", "file": {"backend": "default", "filename": "salaries.csv"}}
        answer = self.ann.post("/reports/", forged, content_type="application/json")
        assert answer.status_code == 400

    def test_a_patch_replaces_the_file(self) -> None:
        made = self.ann.post("/reports/", {"title": "May", "file": upload()}).json()
        body = encode_multipart(BOUNDARY, {"file": upload("june.txt", b"better")})
        self.ann.patch(f"/reports/{made['id']}/", body, content_type=MULTIPART_CONTENT)
        assert [get_storage("default").get_content(name) for name in names()] == [b"better"]


def test_ninja_checks_what_comes(recipe: Recipe, site: Site, settings: Settings) -> None:
    modules = recipe("ninja")
    site(modules, path("api/", modules("scans.api")["api"].urls))
    client = Client()
    made = client.post("/api/scans", {"title": "May", "file": upload()}).json()
    assert made["file"] == {"name": "may.txt", "size": 11, "content_type": "text/plain"}
    answer: Any = client.get(f"/api/scans/{made['id']}/file")
    assert answer.getvalue() == b"all is well"
    refused = client.post("/api/scans", {"title": "x" * 101, "file": upload()})
    assert refused.status_code == 400
    assert "title" in refused.json()["detail"]
    assert len(names()) == 1


class TestCelery:
    @pytest.fixture
    def invoices(self, recipe: Recipe) -> Modules:
        modules = recipe("celery")
        modules("myproject.celery")["app"].conf.update(
            task_always_eager=True, task_eager_propagates=True
        )
        return modules

    def test_the_task_runs_after_the_commit(self, invoices: Modules) -> None:
        add = invoices("invoices.views")["add_invoice"]
        with transaction.atomic():
            pk = add(upload()).pk
            assert len(names()) == 1
        assert invoices("invoices.models")["Invoice"].objects.get(pk=pk).text.read() == b"3 words"

    def test_a_rollback_starts_no_task_and_leaves_no_file(self, invoices: Modules) -> None:
        with pytest.raises(RuntimeError), transaction.atomic():
            invoices("invoices.views")["add_invoice"](upload())
            raise RuntimeError
        assert names() == []

    def test_a_row_that_is_deleted_meanwhile(self, invoices: Modules) -> None:
        invoices("invoices.tasks")["read_text"].delay(5)


def test_the_admin_lists_records(recipe: Recipe, site: Site) -> None:
    modules = recipe("admin-themes")
    site(modules)
    record = modules("archive.models")["Record"]
    record.objects.create(title="May", file=upload())
    client = logged_in("ann", is_staff=True, is_superuser=True)
    assert "11\xa0bytes" in client.get("/admin/testproject/record/").content.decode()
    assert "may.txt" in client.get("/admin/testproject/record/1/change/").content.decode()


def test_the_admin_of_unfold(
    recipe: Recipe, site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unfold.forms import AdminForm, Fieldline
    from unfold.sites import UnfoldAdminSite

    # unfold puts them there for good when it makes its first ModelAdmin
    monkeypatch.setattr(helpers, "AdminForm", AdminForm)
    monkeypatch.setattr(helpers, "Fieldline", Fieldline)
    # as its app does when it is ready
    site_of_unfold = UnfoldAdminSite()
    monkeypatch.setattr(admin, "site", site_of_unfold)
    monkeypatch.setattr(sites, "site", site_of_unfold)
    settings.INSTALLED_APPS = ["unfold.apps.BasicAppConfig", *settings.INSTALLED_APPS]
    modules = recipe("admin-themes")
    record = modules("archive.models")["Record"]
    site_of_unfold.unregister(record)
    text = (COOKBOOK / "admin-themes.md").read_text()
    (code,) = re.findall(r"^```py\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    exec(compile(code, "unfold", "exec", dont_inherit=True), modules("archive.unfold"))
    site(modules)
    record.objects.create(title="May", file=upload())
    client = logged_in("ann", is_staff=True, is_superuser=True)
    shown = client.get("/admin/testproject/record/").content.decode()
    assert "11\xa0bytes" in shown
    assert "unfold" in shown


def test_a_backup_copies_what_is_new(recipe: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    command = recipe("backup")("myproject.management.commands.backup_files")["Command"]
    storage = get_storage("default")
    for name in ("a.txt", "deep/b.txt"):
        storage.save(name, ContentFile(name.encode()))
    get_storage("backup").save("a.txt", ContentFile(b"cut"))
    copied = []
    for _ in range(2):
        call_command(command())
        copied.append(capsys.readouterr().out.split()[0])
    assert copied == ["2", "0"]
    assert names("backup") == ["a.txt", "deep/b.txt"]
    assert get_storage("backup").get_content("a.txt") == b"a.txt"
    storage.delete("a.txt")
    call_command(command())
    assert names("backup") == ["a.txt", "deep/b.txt"]


def test_files_move_to_another_bucket(recipe: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    letter = recipe("moving-a-bucket")("documents.models")["Letter"]
    old = FileObject("default", "letters/old.txt", content=b"old").save()
    letter.objects.create(file=old)
    letter.objects.create(file=upload())
    assert {row.file.backend for row in letter.objects.all()} == {"default", "frankfurt"}
    move = ["migrate_files", "--from", "default", "--to", "frankfurt", "--no-progress"]
    call_command(*move, "testproject.Letter.file")
    assert {row.file.backend for row in letter.objects.all()} == {"frankfurt"}
    assert sorted(row.file.read() for row in letter.objects.all()) == [b"all is well", b"old"]
    capsys.readouterr()
    call_command(*move, "testproject.Letter.file", "--dry-run")
    assert "0 rows" in capsys.readouterr().out
    call_command("sweep_files", "default")
    assert re.search(r"orphan|young", capsys.readouterr().out)


def test_a_sweep_keeps_what_is_in_use(recipe: Recipe, settings: Settings) -> None:
    modules = recipe("orphans")
    settings.DJANGO_FSSPEC_NAMES_IN_USE = modules("settings")["DJANGO_FSSPEC_NAMES_IN_USE"]
    storage = get_storage("default")
    for name in ("exports/2026.csv", "press/logo.svg", "lost.txt"):
        storage.save(name, ContentFile(b"x"))
    options = ["--delete", "--no-input", "--min-age", "0", "--json"]
    call_command("sweep_files", "default", *options)
    assert names() == ["exports/2026.csv", "press/logo.svg"]


def test_the_tests_of_a_reader_pass(recipe: Recipe) -> None:
    case = recipe("testing")("letters.tests")["UploadTests"]
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(case)
    result = unittest.TestResult()
    suite.run(result)
    assert (result.testsRun, result.errors, result.failures) == (3, [], [])


class TestTenants:
    @pytest.fixture(autouse=True)
    def served(self, recipe: Recipe, site: Site, settings: Settings) -> Any:
        self.modules = modules = recipe("tenants")
        site(modules, path("letters/", modules("letters.views")["add_letter"]))
        settings.MIDDLEWARE = ["tenancy.TenantMiddleware", *settings.MIDDLEWARE]
        settings.ALLOWED_HOSTS = ["*"]
        self.serving = modules("tenancy")["serving"]
        root = get_storage("default").options.prefix
        prefix = modules("settings")["STORAGES"]["default"]["OPTIONS"]["prefix"]
        with override_storage(default={"fs": f"memory://{root}", "prefix": prefix}):
            yield

    def test_each_has_a_folder(self) -> None:
        for host, content in (("acme", b"of acme"), ("umbrella", b"of umbrella")):
            sent = {"file": upload(content=content)}
            answer = Client(HTTP_HOST=f"{host}.example.com").post("/letters/", sent)
            assert answer.content == b"letter.txt"
        for name in ("acme", "umbrella"):
            with self.serving(name):
                assert get_storage("default").get_content("letter.txt") == f"of {name}".encode()
                assert names() == ["letter.txt"]

    def test_nobody_has_none(self) -> None:
        assert Client(HTTP_HOST="other.example.com").post("/letters/").status_code == 404
        with pytest.raises(ImproperlyConfigured, match="prefix"):
            get_storage("default").save("a.txt", ContentFile(b"x"))

    def test_each_is_swept(self) -> None:
        with self.serving("acme"):
            get_storage("default").save("a.txt", ContentFile(b"x"))
        self.modules("example")["sweep_all"]()
        with self.serving("acme"):
            # it is young
            assert names() == ["a.txt"]


def test_a_spreadsheet_brings_no_file(recipe: Recipe, site: Site, settings: Settings) -> None:
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "import_export"]
    modules = recipe("import-export")
    site(modules)
    paper, resource = (modules(f"papers.{name}") for name in ("models", "resources"))
    first = paper["Paper"].objects.create(title="May", file=upload())
    second = paper["Paper"].objects.create(title="June", file=upload("june.txt"))
    exported = resource["PaperResource"]().export()
    assert exported["file_name"] == ["may.txt", "june.txt"]
    changed = tablib.Dataset(headers=exported.headers)
    changed.append([first.pk, "Mai", exported["file"][0], "other.txt"])
    # the file of another row
    changed.append([second.pk, "Juni", exported["file"][0], ""])
    changed.append([second.pk, "Juni", "", ""])
    result = resource["PaperResource"]().import_data(changed, raise_errors=False)
    refused = [bool(row.errors or row.validation_error) for row in result.rows]
    assert refused == [False, True, True]
    assert paper["Paper"].objects.get(pk=second.pk).file == second.file
    client = logged_in("ann", is_staff=True, is_superuser=True)
    assert "Import" in client.get("/admin/testproject/paper/").content.decode()


def test_files_follow_their_rows_to_their_database(recipe: Recipe) -> None:
    namespace = recipe("multi-database")("claims.models")
    claim = namespace["Claim"]
    row = claim(file=upload())
    row.save(using="other")
    namespace["replace_file"](row, upload("june.txt", b"better"))
    (name,) = names()
    with pytest.raises(RuntimeError), transaction.atomic(using="other"):
        namespace["replace_file"](row, upload("july.txt", b"worse"))
        raise RuntimeError
    assert names() == [name]
    row = claim.objects.using("other").get()
    namespace["copy_to"](row, "default")
    assert len(names()) == 2
    claim.objects.using("other").get().delete()
    assert claim.objects.using("default").get().file.read() == b"better"
