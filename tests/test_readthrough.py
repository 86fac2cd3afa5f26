"""ReadThroughStorage: a FileField's files can be read while they move."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import call_command
from django.test import override_settings

from django_fsspec.readthrough import ReadThroughStorage
from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers.backends import _s3, folder, server
from tests.helpers.utils import started
from tests.library.models import Attachment
from tests.servers import CountingProxy
from tests.soak.grounds import s3_options


@pytest.fixture(params=["ours", "Django's"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """The default storage reads "new", then "old"."""
    disk = {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(tmp_path), "base_url": "/old/"},
    }
    both = {
        "BACKEND": "django_fsspec.readthrough.ReadThroughStorage",
        "OPTIONS": {"primary": "new", "fallback": "old"},
    }
    with override_storage("old", new=_s3(servers.SeaweedS3)(folder())):
        given = {"default": both} | ({"old": disk} if request.param != "ours" else {})
        with override_settings(STORAGES={**settings.STORAGES, **given}):
            yield storages["default"]


def test_reads_the_new_then_the_old(site: Any) -> None:
    storages["old"].save("docs/a.txt", ContentFile(b"old"))
    storages["new"].save("docs/b.txt", ContentFile(b"newer"))
    for name, content in (("docs/a.txt", b"old"), ("docs/b.txt", b"newer")):
        assert site.exists(name)
        assert site.size(name) == len(content)
        with site.open(name) as file:
            assert file.read() == content
        assert site.get_modified_time(name)
        assert site.get_created_time(name)
    assert not site.exists("docs/none")
    with pytest.raises(FileNotFoundError):
        site.open("docs/none").read()
    assert sorted(site.listdir("docs")[1]) == ["a.txt", "b.txt"]
    assert site.listdir("") == (["docs"], [])
    with pytest.raises(FileNotFoundError):
        site.listdir("nothing")
    assert site.url("docs/a.txt") == storages["old"].url("docs/a.txt")
    assert "docs/b.txt" in site.url("docs/b.txt")
    storages["new"].save("docs/a.txt", ContentFile(b"moved"))
    with site.open("docs/a.txt") as file:
        assert file.read() == b"moved"


def test_what_is_written_never_hides_an_old_file(site: Any) -> None:
    storages["old"].save("a.txt", ContentFile(b"old"))
    name = site.save("a.txt", ContentFile(b"new"))
    assert name != "a.txt"
    assert storages["new"].exists(name)
    assert not storages["old"].exists(name)
    with site.open("a.txt") as file:
        assert file.read() == b"old"
    site.delete("a.txt")
    site.delete(name)
    assert not site.exists("a.txt")
    assert not site.exists(name)
    with site.open("w.txt", "wb") as file:
        file.write(b"written")
    assert storages["new"].exists("w.txt")


def test_twins(site: Any) -> None:
    storages["old"].save("a.txt", ContentFile(b"old"))

    async def run() -> None:
        assert await site.aexists("a.txt")
        assert await site.asize("a.txt") == 3
        assert await site.aget_modified_time("a.txt")
        assert await site.aget_created_time("a.txt")
        assert (await site.alistdir(""))[1] == ["a.txt"]
        name = await site.asave("a.txt", ContentFile(b"new"))
        opened = await site.aopen(name)
        assert opened.read() == b"new"
        opened.close()
        await site.adelete("a.txt")
        assert not await site.aexists("a.txt")

    asyncio.run(run())


@pytest.mark.django_db
def test_a_site_that_moves_while_it_runs(site: Any) -> None:
    rows = [
        Attachment.objects.create(title=str(n), file=ContentFile(f"{n}", name=f"{n}.txt"))
        for n in range(4)
    ]
    names = list(Attachment.objects.values_list("file", flat=True))
    for name in names[:3]:  # of before the switch
        with storages["new"].open(name) as file:
            storages["old"].save(name, ContentFile(file.read()))
        storages["new"].delete(name)

    def contents() -> list[bytes]:
        read = []
        for row in Attachment.objects.order_by("pk"):
            with row.file.open() as file:
                read.append(file.read())
        return read

    assert contents() == [b"0", b"1", b"2", b"3"]
    call_command(
        "migrate_files",
        "library.Attachment.file",
        source="old",
        target="new",
        no_progress=True,
        verbosity=0,
        filter=[f"pk__lte={rows[2].pk}"],
    )
    assert contents() == [b"0", b"1", b"2", b"3"]
    for name in names[:3]:
        storages["old"].delete(name)
    assert contents() == [b"0", b"1", b"2", b"3"]


@pytest.mark.slow
def test_requests() -> None:
    s3 = server(servers.SeaweedS3)
    both = {
        "BACKEND": "django_fsspec.readthrough.ReadThroughStorage",
        "OPTIONS": {"primary": "new", "fallback": "old"},
    }
    with (
        started(CountingProxy, s3.port) as proxy,
        override_storage("old", new=s3_options(s3, folder(), proxy.url)),
        override_settings(STORAGES={**settings.STORAGES, "both": both}),
    ):
        storage: Any = storages["both"]
        storages["new"].save("a.txt", ContentFile(b"1"))
        proxy.reset()
        with storage.open("a.txt") as file:
            file.read()
        assert len(proxy.requests()) == 1
        storage.url("a.txt")
        storage.url("a.txt")
        assert len(proxy.requests()) == 2


def test_one_alias_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="both 'a'"):
        ReadThroughStorage(primary="a", fallback="a")


@pytest.mark.django_db(databases=["default", "other"])
def test_an_unknown_alias_is_found_by_the_checks() -> None:
    both = {
        "BACKEND": "django_fsspec.readthrough.ReadThroughStorage",
        "OPTIONS": {"primary": "default", "fallback": "nowhere"},
    }
    with override_settings(STORAGES={**settings.STORAGES, "both": both}):
        found = [message.msg for message in run_checks() if message.id == "django_fsspec.E014"]
    assert len(found) == 1
    assert "fallback 'nowhere' is not in STORAGES" in found[0]
