"""FTP's answers, data connections and calls on names."""

from __future__ import annotations

import contextlib
import ftplib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django_fsspec.adapters.errors import is_directory, not_found
from django_fsspec.core.stat import Stat, utc

_DENIED = re.compile(r"permission|privilege|denied|not allowed|read.only", re.IGNORECASE)


def at(path: str) -> str:
    """Return `path` as the absolute path that FTP commands take."""
    return "/" + path.lstrip("/")


def code_of(error: BaseException) -> str:
    """Return the three digits of a server's error answer, or ""."""
    return str(error)[:3] if isinstance(error, ftplib.Error) else ""


def meaning_of(error: BaseException) -> type[OSError] | None:
    """Return the built-in exception that a server's error answer means, or None."""
    code = code_of(error)
    if code in ("530", "532"):
        return PermissionError
    if code in ("550", "553"):
        # one code for everything that is wrong with a name
        return PermissionError if _DENIED.search(str(error)) else FileNotFoundError
    return None


def stat_of(path: str, facts: Mapping[str, str]) -> Stat:
    """Return the facts of MLST, MLSD or LIST as a Stat."""
    file_type = facts.get("type", "file").lower()
    size = facts.get("size")
    return Stat(
        name=path,
        size=int(size) if size is not None and file_type == "file" else None,
        is_dir=file_type in ("dir", "cdir", "pdir"),
        last_modified=utc(facts.get("modify")),
        created=utc(facts.get("create")),
    )


class FTPStream:
    """The data connection of one RETR; its control connection is taken until `release`."""

    def __init__(
        self,
        fs: Any,
        data: Any,
        length: int | None,
        release: Callable[[BaseException | None], None],
    ) -> None:
        self._fs, self._data, self._left = fs, data, length
        self._release: Callable[[BaseException | None], None] | None = release

    def read(self, size: int) -> bytes:
        if self._data is None:
            return b""
        wanted = size if self._left is None else min(size, self._left)
        try:
            chunk: bytes = self._data.recv(wanted)
            self._account(chunk)
        except BaseException as error:
            self._give_back(error)
            raise
        return chunk

    def _account(self, chunk: bytes) -> None:
        if chunk and self._left is not None:
            self._left -= len(chunk)
        if chunk and self._left != 0:
            return
        data, self._data = self._data, None
        data.close()
        try:
            self._fs.ftp.voidresp()
        except ftplib.Error:
            # an error is expected when we closed before the end; otherwise it counts
            if not chunk:
                raise
        self._give_back()

    def _give_back(self, error: BaseException | None = None) -> None:
        release, self._release = self._release, None
        if release is not None:
            release(error)

    def close(self) -> None:
        data, self._data = self._data, None
        if data is not None:
            data.close()
            self._give_back(EOFError("closed in the middle"))


def facts_of(answer: str) -> dict[str, str]:
    """Return the facts in a server's answer to MLST."""
    line = next(line for line in answer.splitlines()[1:] if line.startswith(" "))
    facts, _, _ = line[1:].partition(" ")
    pairs = (fact.partition("=") for fact in facts.rstrip(";").split(";"))
    return {name.lower(): value for name, _, value in pairs}


def listed_in(lines: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """Return names and facts in a server's answer to LIST, which is what ``ls -l`` prints.

    What looks otherwise is left out: RFC 959 says that the answer is for people.
    """
    entries = []
    for line in lines:
        columns = line.split(maxsplit=8)
        if len(columns) == 9:
            mode, name = columns[0], columns[8]
            is_dir = mode.startswith("d")
            if mode.startswith("l"):
                name = name.partition(" -> ")[0]
            modified = " ".join(columns[5:8])
            facts = {"type": "dir" if is_dir else "file", "size": columns[4], "modify": modified}
            entries.append((name, facts))
    return entries


def describe(fs: Any, path: str) -> Stat:
    """Describe a file or directory.

    Raises ``FileNotFoundError`` when there is none.
    """
    try:
        if "MLST" in fs.features:
            return stat_of(path, facts_of(fs.ftp.sendcmd(f"MLST {at(path)}")))
        # directories have no size
        fs.ftp.voidcmd("TYPE I")
        facts = {"size": fs.ftp.sendcmd(f"SIZE {at(path)}")[3:].strip()}
        if "MDTM" in fs.features:
            facts["modify"] = fs.ftp.sendcmd(f"MDTM {at(path)}")[3:].strip()
        return stat_of(path, facts)
    except ftplib.error_perm as error:
        if meaning_of(error) is FileNotFoundError:
            raise not_found(path) from error
        raise


def exists(fs: Any, path: str) -> bool:
    """Return whether a file or directory has this name."""
    try:
        describe(fs, path)
    except FileNotFoundError:
        # SIZE knows no directories
        return "MLST" not in fs.features and is_dir(fs, path)
    return True


def is_dir(fs: Any, path: str) -> bool:
    """Return whether `path` is a directory."""
    try:
        fs.ftp.cwd(at(path))
    except ftplib.error_perm:
        return False
    return True


class FTPNames:
    """The calls on names: the lock is a directory, as MKD alone is exclusive on any server."""

    def __init__(self, fs: Any) -> None:
        self._fs = fs

    def refused(self, error: Exception) -> bool:
        return isinstance(error, ftplib.error_perm)

    def exists(self, path: str) -> bool:
        return exists(self._fs, path)

    def lock(self, path: str) -> None:
        self._fs.ftp.voidcmd(f"MKD {at(path)}")

    def unlock(self, path: str) -> None:
        with contextlib.suppress(ftplib.Error):
            self._fs.ftp.rmd(at(path))

    def rename(self, source: str, target: str) -> None:
        self._fs.ftp.rename(at(source), at(target))

    def replace(self, source: str, target: str) -> bool:
        try:
            self.rename(source, target)
        except ftplib.error_perm:
            if is_dir(self._fs, target):
                raise is_directory(target) from None
            return False
        return True

    def remove(self, path: str) -> None:
        self._fs.ftp.delete(at(path))
