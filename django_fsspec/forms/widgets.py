"""The input for stored files: what is there as cards, and what replaces it or comes to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from django.forms import ClearableFileInput
from django.forms.widgets import Script
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from django_fsspec.objects.file_object import FileObject
from django_fsspec.rows.values import files_of

from .cards import ICONS, Card, key_of_reference, shown_name
from .kept_uploads import RetainedUpload
from .submitted import Selection


class Ticket(NamedTuple):
    """Lets a browser send bytes straight to the storage: where to begin, where to end.

    `start_url` takes ``{ticket, name, size, type}`` and answers with where to send bytes;
    `finish_url` takes ``{upload}`` and answers with ``{receipt}``, which the form then submits.
    Where the input `control` decides, `ticket` is a JSON object of tickets by its values.
    """

    ticket: str
    start_url: str
    finish_url: str
    control: str = ""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a browser is told about a field, so that it refuses before a byte is sent."""

    max_size: int | None = None
    content_types: Sequence[str] = ()
    allows_empty: bool = False


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """What a form was sent with, as it is shown again: with the uploads that were kept."""

    selection: Selection
    #: what was kept, each with its signed reference
    waiting: Sequence[tuple[RetainedUpload, str]] = ()
    #: what was uploaded past the form, each with its receipt
    received: Sequence[tuple[FileObject, str]] = ()


class StoredObjectInput(ClearableFileInput):
    """Shows the stored file, or files, as cards, and takes others. Rendering makes no request.

    Works without JavaScript as plain inputs; with it, files are dropped, ordered, checked and
    shown on their way. Nothing inline: a policy of ``default-src 'self'`` holds, with the hosts
    of the storages for pictures. Its input names: `<name>`, `<name>-clear`, `-remove`,
    `-place-<key>`, `-retained` (signed), `-receipt` (signed).
    """

    template_name = "django_fsspec/stored_object.html"
    clear_checkbox_label = gettext_lazy("Clear")  # type: ignore[assignment]
    #: classes of the outermost element
    look: ClassVar[str] = "stored-object"
    multiple = False
    rules = Rules()
    ticket: Ticket | None = None
    submitted: Submitted | None = None

    class Media:
        """One style sheet, one module; it imports upload.js beside it."""

        css: ClassVar = {"all": ["django_fsspec/stored-object.css"]}
        js: ClassVar = [Script("django_fsspec/stored-object.js", type="module")]

    def become_multiple(self) -> None:
        """Take several files."""
        self.multiple = self.allow_multiple_selected = True
        self.attrs["multiple"] = True

    # what comes in

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        """Return a `Selection`; None where nothing is said."""
        self.checked = self.clear_checkbox_name(name) in data
        return Selection.sent(data, files, name)

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        """Return whether a request says nothing about this input."""
        return not Selection.is_said(data, files, name)

    def use_required_attribute(self, initial: Any) -> bool:
        """Return whether the browser is to insist on a file: not where there is one."""
        submitted = self.submitted
        waiting = submitted is not None and (submitted.waiting or submitted.received)
        return super().use_required_attribute(initial) and not waiting

    # what goes out

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        """Return what the template shows."""
        context = super().get_context(name, None, attrs)
        given = context["widget"]["attrs"]
        hint = self._hint()
        if hint and given.get("id"):
            hint_id = f"{given['id']}_hint"
            described = f"{given.get('aria-describedby', '')} {hint_id}".strip()
            given |= {"aria-describedby": described}
            context["widget"]["hint_id"] = hint_id
        if self.rules.content_types:
            given.setdefault("accept", ",".join(self.rules.content_types))
        context["widget"] |= {
            "look": self.look,
            "multiple": self.multiple,
            "hint": hint,
            "clearable": not self.is_required and not self.multiple,
            "cards": self._cards(value),
            "waiting": list(self._waiting()),
            "icons": ICONS,
            "data": self._data(),
        }
        return context

    def _cards(self, value: Any) -> list[dict[str, Any]]:
        """Return the files that are there, in the order of the form that was sent."""
        selection = self.submitted.selection if self.submitted is not None else Selection()
        cards: list[dict[str, Any]] = []
        for number, file in enumerate((one for one in files_of(value) if one), 1):
            card = Card.of(file)
            place = selection.places.get(card.key, number)
            removed = card.key in selection.removed
            cards.append({"card": card, "place": place, "removed": removed})
        cards.sort(key=lambda shown: shown["place"])
        return [shown | {"place": number} for number, shown in enumerate(cards, 1)]

    def _waiting(self) -> Iterable[dict[str, Any]]:
        if self.submitted is None:
            return
        for upload, token in self.submitted.waiting:
            yield self._shown("retained", upload.name or "", upload, token)
        for file, receipt in self.submitted.received:
            yield self._shown("receipt", file.original_name, file, receipt)

    def _shown(self, input_name: str, name: str, file: Any, token: str) -> dict[str, Any]:
        card = Card(
            key=key_of_reference(token),
            name=shown_name(name),
            size=file.size,
            content_type=file.content_type or "",
        )
        return {"card": card, "token": token, "input": input_name}

    def _hint(self) -> str:
        """Return what may be chosen, in words."""
        parts = []
        if self.rules.max_size is not None:
            parts.append(_("At most %(limit)s.") % {"limit": filesizeformat(self.rules.max_size)})
        if self.rules.content_types:
            parts.append(_("Allowed: %(types)s.") % {"types": self._allowed()})
        return " ".join(parts)

    def _allowed(self) -> str:
        return ", ".join(_WORDS.get(one, one) % {} for one in self.rules.content_types)

    def _data(self) -> dict[str, str]:
        """Return the data attributes: limits, and every text that the script shows."""
        data = {f"text-{key}": _(text) for key, text in TEXTS.items()}
        if self.rules.max_size is not None:
            data["max-size"] = str(self.rules.max_size)
        if self.rules.content_types:
            data |= {"types": " ".join(self.rules.content_types), "allowed": self._allowed()}
        if self.rules.allows_empty:
            data["allows-empty"] = "true"
        if self.ticket is not None:
            data |= {
                "ticket": self.ticket.ticket,
                "start-url": self.ticket.start_url,
                "finish-url": self.ticket.finish_url,
                "ticket-control": self.ticket.control,
            }
        return data


_WORDS: Mapping[str, Any] = {
    "image/*": gettext_lazy("images"),
    "audio/*": gettext_lazy("audio"),
    "video/*": gettext_lazy("videos"),
    "text/*": gettext_lazy("text"),
    "application/pdf": "PDF",
}
#: what the script says; what stands in braces is filled in by it
TEXTS: Mapping[str, str] = {
    "units": gettext_noop("bytes|KB|MB|GB|TB"),
    "too-large": gettext_noop("“{name}” has {size}; at most {limit} are allowed."),
    "wrong-type": gettext_noop("“{name}” is of a type that is not allowed here ({allowed})."),
    "empty": gettext_noop("“{name}” is empty."),
    "long-name": gettext_noop("The name “{name}” is longer than {limit} characters."),
    "bad-name": gettext_noop("The name “{name}” has characters that hide what it is."),
    "added": gettext_noop("{name} was added."),
    "removed": gettext_noop("{name} was taken out."),
    "moved": gettext_noop("{name} is number {place} of {total} now."),
    "sending": gettext_noop("{sent} of {total}, {speed}/s"),
    "storing": gettext_noop("Everything is sent. The server is storing it."),
    "waiting": gettext_noop("The connection broke. Trying again."),
    "cancelled": gettext_noop("The upload was cancelled. Nothing was stored."),
    "failed": gettext_noop("The server did not answer. Nothing was stored; try again."),
    "refused": gettext_noop("The server refused the upload ({status}). Nothing was stored."),
}
