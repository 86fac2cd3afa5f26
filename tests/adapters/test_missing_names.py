"""Storages go on where a release to come hides what we use of it beside its documentation.

Which names those are: tests/test_private_names.py. Those of botocore: test_s3_small_requests.py.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
from collections.abc import Callable
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any

import fsspec.asyn
import paramiko
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.middleware import csrf
from sshfs import SSHFileSystem

from django_fsspec.adapters import loops
from django_fsspec.adapters.azure.adapter import AzureAdapter
from django_fsspec.adapters.gcs.adapter import GCSAdapter
from django_fsspec.adapters.s3.adapter import S3Adapter
from django_fsspec.adapters.s3.client import S3Api
from django_fsspec.forms import kept_uploads
from django_fsspec.storage import FSSpecStorage, aliases
from django_fsspec.testing import override_storage
from tests.helpers.backends import folder, server
from tests.helpers.workers import Worker
from tests.servers import OpenSSH, PyFTP
from tests.soak import forks, grounds
from tests.soak.grounds import Ground

pytestmark = pytest.mark.once

LARGE = bytes(range(256)) * 9000


class Hiding:
    """An object that lacks one of its attributes."""

    def __init__(self, wrapped: Any, name: str) -> None:
        self._wrapped, self._name = wrapped, name

    def __getattr__(self, name: str) -> Any:
        if name == self._name:
            raise AttributeError(name)
        return getattr(self._wrapped, name)


def storage_on(ground: Ground, **options: Any) -> FSSpecStorage:
    return FSSpecStorage(**ground.options(folder()), chunk_size=1 << 20, **options)


def use(storage: FSSpecStorage) -> None:
    """Write, read, refuse to overwrite, copy nothing over, delete."""
    assert storage.save("small.txt", ContentFile(b"small")) == "small.txt"
    assert storage.save("small.txt", ContentFile(b"other")) != "small.txt"
    assert storage.save("large.bin", ContentFile(LARGE)) == "large.bin"
    assert storage.get_content("small.txt") == b"small"
    assert storage.get_content("large.bin") == LARGE
    assert storage.get_content("large.bin", 100, 1_500_000) == LARGE[100:1_500_000]
    with storage.open("large.bin") as file:
        file.seek(2_000_000)
        assert file.read() == LARGE[2_000_000:]
    storage.delete("small.txt")
    assert not storage.exists("small.txt")
    with pytest.raises(FileNotFoundError):
        storage.get_content("small.txt")


# SSH


@pytest.mark.slow
def test_sshfs_without_its_finalizer(monkeypatch: pytest.MonkeyPatch) -> None:
    init = SSHFileSystem.__init__

    def init_then_hide(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        monkeypatch.delattr(SSHFileSystem, "_finalize", raising=False)

    monkeypatch.setattr(SSHFileSystem, "__init__", init_then_hide)
    # a connection of its own
    storage = storage_on(grounds.SFTP, timeout=29.5)
    use(storage)
    assert not hasattr(SSHFileSystem, "_finalize")


@pytest.mark.parametrize("signature", ["other", "none"])
def test_paramiko_without_a_way_to_close_unasked(
    signature: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = paramiko.SFTPFile._close  # type: ignore[attr-defined]
    monkeypatch.setattr(paramiko.SFTPFile, "close", lambda self: close(self, async_=False))
    monkeypatch.setattr(paramiko.SFTPFile, "__del__", lambda self: None)
    if signature == "other":
        monkeypatch.setattr(paramiko.SFTPFile, "_close", lambda self, wait: None)
    else:
        monkeypatch.delattr(paramiko.SFTPFile, "_close")
    use(storage_on(grounds.PARAMIKO))


# Azure, GCS, S3


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> FSSpecStorage:
    """A storage whose blob clients hide what they make their requests by."""
    storage = storage_on(grounds.AZURE, object_options={"cache_control": "max-age=60"})
    api = storage.flows.adapter.api  # type: ignore[attr-defined]
    blob = api.blob
    monkeypatch.setattr(api, "blob", lambda path: Hiding(blob(path), "_client"))
    return storage


def test_azure_without_its_generated_operations(azure: FSSpecStorage) -> None:
    use(azure)
    stored = azure.store("typed.css", ContentFile(b"a {}"))
    assert stored.etag
    stat = azure.stat("typed.css")
    assert (stat.etag, stat.content_type) == (stored.etag, "text/css")
    assert azure.get_content("typed.css", 1, 3) == b" {"


def test_tuning_without_a_place_for_it() -> None:
    bare = SimpleNamespace(service_client=object())
    for adapter in (AzureAdapter, GCSAdapter, S3Adapter):
        adapter.tune_instance(bare, timeout=1, retries=1)


def test_gcs_without_its_way_of_trying_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs.retry", ModuleType("gcsfs.retry"))
    # a filesystem of its own
    use(storage_on(grounds.GCS, timeout=29.5))


def test_s3fs_without_the_options_of_its_session() -> None:
    class Bare:
        async def set_session(self) -> str:
            return "client"

    assert asyncio.run(S3Api(Bare, *[None] * 2).connect()) == "client"  # type: ignore[arg-type]


# event loops and forks


def use_in_a_fork_without(name: str) -> None:
    """Run in a process of its own: fork while what is used after a fork is gone."""
    if name == "reset_lock":
        del fsspec.asyn.reset_lock
    else:
        cut_off = loops._cut_off
        loops._cut_off = lambda loop: cut_off(Hiding(loop, name))
    storage = storage_on(grounds.SEAWEED)
    forks.use(storage, "parent")
    forks.in_child(partial(forks.use, storage, "child"))
    forks.use(storage, "parent")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["reset_lock", "_transports"])
def test_forked_children_without(name: str) -> None:
    with Worker() as worker:
        worker.call(use_in_a_fork_without, name)


def test_a_loop_that_takes_no_attributes_is_left_as_it_is() -> None:
    class Slotted:
        __slots__ = ("handler",)

        def set_exception_handler(self, handler: Callable[..., Any]) -> None:
            self.handler = handler

    loop = Slotted()
    loops._cut_off(loop)
    assert callable(loop.handler)


def test_a_loop_without_a_selector_of_its_own() -> None:
    loop = SimpleNamespace(_selector=selectors.SelectSelector(), set_exception_handler=id)
    loops._cut_off(loop)


def test_finalizers_without_a_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "weakref", SimpleNamespace(finalize=SimpleNamespace()))
    loops.finalized_on_own_loop(object(), id)


# FTP


def test_ftp_lists_without_mlsd(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = storage_on(grounds.FTP)
    storage.save("folder/a name -> with [odd] parts.txt", ContentFile(b"12345"))
    storage.save("folder/below/b.txt", ContentFile(b""))
    root = server(PyFTP).root / storage.options.prefix / "folder"
    (root / "link.txt").symlink_to(root / "a name -> with [odd] parts.txt")
    fs = storage.flows.adapter.pool.take()
    fs.features = frozenset()
    storage.flows.adapter.pool.give_back(fs)
    monkeypatch.setattr(type(storage.flows.adapter), "tune_instance", lambda *a, **k: None)
    folders, names = storage.listdir("folder")
    assert folders == ["below"]
    assert sorted(names) == ["a name -> with [odd] parts.txt", "link.txt"]


# Django


def test_kept_uploads_without_the_csrf_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    token = csrf._mask_cipher_secret("a" * 32)  # type: ignore[attr-defined]
    assert kept_uploads.binding_of({"csrfmiddlewaretoken": token}) == "a" * 32
    monkeypatch.delattr(csrf, "_unmask_cipher_token")
    assert kept_uploads.binding_of({"csrfmiddlewaretoken": token}) == ""


def test_aliases_without_the_storages_made(monkeypatch: pytest.MonkeyPatch) -> None:
    with override_storage("default"):
        storage = storages["default"]
        monkeypatch.setattr(aliases, "storages", Hiding(storages, "_storages"))
        assert storage.alias == "default"  # type: ignore[attr-defined]


# host keys


@pytest.mark.parametrize("known", ["nothing", "another"])
def test_paramiko_checks_the_key_of_the_host(known: str, tmp_path: Any) -> None:
    ssh = server(OpenSSH)
    hosts = tmp_path / "known_hosts"
    name = f"[{ssh.paramiko_options['host']}]:{ssh.port}"
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    hosts.write_text("" if known == "nothing" else f"{name} {key}\n")
    options = grounds.PARAMIKO.options(folder())
    storage = FSSpecStorage(
        **{**options, "fs_options": {**options["fs_options"], "known_hosts": str(hosts)}}
    )
    said = "is not known" if known == "nothing" else "is not the one we know"
    with pytest.raises(PermissionError, match=said):
        storage.save("a.txt", ContentFile(b"x"))


@pytest.mark.parametrize("own", [False, True])
def test_paramiko_without_a_check_of_the_key(own: bool) -> None:
    """The user's own transport is used, and checked unless that is switched off."""
    made: list[paramiko.Transport] = []

    def transport(*args: Any, **kwargs: Any) -> paramiko.Transport:
        made.append(paramiko.Transport(*args, **kwargs))
        return made[-1]

    options = grounds.PARAMIKO.options(folder())
    extra: dict[str, Any] = {"transport_factory": transport} if own else {"known_hosts": None}
    storage = FSSpecStorage(**{**options, "fs_options": {**options["fs_options"], **extra}})
    assert storage.save("a.txt", ContentFile(b"x")) == "a.txt"
    assert len(made) == own
