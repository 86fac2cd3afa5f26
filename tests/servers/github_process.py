"""The process behind `GitHubServer`: `python -m … PORT FOLDER OWNER REPO BRANCH`."""

from __future__ import annotations

import base64
import hashlib
import sys
import urllib.parse
from pathlib import Path
from typing import Any

from .loopback import Handler, LoopbackServer
from .ports import HOST

_SHOWN_AT_MOST = 1024 * 1024
"""The contents route gives no content for a file larger than this."""


def object_id(kind: str, data: bytes) -> str:
    """Return the name that git gives to an object."""
    return hashlib.sha1(f"{kind} {len(data)}\0".encode() + data).hexdigest()


class Repository:
    """The files of a folder as one commit, with git's real object names."""

    def __init__(self, folder: Path, name: str, branch: str) -> None:
        self.name = name
        self.branch = branch
        self.blobs: dict[str, bytes] = {}
        self.ids: dict[str, str] = {}
        self.trees: dict[str, list[dict[str, Any]]] = {}
        self.root = self._add(folder, "")
        self.commit = object_id("commit", f"tree {self.root}\n\nFiles.\n".encode())

    def _add(self, folder: Path, prefix: str) -> str:
        entries: list[dict[str, Any]] = []
        for path in folder.iterdir():
            name = prefix + path.name
            entry: dict[str, Any] = {"path": path.name, "mode": "100644", "type": "blob"}
            if path.is_dir():
                entry.update(mode="040000", type="tree", sha=self._add(path, f"{name}/"))
            else:
                data = self.blobs[name] = path.read_bytes()
                entry.update(sha=object_id("blob", data), size=len(data))
            self.ids[name] = entry["sha"]
            entries.append(entry)
        entries.sort(key=lambda entry: entry["path"] + "/" * (entry["type"] == "tree"))
        listing = b"".join(
            f"{entry['mode'].lstrip('0')} {entry['path']}\0".encode() + bytes.fromhex(entry["sha"])
            for entry in entries
        )
        tree = object_id("tree", listing)
        self.trees[tree] = entries
        return tree

    def tree(self, sha: str) -> list[dict[str, Any]] | None:
        """Return the entries of a tree, named by its id, by the commit or by the branch."""
        return self.trees.get(self.root if self.has_reference(sha) else sha)

    def has_reference(self, reference: str) -> bool:
        """Tell whether a name means our only commit."""
        return reference in (self.branch, f"refs/heads/{self.branch}", "HEAD", self.commit)

    def describe(self, path: str) -> dict[str, Any]:
        """Return what the contents route tells about a file or a folder."""
        quoted = urllib.parse.quote(path)
        common = {"name": path.rpartition("/")[2], "path": path, "sha": self.ids[path]}
        if path not in self.blobs:
            return {**common, "type": "dir", "size": 0, "download_url": None}
        raw = f"http://{HOST}:{sys.argv[1]}/raw/{self.name}/{self.commit}/{quoted}"
        size = len(self.blobs[path])
        return {**common, "type": "file", "size": size, "download_url": raw}

    def contents(self, path: str) -> Any:
        """Return the answer of the contents route, or None."""
        if path in self.blobs:
            data = self.blobs[path]
            shown = len(data) <= _SHOWN_AT_MOST
            content = base64.encodebytes(data).decode() if shown else ""
            encoding = "base64" if shown else "none"
            return {**self.describe(path), "content": content, "encoding": encoding}
        if path and path not in self.ids:
            return None
        prefix = f"{path}/" if path else ""
        names = [name for name in self.ids if name.startswith(prefix)]
        return [self.describe(name) for name in names if "/" not in name[len(prefix) :]]


class GitHubHandler(Handler):
    """Finds the route."""

    repository: Repository

    def do_GET(self) -> None:  # noqa: N802
        split = urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(split.path)
        reference = dict(urllib.parse.parse_qsl(split.query)).get("ref", "HEAD")
        here = self.repository
        raw = f"/raw/{here.name}/"
        if path.startswith(raw):
            sha, _, name = path.removeprefix(raw).partition("/")
            if here.has_reference(sha) and name in here.blobs:
                self.send_bytes(here.blobs[name], ETag=f'"{here.ids[name]}"')
                return
            self.send_text("404: Not Found", 404)
            return
        answer = self._answer(path.removeprefix(f"/repos/{here.name}"), reference)
        if answer is None:
            self.send_json({"message": "Not Found", "status": "404"}, 404)
        else:
            self.send_json(answer)

    do_HEAD = do_GET  # noqa: N815

    def _answer(self, path: str, reference: str) -> Any:
        here = self.repository
        commit = {"sha": here.commit}
        if path == "":
            return {"full_name": here.name, "default_branch": here.branch}
        if path == "/branches":
            return [{"name": here.branch, "commit": commit}]
        if path == "/tags":
            return []
        if path.startswith("/git/trees/"):
            sha = path.removeprefix("/git/trees/")
            entries = here.tree(sha)
            return None if entries is None else {"sha": sha, "tree": entries, "truncated": False}
        if path == "/contents" or path.startswith("/contents/"):
            name = path.removeprefix("/contents").strip("/")
            return here.contents(name) if here.has_reference(reference) else None
        return None


if __name__ == "__main__":
    _, port, folder, owner, repo, branch = sys.argv
    GitHubHandler.repository = Repository(Path(folder), f"{owner}/{repo}", branch)
    LoopbackServer(int(port), GitHubHandler).serve_forever()
