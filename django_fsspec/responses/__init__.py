"""file_response(): download a file. RFC 9110 in a pure core, Django's responses around it."""

from .file_response import afile_response, file_response

__all__ = ["afile_response", "file_response"]
