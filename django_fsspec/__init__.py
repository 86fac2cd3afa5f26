"""Every fsspec filesystem behind Django's file storage API."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .objects.bulk import asave_files, save_files
    from .objects.file_object import FileObject
    from .storage.url_options import from_url

__all__ = ["FileObject", "__version__", "asave_files", "from_url", "save_files"]
__version__ = "0.1.0"
# pickles and documents of 0.1.0 name modules that are elsewhere now
__path__.append(str(Path(__file__).with_name("moved")))

_MODULES = {
    "FileObject": "objects",
    "asave_files": "objects.bulk",
    "from_url": "storage.url_options",
    "save_files": "objects.bulk",
}


def __getattr__(name: str) -> Any:
    # late: INSTALLED_APPS names this package before there are settings and apps to use
    if name in _MODULES:
        return getattr(import_module(f".{_MODULES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
