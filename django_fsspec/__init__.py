"""Every fsspec filesystem behind Django's file storage API."""

__version__ = "0.1.0"
