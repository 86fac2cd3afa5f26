"""``FileOwner``: what a file asks of the field of a row that it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from django.db.models import Model


class FileOwner(Protocol):
    """A field of a row that owns a file: saving and deleting the file go through it."""

    @property
    def instance(self) -> Model:
        """The row."""

    @property
    def field(self) -> object:
        """The field."""

    def save(self, file: Any, name: Any, content: Any, save: bool) -> None:
        """Store the file, and with `save` the row."""

    async def asave(self, file: Any, name: Any, content: Any, save: bool) -> None:
        """See save()."""

    def delete(self, file: Any, save: bool) -> None:
        """Remove the file from the row, and with `save` store the row."""

    async def adelete(self, file: Any, save: bool) -> None:
        """See delete()."""
