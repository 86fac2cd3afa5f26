"""Forks of a process that uses a storage: done in a worker, which no test framework watches."""

from __future__ import annotations

import asyncio
import atexit
import faulthandler
import gc
import os
import signal
import ssl
import threading
import time
import traceback
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace
from typing import Any

from botocore.auth import S3SigV4Auth
from botocore.credentials import Credentials
from django.core.files.base import ContentFile

from django_fsspec.storage import FSSpecStorage

from .jobs import storage


def use(store: FSSpecStorage, label: str, turns: int = 1) -> None:
    """Save, read, look and delete; raise when anything is not as it should be."""
    for turn in range(turns):
        data = f"{label} {turn} ".encode() * 500
        # a folder of its own: SeaweedFS clears away emptied ones some time later
        folder = f"{label}-{uuid.uuid4().hex}"
        name = store.save(f"{folder}/file.bin", ContentFile(data))
        assert store.get_content(name) == data
        with store.open(name) as file:
            assert file.read() == data
        assert store.size(name) == len(data)
        assert store.listdir(folder)[1] == [name.rpartition("/")[2]]
        store.delete(name)
        assert not store.exists(name)


async def ause(store: FSSpecStorage, label: str) -> None:
    """Do as `use()`, ten times at once."""

    async def one(number: int) -> None:
        data = f"{label} {number} ".encode() * 500
        name = await store.asave(f"{label}/{number}.bin", ContentFile(data))
        assert await store.aget_content(name) == data
        assert await store.asize(name) == len(data)
        await store.adelete(name)
        assert not await store.aexists(name)

    await asyncio.gather(*map(one, range(10)))


def in_child(work: Callable[[], object], timeout: float = 30) -> float:
    """Run `work` in a forked child and return the seconds it took.

    The child ends as an interpreter does: what it inherited is freed, and what wants to be done
    at exit is. Raises when it fails or hangs; one that hangs says where before that.
    """
    # a child's own would wait for the thread of this one, which it does not have
    faulthandler.cancel_dump_traceback_later()
    start = time.monotonic()
    pid = os.fork()
    if pid == 0:
        status = 1
        faulthandler.dump_traceback_later(timeout * 0.9)
        try:
            work()
            gc.collect()
            atexit._run_exitfuncs()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    while time.monotonic() - start < timeout:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0, "the child failed: see its traceback"
            return time.monotonic() - start
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise TimeoutError(f"The child hung for {timeout} s.")


def prefork(options: dict[str, Any]) -> None:
    """Use the storage, then fork as Celery does; children and parent go on, sync and async."""
    store = storage(options)
    use(store, "parent")
    asyncio.run(ause(store, "parent"))
    for number in range(3):
        in_child(partial(use, store, f"child{number}", 2))
        use(store, "parent")

    def both() -> None:
        asyncio.run(ause(store, "child"))
        use(store, "child")
        in_child(partial(use, store, "grandchild"))

    in_child(both)
    asyncio.run(ause(store, "parent"))


def fork_while_busy(options: dict[str, Any]) -> None:
    """Fork at moments when two other threads are in the middle of something."""
    store = storage(options)
    use(store, "before")
    stop = threading.Event()

    def work(label: str) -> int:
        turns = 0
        while not stop.is_set():
            use(store, label)
            turns += 1
        return turns

    with ThreadPoolExecutor(2) as pool:
        working = [pool.submit(work, f"busy{number}") for number in range(2)]
        try:
            for number in range(5):
                time.sleep(0.02 * number)
                in_child(partial(use, store, f"child{number}"))
        finally:
            stop.set()
        assert all(future.result() for future in working)


def fork_at_first_signatures(trials: int) -> int:
    """Fork while another thread signs for the first time; return how many children hung.

    Each trial is a process of its own, in which OpenSSL looks HMAC up for the first time.
    """
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    hung = 0
    for number in range(trials):
        pid = os.fork()
        if pid == 0:
            os._exit(_fork_at_first_signature(number / trials * 0.0006))
        hung += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return hung


def _fork_at_first_signature(delay: float) -> int:
    ready = threading.Event()

    signer = S3SigV4Auth(Credentials("key", "secret"), "s3", "us-east-1")

    def sign() -> None:
        ready.set()
        signer.signature("what is signed", SimpleNamespace(context={"timestamp": "20260101"}))

    def connect() -> None:
        thread = threading.Thread(target=ssl.SSLContext, args=(ssl.PROTOCOL_TLS_CLIENT,))
        thread.start()
        thread.join()
        os._exit(0)  # what the child inherited is not what this is about

    signing = threading.Thread(target=sign)
    signing.start()
    ready.wait()
    time.sleep(delay)
    try:
        in_child(connect, timeout=3)
    except TimeoutError:
        return 1
    return 0


def two_loops(options: dict[str, Any]) -> None:
    """Use the storage from one event loop after the other, and from sync code between."""
    store = storage(options)
    for _ in range(2):
        asyncio.run(ause(store, "loop"))
        use(store, "between")
