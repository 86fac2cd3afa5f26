"""Sessions of an SFTP connection by sshfs: few, and none is used that does not answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec.asyn
import pytest
from django.core.files.base import ContentFile

from django_fsspec.storage import FSSpecStorage
from tests import servers
from tests.helpers.utils import started
from tests.servers.hostile_sftp import HostileSFTP

pytestmark = pytest.mark.once


class DefaultSSH(servers.OpenSSH):
    """A server with the sessions that OpenSSH allows unless told otherwise."""

    max_sessions: ClassVar[int] = 10


class OneSessionSSH(servers.OpenSSH):
    """A server with one session a connection."""

    max_sessions: ClassVar[int] = 1


def storage_on(ssh: servers.OpenSSH, **options: Any) -> FSSpecStorage:
    return FSSpecStorage(fs="ssh", fs_options=ssh.fs_options, prefix=ssh.path, **options)


@pytest.mark.parametrize("kind", [DefaultSSH, OneSessionSSH])
def test_saves_under_one_name_at_once_leave_no_part_files(kind: type[servers.OpenSSH]) -> None:
    with started(kind) as ssh:
        storage = storage_on(ssh)

        async def at_once() -> list[str]:
            saves = (storage.asave("a.txt", ContentFile(b"x")) for _ in range(40))
            return await asyncio.gather(*saves)

        saved = asyncio.run(at_once())
        assert len(set(saved)) == 40
        assert sorted(path.name for path in ssh.root.iterdir()) == sorted(saved)


def test_a_connection_without_a_free_session_is_replaced_and_not_cut() -> None:
    with started(OneSessionSSH) as ssh:
        storage = storage_on(ssh, retries=1)
        adapter: Any = storage.flows.adapter
        fs = adapter.fs
        sftp = fsspec.asyn.sync(fs.loop, fs.client.start_sftp_client)
        assert not storage.exists("a.txt")
        assert fsspec.asyn.sync(fs.loop, sftp.listdir, ssh.path) == [".", ".."]


def test_many_saves_at_once_over_few_sessions() -> None:
    with started(DefaultSSH) as ssh:
        fs_options = {**ssh.fs_options, "max_sessions": 3}
        storage = FSSpecStorage(fs="ssh", fs_options=fs_options, prefix=ssh.path)
        names = [f"{number}.txt" for number in range(40)]

        async def at_once() -> None:
            await asyncio.gather(*(storage.asave(name, ContentFile(b"x")) for name in names))

        asyncio.run(at_once())
        assert sorted(storage.listdir("")[1]) == sorted(names)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HostileSFTP]:
    with HostileSFTP(tmp_path) as running:
        yield running


def hostile(server: HostileSFTP) -> FSSpecStorage:
    """Return a storage that gives up at once what is lost, and soon what is not answered."""
    return FSSpecStorage(fs="ssh", fs_options=server.fs_options, prefix="/", timeout=2, retries=0)


@pytest.mark.slow
def test_a_session_that_does_not_answer_is_used_no_more(server: HostileSFTP) -> None:
    storage = hostile(server)
    server.renames = "hang"
    with pytest.raises(TimeoutError):
        storage.save("a.txt", ContentFile(b"a"))
    server.renames = ""
    # what is asked in the session waits for ever
    assert storage.save("b.txt", ContentFile(b"b")) == "b.txt"
    assert storage.listdir("") == ([], ["b.txt"])
    assert len(server.connections) == 1


@pytest.mark.slow
def test_a_late_answer_cuts_nothing_else(server: HostileSFTP) -> None:
    storage = hostile(server)
    begun, failed = threading.Event(), threading.Event()

    class Waiting(ContentFile):  # type: ignore[type-arg]
        """Content that is read after another save has failed."""

        def read(self, *args: Any) -> Any:
            begun.set()
            assert failed.wait(60)
            return super().read(*args)

        def chunks(self, *args: Any) -> Any:
            while chunk := self.read(1 << 20):
                yield chunk

    async def both() -> str:
        content = Waiting(b"b" * (3 << 20))
        other = asyncio.create_task(storage.asave("b.bin", content))
        assert await asyncio.to_thread(begun.wait, 60)
        server.renames = "hang"
        with pytest.raises(TimeoutError):
            await storage.asave("a.txt", ContentFile(b"a"))
        server.release()
        failed.set()
        return await other

    assert asyncio.run(both()) == "b.bin"
    assert storage.listdir("") == ([], ["b.bin"])
    assert len(server.connections) == 1
