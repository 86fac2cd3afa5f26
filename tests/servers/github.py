"""A server that speaks what `GithubFileSystem` needs of the API of GitHub."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from .module import ModuleServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

EXAMPLE = {
    "README.md": b"# Example\n",
    "docs/guide/index.md": b"Nested.\n",
    "large.bin": bytes(range(256)) * 6000,
}


class GitHubServer(ModuleServer):
    """One repository with one commit on one branch, given as a mapping from path to bytes."""

    module = "github_process"
    owner = "owner"
    repo = "repo"
    branch = "main"

    def __init__(self, files: Mapping[str, bytes] | None = None, *, wait: float = 20.0) -> None:
        super().__init__(wait=wait)
        self.files = dict(EXAMPLE if files is None else files)

    @property
    def root(self) -> Path:
        """The folder that holds the files, read when the server starts."""
        return self.directory / "data"

    @property
    def fs_options(self) -> dict[str, Any]:
        """Keyword arguments for the class; without `sha` it asks the real GitHub."""
        return {"org": self.owner, "repo": self.repo, "sha": self.branch}

    @property
    def class_attributes(self) -> dict[str, str]:
        """The attributes of `GithubFileSystem` that name GitHub's addresses."""
        return {
            "url": self.url + "/repos/{org}/{repo}/git/trees/{sha}",
            "content_url": self.url + "/repos/{org}/{repo}/contents/{path}?ref={sha}",
        }

    def filesystem_class(self) -> Any:
        """Return a subclass of `GithubFileSystem` that talks to this server."""
        from fsspec.implementations.github import GithubFileSystem

        return type("LocalGithubFileSystem", (GithubFileSystem,), self.class_attributes)

    @contextlib.contextmanager
    def configure(self, cls: Any) -> Iterator[None]:
        """Point a class, `GithubFileSystem` itself for instance, at this server for a while."""
        before = {name: getattr(cls, name) for name in self.class_attributes}
        self._point(cls, self.class_attributes)
        try:
            yield
        finally:
            self._point(cls, before)

    def _point(self, cls: Any, attributes: dict[str, str]) -> None:
        for name, value in attributes.items():
            setattr(cls, name, value)
        cls.clear_instance_cache()

    def _prepare(self) -> None:
        self.root.mkdir(exist_ok=True)
        for name, data in self.files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def _command(self) -> Sequence[str]:
        return [*super()._command(), str(self.root), self.owner, self.repo, self.branch]
