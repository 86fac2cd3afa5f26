"""A server that speaks the API of Dropbox, version 2."""

from __future__ import annotations

from typing import Any

from .base import MissingServer
from .module import ModuleServer


class DropboxServer(ModuleServer):
    """A small Dropbox, kept in memory, with its real rules for conflicts and its real errors."""

    module = "dropbox_process"
    volatile = True

    @property
    def fs_options(self) -> dict[str, Any]:
        """Keyword arguments for `dropboxdrivefs.DropboxDriveFileSystem`."""
        return {"client": self.client()}

    def session(self) -> Any:
        """Return a `requests.Session` that brings requests for Dropbox here."""
        import requests
        from requests.adapters import HTTPAdapter

        here = self.url

        class ToThisServer(HTTPAdapter):
            def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
                request.url = here + request.path_url
                return super().send(request, *args, **kwargs)

        session = requests.Session()
        session.trust_env = False
        for host in ("api", "content", "notify"):
            session.mount(f"https://{host}.dropboxapi.com", ToThisServer())
        session.mount("https://www.dropbox.com", ToThisServer())
        return session

    def client(self, token: str = "t") -> Any:
        """Return a `dropbox.Dropbox` of the official SDK that talks to this server.

        The token "expired" is refused, as one that is four hours old.
        """
        try:
            import dropbox
        except ImportError as error:
            raise MissingServer("dropbox was not found: pip install dropbox") from error
        return dropbox.Dropbox(token, session=self.session(), max_retries_on_error=0, timeout=10)
