"""What an account of Dropbox holds, and how it refuses."""

from __future__ import annotations

import hashlib
import re
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

_BLOCK = 4 * 1024 * 1024
_TIME = "%Y-%m-%dT%H:%M:%SZ"


class Refused(Exception):
    """An error that the route declares: HTTP status 409."""

    def __init__(self, *tags: str, **more: Any) -> None:
        super().__init__("/".join(tags))
        error: Any = {".tag": tags[-1], **more}
        for tag in reversed(tags[:-1]):
            error = {".tag": tag, tag: error}
        self.body: Json = {"error_summary": f"{'/'.join(tags)}/..", "error": error}


class Malformed(Exception):
    """A request that breaks the rules of the API: HTTP status 400."""


def content_hash(data: bytes) -> str:
    """Return Dropbox's hash: of the hashes of blocks of 4 MiB."""
    whole = hashlib.sha256()
    for start in range(0, len(data), _BLOCK):
        whole.update(hashlib.sha256(data[start : start + _BLOCK]).digest())
    return whole.hexdigest()


@dataclass
class Entry:
    """A file, or a folder if `data` is None."""

    path: str
    data: bytes | None = None
    client_modified: str | None = None
    id: str = field(default_factory=lambda: f"id:{uuid.uuid4().hex[:22]}")
    rev: str = field(default_factory=lambda: f"0{uuid.uuid4().hex[:22]}")
    modified: str = field(
        default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    )

    def metadata(self) -> Json:
        """Return what clients are told."""
        common = {
            "name": self.path.rpartition("/")[2],
            "path_lower": self.path.lower(),
            "path_display": self.path,
            "id": self.id,
        }
        if self.data is None:
            return {".tag": "folder", **common}
        return {
            ".tag": "file",
            **common,
            "rev": self.rev,
            "size": len(self.data),
            "client_modified": self.client_modified or self.modified,
            "server_modified": self.modified,
            "is_downloadable": True,
            "content_hash": content_hash(self.data),
        }


class Account:
    """Files and folders under names that do not care for case."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._cursors: dict[str, list[Entry]] = {}

    def find(self, path: str, *tags: str) -> Entry:
        """Return an entry; if there is none, `tags` name the field of the error."""
        self._validate(path, *tags)
        if not path:
            raise Malformed('"path": The root folder is unsupported.')
        entry = self._entries.get(path.lower())
        if entry is None:
            raise Refused(*tags, "not_found")
        return entry

    def find_file(self, path: str) -> tuple[Entry, bytes]:
        """Return a file and its content."""
        entry = self.find(path, "path")
        if entry.data is None:
            raise Refused("path", "not_file")
        return entry, entry.data

    def write(self, commit: Json, data: bytes) -> Entry:
        """Write a file as a `CommitInfo` says; raise `Refused` with the tags of a WriteError."""
        path = commit["path"]
        self._validate(path)
        mode = commit.get("mode", {".tag": "add"})
        mode = {".tag": mode} if isinstance(mode, str) else mode
        old = self._entries.get(path.lower())
        same = old is not None and old.data == data and mode[".tag"] != "overwrite"
        if old is not None and same and not commit.get("strict_conflict"):
            return old  # No conflict, and no new revision.
        replaces = old is not None and (
            mode[".tag"] == "overwrite" or (mode[".tag"] == "update" and mode["update"] == old.rev)
        )
        if old is not None and (old.data is None or not replaces):
            if not commit.get("autorename"):
                raise Refused("conflict", "folder" if old.data is None else "file")
            path, old = self._unused(path), None
        entry = Entry(path, data, commit.get("client_modified"))
        if old is not None:
            entry.id, entry.path = old.id, old.path
        return self._place(entry)

    def create_folder(self, path: str, *, autorename: bool) -> Entry:
        """Create a folder and those above it."""
        self._validate(path, "path")
        old = self._entries.get(path.lower())
        if old is not None:
            if not autorename:
                kind = "folder" if old.data is None else "file"
                raise Refused("path", "conflict", kind)
            path = self._unused(path)
        return self._place(Entry(path), "path")

    def delete(self, path: str) -> Entry:
        """Remove a file, or a folder with everything in it."""
        entry = self.find(path, "path_lookup")
        for below in [entry, *self._below(path)]:
            del self._entries[below.path.lower()]
        return entry

    def copy(self, source: str, target: str, *, move: bool, autorename: bool) -> Entry:
        """Copy or move a file, or a folder with everything in it."""
        found = self.find(source, "from_lookup")
        self._validate(target, "to")
        if f"{target.lower()}/".startswith(f"{source.lower()}/") and found.data is None:
            raise Refused("cant_move_folder_into_itself" if move else "duplicated_or_nested_paths")
        there = self._entries.get(target.lower())
        if there is not None:
            if not autorename:
                raise Refused("to", "conflict", "folder" if there.data is None else "file")
            target = self._unused(target)
        entries = [found, *self._below(source)]
        if move:
            self.delete(source)
        for entry in entries:
            copied = Entry(target + entry.path[len(source) :], entry.data, entry.client_modified)
            self._place(copied, "to")
        return self._entries[target.lower()]

    def list_folder(self, path: str, *, recursive: bool, limit: int) -> Json:
        """Return the first page of a listing."""
        if path and self.find(path, "path").data is not None:
            raise Refused("path", "not_folder")
        itself = [self.find(path)] if path and recursive else []
        return self._page([*itself, *self._below(path, recursive=recursive)], limit)

    def list_folder_continue(self, cursor: str, limit: int) -> Json:
        """Return the next page of a listing."""
        if cursor not in self._cursors:
            raise Refused("reset")
        return self._page(self._cursors[cursor], limit)

    def _page(self, entries: list[Entry], limit: int) -> Json:
        cursor = uuid.uuid4().hex
        self._cursors[cursor] = entries[limit:]
        return {
            "entries": [entry.metadata() for entry in entries[:limit]],
            "cursor": cursor,
            "has_more": len(entries) > limit,
        }

    def _below(self, path: str, *, recursive: bool = True) -> list[Entry]:
        prefix = f"{path.lower()}/"
        return [
            entry
            for key, entry in sorted(self._entries.items())
            if key.startswith(prefix) and (recursive or "/" not in key[len(prefix) :])
        ]

    def _place(self, entry: Entry, *tags: str) -> Entry:
        folders = entry.path.split("/")[1:-1]
        for count in range(1, len(folders) + 1):
            above = "/" + "/".join(folders[:count])
            if self._entries.setdefault(above.lower(), Entry(above)).data is not None:
                raise Refused(*tags, "conflict", "file_ancestor")
        self._entries[entry.path.lower()] = entry
        return entry

    def _unused(self, path: str) -> str:
        stem, dot, suffix = path.rpartition(".")
        if not dot or "/" in suffix:
            stem, suffix = path, ""
        numbers = iter(range(1, 10_000))
        while path.lower() in self._entries:
            path = f"{stem} ({next(numbers)}){dot}{suffix}"
        return path

    def _validate(self, path: str, *tags: str) -> None:
        if path and not path.startswith("/"):
            raise Malformed(f'"path": {path!r} did not match pattern "(/(.|[\\r\\n])*)|(ns:…)"')
        if path and re.search(r"//|/$|/\.\.?(/|$)|\x00|\\", path):
            raise Refused(*tags, "malformed_path")
