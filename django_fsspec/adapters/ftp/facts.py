"""What an FTP server says about files and directories: MLST, MLSD and LIST."""

from __future__ import annotations

import contextlib
import ftplib
import re
import ssl
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, TypeAlias

from django_fsspec.adapters.blocking import file_only
from django_fsspec.adapters.errors import not_found
from django_fsspec.core.names import PARTIAL_SUFFIX, join
from django_fsspec.core.stat import Stat, parse_number, utc
from django_fsspec.exceptions import StorageError

FileType: TypeAlias = Literal["file", "dir", "link", "other"]

#: first characters of the lines of FIFOs, sockets and devices in LIST
_SPECIAL = ("p", "s", "b", "c")
_TYPES = {"d": "dir", "l": "OS.unix=slink", "-": "file"}
#: mode, number of links, owner, group, size, month, day, time or year, one space, name
_LINE = re.compile(
    r"(?P<mode>[-bcdlps])\S*\s+\S+\s+\S+\s+\S+\s+(?P<size>\d+)\s+"
    r"(?P<modify>\S+\s+\S+\s+\S+) (?P<name>.+)"
)
_WILDCARDS = frozenset("*?[]{}")
_MAX_LINE = 8192
#: codes of a server that closes the control connection, or has lost the data connection
_LOST = ("421", "425", "426")
#: errors that are raised here, between two commands
_OWN = (FileNotFoundError, FileExistsError, PermissionError, StorageError)
_DENIED = re.compile(r"permission|privilege|denied|not allowed|read.only", re.IGNORECASE)


def at(path: str) -> str:
    """Return `path` as the absolute path that FTP commands take."""
    return "/" + path.lstrip("/")


def code_of(error: BaseException) -> str:
    """Return the three digits of a server's error answer, or ""."""
    return str(error)[:3] if isinstance(error, ftplib.Error) else ""


def answered(error: BaseException) -> bool:
    """Return whether `error` is an answer of the server, so that the connection is in step.

    Not so after a line that is too long, or an answer that the protocol does not have.
    """
    refusals = (ftplib.error_temp, ftplib.error_perm, *_OWN)
    return isinstance(error, refusals) and code_of(error) not in _LOST


def lost(error: BaseException) -> bool:
    """Return whether a connection, for commands or for data, was lost or could not be made."""
    if isinstance(error, _OWN):
        return False
    return isinstance(error, EOFError | OSError) or code_of(error) in _LOST


def meaning_of(error: BaseException) -> type[OSError] | None:
    """Return the built-in exception that a server's error answer means, or None."""
    code = code_of(error)
    if code in ("530", "532"):
        return PermissionError
    if code in ("550", "553"):
        # one code for everything that is wrong with a name
        return PermissionError if _DENIED.search(str(error)) else FileNotFoundError
    return None


def type_of(facts: Mapping[str, str]) -> FileType:
    """Return what the facts of MLST, MLSD or LIST describe (RFC 3659, section 7.5.1).

    Some servers describe what a link leads to, others the link: ``OS.unix=slink:target``.
    """
    text = facts.get("type", "file").lower()
    if text in ("dir", "cdir", "pdir"):
        return "dir"
    if text.startswith("os.") and "link" in text:
        return "link"
    return "file" if text == "file" else "other"


def stat_of(path: str, facts: Mapping[str, str]) -> Stat:
    """Return the facts of MLST, MLSD or LIST as a Stat."""
    file_type, size = type_of(facts), facts.get("size", "")
    return Stat(
        name=path,
        size=parse_number(size) if file_type == "file" else None,
        is_dir=file_type == "dir",
        last_modified=utc(facts.get("modify")),
        created=utc(facts.get("create")),
    )


def facts_of(answer: str) -> dict[str, str]:
    """Return the facts in a server's answer to MLST.

    Raises ``ftplib.error_proto`` when there are none.
    """
    first, *further = answer.splitlines()
    # some servers answer in one line
    lines = [line[1:] for line in further if line.startswith(" ")] or [first[4:]]
    _, facts = _fields(lines[0])
    if not facts:
        raise ftplib.error_proto(  # noqa: S321 - an exception, no call
            f"MLST was answered without facts: {answer}"
        )
    return facts


def _fields(line: str) -> tuple[str, dict[str, str]]:
    """Return the name and the facts in a line of MLSD, or of an answer to MLST."""
    facts, _, name = line.partition(" ")
    pairs = (fact.partition("=") for fact in facts.split(";") if "=" in fact)
    return name, {label.lower(): value for label, _, value in pairs}


def lines_of(fs: Any, command: str) -> list[str]:
    """Return the lines that a command sends over a data connection.

    ftplib's own ends a line at a CR in a name too. Raises ``ftplib.Error`` for a line that is too
    long, after which the connection is out of step.
    """
    fs.ftp.voidcmd("TYPE A")
    lines = []
    with fs.ftp.transfercmd(command) as data, data.makefile("rb") as file:
        while line := file.readline(_MAX_LINE + 1):
            if len(line) > _MAX_LINE:
                raise ftplib.Error(  # noqa: S321 - an exception, no call
                    f"a line of the listing has more than {_MAX_LINE} bytes"
                )
            lines.append(line.removesuffix(b"\n").removesuffix(b"\r").decode(fs.encoding))
        if isinstance(data, ssl.SSLSocket):
            # the listing was not cut short
            data.unwrap()
    fs.ftp.voidresp()
    return lines


def facts_at(fs: Any, path: str) -> dict[str, str]:
    """Return the facts of whatever has this name.

    Raises ``FileNotFoundError`` when there is nothing.
    """
    try:
        if "MLST" not in fs.features:
            return _file_facts(fs, path)
        facts = facts_of(fs.ftp.sendcmd(f"MLST {at(path)}"))
        if type_of(facts) == "file" and "size" not in facts:
            # RFC 3659 leaves it to the server which facts it tells
            facts["size"] = _size(fs, path)
        return facts
    except ftplib.error_perm as error:
        if meaning_of(error) is FileNotFoundError:
            raise not_found(path) from error
        raise


def _file_facts(fs: Any, path: str) -> dict[str, str]:
    """Return the facts of a file without MLST; directories have no size."""
    facts = {"size": _size(fs, path)}
    if "MDTM" in fs.features:
        facts["modify"] = fs.ftp.sendcmd(f"MDTM {at(path)}")[3:].strip()
    return facts


def _size(fs: Any, path: str) -> str:
    fs.ftp.voidcmd("TYPE I")
    return str(fs.ftp.sendcmd(f"SIZE {at(path)}"))[3:].strip()


def file_at(fs: Any, path: str) -> Stat:
    """Describe a file. An empty one is looked up in LIST too, which tells a FIFO from a file.

    Raises ``FileNotFoundError`` when there is none, or a directory, FIFO, socket or device.
    """
    facts = facts_at(fs, path)
    file_type = type_of(facts)
    stat = _followed(fs, path) if file_type == "link" else stat_of(path, facts)
    if stat is None or file_type == "other":
        raise not_found(path)
    if stat.size == 0 and _WILDCARDS.isdisjoint(path):
        lines: list[str] = []
        with contextlib.suppress(ftplib.error_perm):
            lines = lines_of(fs, f"LIST {at(path)}")
        if any(line.startswith(_SPECIAL) for line in lines):
            raise not_found(path)
    return file_only(stat)


class Listing:
    """A server's answer to LIST for a directory, which is what ``ls -l`` prints.

    Lines that look otherwise are left out: RFC 959 says that the answer is for people.
    """

    def __init__(self, fs: Any, path: str) -> None:
        # not LIST with a name: servers take wildcards in it
        fs.ftp.cwd(at(path))
        lines = lines_of(fs, "LIST")
        self._matches = [match for match in map(_LINE.fullmatch, lines) if match]
        #: texts of links: ``name -> target``
        self._links = [match["name"] for match in self._matches if match["mode"] == "l"]
        self._modes = {m["name"]: m["mode"] for m in self._matches if m["mode"] != "l"}

    def is_link(self, name: str) -> bool:
        """Return whether the entry of this name is a link."""
        if name in self._modes:
            return False
        return any(text.startswith(f"{name} -> ") for text in self._links)

    def is_special(self, name: str) -> bool:
        """Return whether the entry of this name is a FIFO, socket or device."""
        return self._modes.get(name) in _SPECIAL

    def entries(self) -> list[tuple[str, dict[str, str]]]:
        """Return names and facts of the entries, as MLSD does."""
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

    On some servers, MLSD describes what a link leads to, and a FIFO as an empty file: LIST tells
    them apart.
    """
    lines = None
    if "MLST" in fs.features:
        entries = [_fields(line) for line in lines_of(fs, f"MLSD {at(path)}")]
        if links or any(stat_of(name, facts).size == 0 for name, facts in entries):
            lines = Listing(fs, path)
    else:
        lines = Listing(fs, path)
        entries = lines.entries()
    stats = (
        _entry(fs, path, name, facts, lines)
        for name, facts in entries
        if name not in (".", "..")
        and facts.get("type", "").lower() not in ("cdir", "pdir")
        and not name.endswith(PARTIAL_SUFFIX)
        # no command can hold it
        and "\r" not in name
    )
    return [stat for stat in stats if stat is not None]


def _entry(
    fs: Any, path: str, name: str, facts: Mapping[str, str], lines: Listing | None
) -> Stat | None:
    """Describe an entry of a directory, None for what is no file and no directory."""
    file_type = type_of(facts)
    if file_type == "other" or (lines is not None and lines.is_special(name)):
        return None
    if file_type == "link":
        return _followed(fs, join(path, name))
    is_link = lines is not None and lines.is_link(name)
    return replace(stat_of(join(path, name), facts), is_link=is_link)


def _followed(fs: Any, path: str) -> Stat | None:
    """Describe what a link leads to; None where that is nothing, or no file."""
    if is_dir(fs, path):
        return Stat(name=path, is_dir=True, is_link=True)
    try:
        return replace(stat_of(path, _file_facts(fs, path)), is_link=True)
    except ftplib.error_perm:
        return None


def exists(fs: Any, path: str) -> bool:
    """Return whether anything has this name."""
    try:
        facts_at(fs, path)
    except FileNotFoundError:
        # SIZE knows no directories
        return "MLST" not in fs.features and is_dir(fs, path)
    return True


def is_dir(fs: Any, path: str) -> bool:
    """Return whether `path` is a directory, or a link to one."""
    if "MLST" in fs.features:
        try:
            file_type = type_of(facts_at(fs, path))
        except FileNotFoundError:
            return False
        if file_type in ("file", "dir"):
            return file_type == "dir"
    try:
        fs.ftp.cwd(at(path))
    except ftplib.error_perm:
        return False
    return True
