"""What the parts of the rehearsal share."""

from __future__ import annotations

from dataclasses import dataclass

from ..browser import Browser, Page
from ..listing import storage_of
from ..steps import Steps


def check(holds: object, complaint: object) -> None:
    """Raise AssertionError with `complaint`, also where Python leaves out assertions."""
    if not holds:
        raise AssertionError(complaint)


def check_done(page: Page) -> None:
    """Raise AssertionError unless the page says that something was done."""
    check(page.messages and not page.errors, page.errors or "There is no message.")


def names_under(alias: str, folder: str) -> set[str]:
    """Return the names of all files below a folder, asked of the storage itself."""
    try:
        return {stat.name for stat in storage_of(alias).walk(folder)}
    except FileNotFoundError:
        return set()


@dataclass
class Part:
    """A visit to one page. It takes every step, and leaves nothing behind."""

    browser: Browser
    steps: Steps
    seeded: bool = True

    def __post_init__(self) -> None:
        self.prepare()

    def prepare(self) -> None:
        """Make what is used on the way."""

    def run(self) -> None:
        """Take every step; the first that fails raises ``StepFailed``."""
        raise NotImplementedError
