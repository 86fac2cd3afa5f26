"""sweep_files and refresh_files where a callable tells the prefix: the folder of one tenant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import CommandError, call_command

from django_fsspec import FileObject
from django_fsspec.audit.columns import BadArguments
from django_fsspec.audit.findings import MissingFile, Orphan
from django_fsspec.audit.refresh import Refresh
from django_fsspec.audit.sweep import Sweep
from django_fsspec.testing import override_storage
from tests import servers
from tests.helpers.audit import NOW, fates, hold, put, sweep
from tests.helpers.backends import folder, server
from tests.helpers.tenants import ONE, TELL, TWO, listed, options_of, serving
from tests.library.models import Paper

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture(params=["memory", "s3", "local"])
def place(request: pytest.FixtureRequest) -> Iterator[None]:
    with override_storage(default=options_of(request.param)):
        yield


@pytest.mark.usefixtures("place")
def test_a_sweep_deletes_files_of_the_current_tenant_only() -> None:
    for tenant in (ONE, TWO):
        with serving(tenant):
            put("held.txt", "orphan.txt", "in/orphan.txt", f"{tenant}.txt")
    with serving(TWO):
        hold("bolt.txt")
    hold("held.txt")
    with serving(ONE):
        assert fates(**NOW) == dict.fromkeys(
            ["orphan.txt", "in/orphan.txt", "acme.txt"], "deleted"
        )
    assert listed(ONE) == ["held.txt"]
    assert listed(TWO) == ["bolt.txt", "held.txt", "in/orphan.txt", "orphan.txt"]


@pytest.mark.usefixtures("place")
def test_a_sweep_stays_with_the_tenant_of_its_beginning() -> None:
    for tenant in (ONE, TWO):
        with serving(tenant):
            put("a.txt", "b.txt")
    with serving(ONE):
        findings = Sweep(["default"], **NOW).run()
    with serving(TWO):
        next(findings)
    list(findings)  # nobody is served
    assert (listed(ONE), listed(TWO)) == ([], ["a.txt", "b.txt"])


@pytest.mark.usefixtures("place")
def test_a_sweep_without_a_tenant_is_refused() -> None:
    with serving(ONE):
        put("a.txt")
    with pytest.raises(BadArguments, match=r"STORAGES\['default'\]\['OPTIONS'\]\['prefix'\]"):
        Sweep(["default"], **NOW)
    with override_storage("plain"):
        swept = Sweep()
        list(swept.run())
        assert "default" not in swept.tallies
        note = next(note for note in swept.notes if note.startswith("default: was not swept"))
        assert "STORAGES['default']['OPTIONS']['prefix']" in note
    assert listed(ONE) == ["a.txt"]


@pytest.mark.usefixtures("place")
def test_rows_of_others_are_remarked_on() -> None:
    with serving(ONE):
        put("a.txt")
        hold("a.txt", "of-another.txt")
        swept = Sweep(["default"], missing=True)
        found = list(swept.run())
    assert [one.name for one in found if isinstance(one, MissingFile)] == ["of-another.txt"]
    assert any("rows of other tenants" in note for note in swept.notes)


def _beside(kind: str, base: str, below: str, own: str) -> dict[str, Any]:
    """Return options of tenants below a folder and of a plain alias, in one filesystem."""
    if kind == "memory":
        return {
            "default": {"fs": f"memory://{base}/{below}".rstrip("/"), "prefix": TELL},
            "plain": {"fs": f"memory://{base}/{own}".rstrip("/"), "timeout": 7},
        }
    s3 = server(servers.SeaweedS3)
    # another name of the same host, as an internal and a public address are
    other = {**s3.fs_options, "endpoint_url": s3.url.replace("127.0.0.1", "localhost")}
    return {
        "default": {
            "fs": f"s3://{s3.bucket}/{base}/{below}".rstrip("/"),
            "prefix": TELL,
            "fs_options": s3.fs_options if kind == "s3" else other,
        },
        "plain": {"fs": f"s3://{s3.bucket}/{base}/{own}".rstrip("/"), "fs_options": s3.fs_options},
    }


@pytest.mark.parametrize("served", [None, ONE])
@pytest.mark.parametrize("kind", ["memory", "s3", "s3 by another address"])
def test_a_sweep_of_what_is_around_leaves_tenants_alone(kind: str, served: str | None) -> None:
    with override_storage(**_beside(kind, folder(), "tenants", "")):
        for tenant in (ONE, TWO):
            with serving(tenant):
                put("a.txt", "b.txt")
        put("orphan.txt", alias="plain")
        hold("a.txt")
        with serving(served or "third"):
            swept = fates("plain", **NOW)
        assert swept == {"orphan.txt": "deleted"}
        assert listed(ONE) == listed(TWO) == ["a.txt", "b.txt"]


@pytest.mark.parametrize("kind", ["memory", "s3", "s3 by another address"])
@pytest.mark.parametrize("own", ["", "acme", "media"])
def test_a_sweep_of_what_may_be_a_tenants_is_refused(kind: str, own: str) -> None:
    with override_storage(**_beside(kind, folder(), "", own)):
        with serving(ONE):
            put("a.txt")
        for served in (ONE, TWO):
            with serving(served), pytest.raises(BadArguments, match="tenants of 'default'"):
                Sweep(["plain"], **NOW)
        # it still lists
        with serving(TWO):
            assert all(isinstance(one, Orphan) for one in sweep("plain"))
        assert listed(ONE) == ["a.txt"]


@pytest.mark.usefixtures("place")
def test_two_aliases_of_the_same_tenants(place: None) -> None:
    options: dict[str, Any] = options_of("memory")
    with override_storage(default=options, twin={**options, "timeout": 9}):
        with serving(ONE):
            put("a.txt", "b.txt")
        hold("a.txt", alias="twin")
        with serving(ONE):
            assert fates(**NOW) == {"b.txt": "deleted"}
            assert fates("twin", **NOW) == {}


def test_commands_run_for_the_tenant_that_is_served() -> None:
    with override_storage(default=options_of("memory")):
        for tenant in (ONE, TWO):
            with serving(tenant):
                put("a.txt")
        with pytest.raises(CommandError, match="prefix"):
            call_command("sweep_files", "default", "--delete", "--min-age=0", "--noinput")
        with serving(ONE):
            call_command("sweep_files", "--delete", "--min-age=0", "--no-input", "--no-progress")
        assert (listed(ONE), listed(TWO)) == ([], ["a.txt"])


def test_refresh_reads_the_folder_of_the_current_tenant() -> None:
    with override_storage(default=options_of("s3")):
        with serving(ONE):
            put("a.txt", "b.txt")
        with serving(TWO):
            for name in ("a.txt", "b.txt"):
                ContentFile(b"").close()
                storage = FileObject("default", name, content=b"longer than that")
                storage.save()
        hold("a.txt", "b.txt")
        with serving(ONE):
            findings = Refresh(["library.Paper.file"], conditions={"title": ""}).run()
        with serving(TWO):
            list(findings)
        assert {paper.file.size for paper in Paper.objects.all()} == {7}


def test_refresh_asks_for_the_rows_of_one_tenant() -> None:
    with override_storage(default=options_of("memory")):
        for tenant, content in ((ONE, b"one"), (TWO, b"longer than that")):
            with serving(tenant):
                storages["default"].save("a.txt", ContentFile(content))
                Paper.objects.create(title=tenant, file=FileObject("default", "a.txt"))
        with serving(ONE):
            with pytest.raises(CommandError):
                call_command("refresh_files", "library.Paper.file", "--no-progress")
            # the same name is another file for each tenant
            assert {paper.file.size for paper in Paper.objects.all()} == {None}
            call_command("refresh_files", "library.Paper.file", filter=[f"title={ONE}"])
        sizes = {paper.title: paper.file.size for paper in Paper.objects.all()}
        assert sizes == {ONE: 3, TWO: None}


@pytest.mark.parametrize("wrong", ["title", "=x", "no_column=1", "id=x"])
def test_refresh_names_a_filter_that_does_not_fit(wrong: str) -> None:
    with pytest.raises(CommandError, match="--filter") as caught:
        call_command("refresh_files", "library.Paper.file", filter=[wrong])
    assert caught.value.returncode == 2
