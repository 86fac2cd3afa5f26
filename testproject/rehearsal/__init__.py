"""The demo used from one end to the other, as a person with a browser would."""

from __future__ import annotations

from ..browser import Browser
from ..steps import Steps
from .admin import AdminRehearsal
from .albums import AlbumsRehearsal
from .documents import DocumentsRehearsal
from .files import FilesRehearsal
from .moves import MovesRehearsal
from .overview import OverviewRehearsal

PARTS = (
    FilesRehearsal,
    DocumentsRehearsal,
    AlbumsRehearsal,
    OverviewRehearsal,
    AdminRehearsal,
    MovesRehearsal,
)


def rehearse(site: str, steps: Steps, seeded: bool) -> None:
    """Visit all pages; the first step that fails raises ``StepFailed``."""
    browser = Browser(site)
    for part in PARTS:
        part(browser, steps, seeded).run()
