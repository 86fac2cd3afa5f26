"""file_response(): RFC 9110 in a core without Django, and Django's responses around it."""

from .file_response import afile_response, file_response

__all__ = ["afile_response", "file_response"]
