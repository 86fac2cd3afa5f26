"""Two filesystems that no table of ours knows, as a third party would write them.

They follow fsspec's interface and do no more than it asks for; our base adapters must serve them.
"""

from __future__ import annotations

import datetime
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

import fsspec
from fsspec.asyn import AsyncFileSystem
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem


class Entry:
    """The content of a stored file, and when it was stored."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.modified = datetime.datetime.now(datetime.UTC)


class ShelfFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """Blocking, with real directories: a file can only be put into one that exists."""

    protocol = "shelf"
    files: ClassVar[dict[str, Entry]] = {}
    directories: ClassVar[set[str]] = {""}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._busy = threading.Lock()

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        # as a connection would be: of use to one thread at a time
        if not self._busy.acquire(blocking=False):
            raise RuntimeError("Two threads use one ShelfFileSystem at a time.")
        try:
            time.sleep(0.0005)
            return self._info(self._strip_protocol(path))
        finally:
            self._busy.release()

    def _info(self, path: str) -> dict[str, Any]:
        if path in self.directories:
            return {"name": path, "size": 0, "type": "directory"}
        if path not in self.files:
            raise FileNotFoundError(path)
        entry = self.files[path]
        return {
            "name": path,
            "size": len(entry.data),
            "type": "file",
            "modified": entry.modified,
        }

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        path = self._strip_protocol(path)
        if path in self.files:
            found = [path]
        elif path in self.directories:
            names = [*self.files, *self.directories]
            found = [name for name in names if name and self._parent(name) == path]
        else:
            raise FileNotFoundError(path)
        return [self.info(name) for name in found] if detail else found

    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        path = self._strip_protocol(path)
        if path in self.directories or path in self.files:
            raise FileExistsError(path)
        self.directories.add(path)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        path = self._strip_protocol(path)
        if path in self.files or (path in self.directories and not exist_ok):
            raise FileExistsError(path)
        while path:
            self.directories.add(path)
            path = self._parent(path)

    def rm_file(self, path: str) -> None:
        path = self._strip_protocol(path)
        if path not in self.files:
            raise FileNotFoundError(path)
        del self.files[path]

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> ShelfFile:
        if "r" not in mode and self._parent(path) not in self.directories:
            raise FileNotFoundError(self._parent(path))
        kwargs.pop("autocommit", None)
        return ShelfFile(self, path, mode, **kwargs)


class ShelfFile(AbstractBufferedFile):  # type: ignore[misc]
    """Commits what was written with the last chunk, as uploads in parts do."""

    def _initiate_upload(self) -> None:
        self.parts: list[bytes] = []

    def _upload_chunk(self, final: bool = False) -> bool:
        self.buffer.seek(0)
        self.parts.append(self.buffer.read())
        if final:
            self.fs.files[self.path] = Entry(b"".join(self.parts))
        return True

    def _fetch_range(self, start: int, end: int) -> bytes:
        data: bytes = self.fs.files[self.path].data[start:end]
        return data


class CloudFileSystem(AsyncFileSystem):  # type: ignore[misc]
    """Async, flat: directories are but parts of names."""

    protocol = "cloud"
    files: ClassVar[dict[str, Entry]] = {}

    async def _info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        if path in self.files:
            entry = self.files[path]
            return {
                "name": path,
                "size": len(entry.data),
                "type": "file",
                "LastModified": entry.modified,
                "ETag": f'"{id(entry)}"',
            }
        if any(name.startswith(f"{path}/") for name in self.files):
            return {"name": path, "size": 0, "type": "directory"}
        raise FileNotFoundError(path)

    async def _ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        path = self._strip_protocol(path)
        prefix = f"{path}/" if path else ""
        below = [name for name in self.files if name.startswith(prefix)]
        names = {prefix + name[len(prefix) :].partition("/")[0] for name in below}
        if not names:
            raise FileNotFoundError(path)
        return [await self._info(name) for name in sorted(names)] if detail else sorted(names)

    async def _cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any
    ) -> bytes:
        if path not in self.files:
            raise FileNotFoundError(path)
        return self.files[path].data[start:end]

    async def _pipe_file(self, path: str, value: bytes, **kwargs: Any) -> None:
        self.files[path] = Entry(bytes(value))

    async def _put_file(self, lpath: str, rpath: str, **kwargs: Any) -> None:
        self.files[rpath] = Entry(Path(lpath).read_bytes())  # noqa: ASYNC240 - as such code does

    async def _cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        if path1 not in self.files:
            raise FileNotFoundError(path1)
        self.files[path2] = Entry(self.files[path1].data)

    async def _rm_file(self, path: str, **kwargs: Any) -> None:
        # as object stores have it: what is under a "directory" goes with it
        for name in [*self.files]:
            if name == path or name.startswith(f"{path}/"):
                del self.files[name]


fsspec.register_implementation("shelf", ShelfFileSystem, clobber=True)
fsspec.register_implementation("cloud", CloudFileSystem, clobber=True)
