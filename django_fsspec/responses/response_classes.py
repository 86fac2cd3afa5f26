"""Django's response classes for files: they send ``file_served`` when they are closed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from django.http import FileResponse, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase

from django_fsspec.adapters.base import STREAM_CHUNK

from .bodies import WholeFile


class ServedResponse(HttpResponseBase):
    """A response with a file. Servers call ``close()`` when all is sent, or the client is gone."""

    #: called once, when the response is closed
    notify: Callable[[], None] | None = None

    def close(self) -> None:
        """Send the signal, then close the file; Django calls this in a thread for sync code."""
        notify, self.notify = self.notify, None
        try:
            if notify is not None:
                notify()
        finally:
            super().close()


class FileHttpResponse(ServedResponse, HttpResponse):
    """An empty body, or one that nginx sends."""


class FileRedirect(ServedResponse, HttpResponseRedirect):
    """A redirect to a URL of the file."""


class FileStreamResponse(ServedResponse, StreamingHttpResponse):
    """The bytes of the file."""


class WholeFileResponse(ServedResponse, FileResponse):
    """A whole file of this machine, which a WSGI server sends by itself where it can.

    Django hands the file to ``wsgi.file_wrapper``, and then has the server call ``close()``.
    """

    block_size = STREAM_CHUNK

    def __init__(self, file: WholeFile, *, status: int, headers: Mapping[str, str]) -> None:
        self._file = file
        super().__init__(file, status=status, headers=headers)

    def set_headers(self, filelike: object) -> None:
        """Leave the headers as they are: they were given."""

    def close(self) -> None:
        """See ServedResponse.close(). Raises ``StorageError`` where the file became shorter.

        A server that sent the file by itself did not notice, and would keep the connection, on
        which the client waits for the rest.
        """
        try:
            self._file.check_whole()
        finally:
            super().close()
