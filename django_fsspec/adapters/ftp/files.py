"""FTP's answers, data connections and calls on names."""

from __future__ import annotations

import contextlib
import ftplib
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from django_fsspec.adapters.blocking import file_only
from django_fsspec.adapters.errors import is_directory, not_found
from django_fsspec.core.names import PARTIAL_SUFFIX, join
from django_fsspec.core.stat import Stat, utc

#: first characters of the lines of FIFOs, sockets and devices in LIST
_SPECIAL = ("p", "s", "b", "c")
_TYPES = {"d": "dir", "l": "link", "-": "file"}
#: mode, number of links, owner, group, size, month, day, time or year, one space, name
_LINE = re.compile(
    r"(?P<mode>[-bcdlps])\S*\s+\S+\s+\S+\s+\S+\s+(?P<size>\d+)\s+"
    r"(?P<modify>\S+\s+\S+\s+\S+) (?P<name>.+)"
)
_WILDCARDS = frozenset("*?[]{}")
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


def described(fs: Any, path: str) -> Stat:
    """Describe a file or directory; other things than files may pass for one.

    Raises ``FileNotFoundError`` when there is none.
    """
    try:
        if "MLST" in fs.features:
            return stat_of(path, facts_of(fs.ftp.sendcmd(f"MLST {at(path)}")))
        return _sized(fs, path)
    except ftplib.error_perm as error:
        if meaning_of(error) is FileNotFoundError:
            raise not_found(path) from error
        raise


def _sized(fs: Any, path: str) -> Stat:
    """Describe a file without MLST; directories have no size."""
    fs.ftp.voidcmd("TYPE I")
    facts = {"size": fs.ftp.sendcmd(f"SIZE {at(path)}")[3:].strip()}
    if "MDTM" in fs.features:
        facts["modify"] = fs.ftp.sendcmd(f"MDTM {at(path)}")[3:].strip()
    return stat_of(path, facts)


def file_at(fs: Any, path: str) -> Stat:
    """Describe a file. An empty one is looked up in LIST too, which tells a FIFO from a file.

    Raises ``FileNotFoundError`` when there is none, or a directory, FIFO, socket or device.
    """
    stat = file_only(described(fs, path))
    if stat.size == 0 and _WILDCARDS.isdisjoint(path):
        lines: list[str] = []
        with contextlib.suppress(ftplib.error_perm):
            fs.ftp.dir(at(path), lines.append)
        if any(line.startswith(_SPECIAL) for line in lines):
            raise not_found(path)
    return stat


class Listing:
    """A server's answer to LIST for a directory, which is what ``ls -l`` prints.

    Lines that look otherwise are left out: RFC 959 says that the answer is for people.
    """

    def __init__(self, fs: Any, path: str) -> None:
        # not LIST with a name: servers take wildcards in it
        fs.ftp.cwd(at(path))
        lines: list[str] = []
        fs.ftp.dir(lines.append)
        self._matches = [match for match in map(_LINE.fullmatch, lines) if match]
        #: texts of links: ``name -> target``
        self._links = [match["name"] for match in self._matches if match["mode"] == "l"]
        self._others = {m["name"]: m["mode"] for m in self._matches if m["mode"] != "l"}

    def is_link(self, name: str) -> bool:
        """Return whether the entry of this name is a link."""
        if name in self._others:
            return False
        return any(text.startswith(f"{name} -> ") for text in self._links)

    def is_special(self, name: str) -> bool:
        """Return whether the entry of this name is a FIFO, socket or device."""
        return self._others.get(name, "-") in _SPECIAL

    def entries(self) -> list[tuple[str, dict[str, str]]]:
        """Return names and facts of the entries, as MLSD does; a link is of the type "link"."""
        return [
            (
                match["name"].partition(" -> ")[0] if match["mode"] == "l" else match["name"],
                {
                    "type": _TYPES.get(match["mode"], "other"),
                    "size": match["size"],
                    "modify": match["modify"],
                },
            )
            for match in self._matches
        ]


def listed(fs: Any, path: str, *, links: bool) -> list[Stat]:
    """Describe the entries of a directory; with `links`, tell which are links.

    MLSD describes what a link leads to, and a FIFO as an empty file: LIST tells them apart.
    """
    lines = None
    if "MLST" in fs.features:
        entries = list(fs.ftp.mlsd(at(path)))
        if links or any(stat_of(name, facts).size == 0 for name, facts in entries):
            lines = Listing(fs, path)
    else:
        lines = Listing(fs, path)
        entries = lines.entries()
    stats = (_listed(fs, path, name, facts, lines) for name, facts in entries)
    return [stat for stat in stats if stat is not None]


def _listed(
    fs: Any, path: str, name: str, facts: Mapping[str, str], lines: Listing | None
) -> Stat | None:
    """Describe an entry of a directory, None for what is no file and no directory below it."""
    file_type = facts.get("type", "file").lower()
    if name in (".", "..") or file_type in ("cdir", "pdir") or name.endswith(PARTIAL_SUFFIX):
        return None
    if lines is not None and lines.is_special(name):
        return None
    # RFC 3659 gives types of the operating system such as OS.unix=slink:target
    if file_type.startswith("os.") or file_type == "link":
        return _followed(fs, join(path, name)) if "link" in file_type else None
    is_link = lines is not None and lines.is_link(name)
    return replace(stat_of(join(path, name), facts), is_link=is_link)


def _followed(fs: Any, path: str) -> Stat | None:
    """Describe what a link leads to; None where that is nothing, or no file."""
    if is_dir(fs, path):
        return Stat(name=path, is_dir=True, is_link=True)
    try:
        return replace(_sized(fs, path), is_link=True)
    except ftplib.error_perm:
        return None


def exists(fs: Any, path: str) -> bool:
    """Return whether a file or directory has this name."""
    try:
        described(fs, path)
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
