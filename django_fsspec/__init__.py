"""Every fsspec filesystem behind Django's file storage API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .objects import FileObject

__all__ = ["FileObject", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # late: INSTALLED_APPS names this package before there are settings and apps to use
    if name == "FileObject":
        from .objects import FileObject

        return FileObject
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
