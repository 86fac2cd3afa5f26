"""Parse what a submitted form says about the files of a field."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from django.forms.widgets import FILE_INPUT_CONTRADICTION, CheckboxInput

from .cards import key_of, key_of_reference
from .kept_uploads import binding_of


@dataclass(frozen=True, kw_only=True)
class Selection:
    """New uploads, references to kept ones, receipts, and what to do with the row's files.

    `removed` and `places` use the keys of `cards.key_of()`: a client can choose files of the row,
    and no others. Places are numbers; the files are sorted by them.
    """

    uploads: tuple[Any, ...] = ()
    upload_places: tuple[float, ...] = ()
    #: signed references to kept uploads
    references: tuple[str, ...] = ()
    receipts: tuple[str, ...] = ()
    #: signed reference to the row that the form showed; see `copied_files`
    origin: str = ""
    #: files of that row, where the form is for a new row
    copies: tuple[Any, ...] = ()
    receipt_places: tuple[float, ...] = ()
    removed: frozenset[str] = frozenset()
    places: Mapping[str, float] = field(default_factory=dict)
    clears: bool = False
    #: whether there is an upload although the field is to be cleared
    contradicts: bool = False
    #: see `kept_uploads.binding_of()`
    binding: str = ""

    @classmethod
    def of(cls, value: Any) -> Self:
        """Return a selection for any value that ``clean()`` gets.

        That is a selection, an upload or a list, None for no change, or False to clear.
        """
        if isinstance(value, cls):
            return value
        if value is False or value is FILE_INPUT_CONTRADICTION:
            return cls(clears=True, contradicts=value is not False)
        if not value:
            return cls()
        return cls(uploads=tuple(value) if isinstance(value, list | tuple) else (value,))

    @classmethod
    def sent(cls, data: Mapping[str, Any], files: Any, name: str) -> Self:
        """Return what a submitted form says about the input `name`."""
        uploads = tuple(upload for upload in _all(files, name) if upload)
        clear = f"{name}-clear"
        clears = bool(CheckboxInput().value_from_datadict(data, files, clear))
        prefix = f"{name}-place-"
        keys = [key for key in data if isinstance(key, str) and key.startswith(prefix)]
        return cls(
            uploads=uploads,
            upload_places=_numbers(_all(data, f"{name}-upload-place")),
            references=tuple(text for text in _all(data, f"{name}-retained") if text),
            receipts=tuple(text for text in _all(data, f"{name}-receipt") if text),
            origin=str(data.get(f"{name}-origin", "")),
            receipt_places=_numbers(_all(data, f"{name}-receipt-place")),
            removed=frozenset(_all(data, f"{name}-remove")),
            places={key.removeprefix(prefix): _number(data[key]) for key in keys},
            clears=clears,
            binding=binding_of(data),
        )

    @staticmethod
    def is_present(data: Mapping[str, Any], files: Any, name: str) -> bool:
        """Return whether a submitted form has any input for the field `name`."""
        suffixes = ("clear", "retained", "receipt", "remove")
        if name in files or any(f"{name}-{suffix}" in data for suffix in suffixes):
            return True
        return any(isinstance(key, str) and key.startswith(f"{name}-place-") for key in data)

    @property
    def wanted_receipts(self) -> list[tuple[float, str]]:
        """The receipts that were not removed, with their places."""
        # receipts shown again have the place of their card, new ones the place of their number
        keys = [key_of_reference(text) for text in self.receipts]
        new = [key for key in keys if key not in self.places]
        numbered = len(new) == len(self.receipt_places)
        places = dict(zip(new, self.receipt_places, strict=True)) if numbered else {}
        places.update(self.places)
        return [
            (places.get(key, math.inf), text)
            for key, text in zip(keys, self.receipts, strict=True)
            if key not in self.removed
        ]

    @property
    def wanted_copies(self) -> list[tuple[float, Any]]:
        """The copied files that were not removed, with their places."""
        copies = [] if self.clears else [(key_of(copy.source), copy) for copy in self.copies]
        return [
            (self.places.get(key, number), copy)
            for number, (key, copy) in enumerate(copies, 1)
            if key not in self.removed
        ]

    @property
    def adds(self) -> bool:
        """Whether it adds files."""
        return bool(self.uploads or self.references or self.receipts)


def _all(data: Any, name: str) -> list[Any]:
    if hasattr(data, "getlist"):
        return list(data.getlist(name))
    value = data.get(name)
    if isinstance(value, list | tuple):
        return list(value)
    return [] if value is None else [value]


def _numbers(texts: Iterable[Any]) -> tuple[float, ...]:
    return tuple(map(_number, texts))


def _number(text: Any) -> float:
    """Return a place; infinity, which is last, for what is not a number."""
    try:
        number = float(text)
    except (TypeError, ValueError):
        return math.inf
    return math.inf if math.isnan(number) else number
