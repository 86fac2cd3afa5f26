"""The file input: stored files as cards, and new files by choice or drag and drop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from django.conf import settings
from django.forms.widgets import Input, Script
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from django_fsspec.objects.file_object import FileObject
from django_fsspec.rows.values import files_of

from .cards import ICONS, Card
from .kept_uploads import KeptUpload
from .submitted import Selection
from .type_names import name_of_type


class Ticket(NamedTuple):
    """What the browser needs for a direct upload: a signed ticket and URLs.

    `start_url` takes ``{ticket, name, size, type}`` and returns where to send the bytes.
    `finish_url` takes ``{upload}`` and returns ``{receipt}``, which the form then submits;
    `status_url` and `abort_url` take ``{upload}`` too. With `control`, the name of an input,
    `ticket` is a JSON object: value of that input to ticket.
    """

    ticket: str
    start_url: str
    finish_url: str
    control: str = ""
    status_url: str = ""
    abort_url: str = ""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The limits of a field, checked in the browser before anything is sent.

    `max_size` is in bytes.
    """

    max_size: int | None = None
    content_types: Sequence[str] = ()
    allows_empty: bool = False


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A submitted form that is shown again, with the uploads that were kept."""

    selection: Selection
    #: kept uploads, each with its signed reference
    kept: Sequence[tuple[KeptUpload, str]] = ()
    #: direct uploads, each with its receipt
    received: Sequence[tuple[FileObject, str]] = ()


class StoredObjectInput(Input):
    """A file input that shows stored files as cards and takes new ones. No request.

    Example::

        widget = StoredObjectInput(attrs={"accept": "image/*"})
        assert 'type="file"' in widget.render("photo", document.file)

    Without JavaScript it consists of plain inputs. With it, users can drop files and sort them,
    and direct uploads start when a file is chosen. The script sends no form. It needs no inline
    scripts or styles: a Content-Security-Policy of ``default-src 'self'`` works, plus the hosts of
    the storages for images. Names of its inputs: `<name>`, `<name>-clear`, `-remove`,
    `-place-<key>`, and signed `-retained`, `-receipt` and `-origin`.
    """

    # no FileInput: crispy-forms and other packages render one with a template of their own
    input_type = "file"
    needs_multipart_form = True
    template_name = "django_fsspec/stored_object.html"
    clear_checkbox_label = gettext_lazy("Clear")
    #: CSS classes of the outermost element
    look: ClassVar[str] = "stored-object"
    multiple = checked = False
    rules = Rules()
    ticket: Ticket | None = None
    submission: Submission | None = None
    #: signed reference to the row whose files are shown; see `copied_files`
    origin = ""

    class Media:
        """One style sheet and one module, which imports the others."""

        css: ClassVar = {"all": ["django_fsspec/stored-object.css"]}
        js: ClassVar = [Script("django_fsspec/stored-object.js", type="module")]

    def become_multiple(self) -> None:
        """Accept several files."""
        self.multiple = True
        self.attrs["multiple"] = True

    # reading a submitted form

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        """Return a `Selection` of what the form says about this input."""
        self.checked = f"{name}-clear" in data
        return Selection.sent(data, files, name)

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        """Return whether the form has no input of this widget."""
        return not Selection.is_present(data, files, name)

    def use_required_attribute(self, initial: Any) -> bool:
        """Return whether the browser requires a file: not where there is one already."""
        submission = self.submission
        has_upload = submission is not None and (
            submission.kept or submission.received or submission.selection.copies
        )
        # a file with invalid JSON is false, and is there
        has_file = bool(files_of(initial) or initial)
        return super().use_required_attribute(initial) and not has_file and not has_upload

    # rendering

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        """Return the context of the template."""
        context = super().get_context(name, None, attrs)
        attributes = context["widget"]["attrs"]
        attributes.setdefault("disabled", False)
        hint = self._hint()
        if hint and attributes.get("id"):
            hint_id = f"{attributes['id']}_hint"
            described = f"{attributes.get('aria-describedby', '')} {hint_id}".strip()
            attributes |= {"aria-describedby": described}
            context["widget"]["hint_id"] = hint_id
        if self.rules.content_types:
            attributes.setdefault("accept", ",".join(self.rules.content_types))
        context["widget"] |= {
            "look": self._look(attributes),
            "checkbox_name": f"{name}-clear",
            "checkbox_id": f"{name}-clear_id",
            "clear_checkbox_label": self.clear_checkbox_label,
            "checked": self.checked,
            "multiple": self.multiple,
            "hint": hint,
            "clearable": not self.is_required and not self.multiple,
            "cards": self._cards(value),
            "origin": self.origin,
            "uploaded": list(self._uploaded()),
            "icons": ICONS,
            "data": self._data(name),
        }
        return context

    def _look(self, attributes: Mapping[str, Any]) -> str:
        """Return the CSS classes of the outermost element."""
        # Bootstrap shows a message where an element before it has this class
        is_invalid = _INVALID in str(attributes.get("class", "")).split()
        return f"{self.look} {_INVALID}" if is_invalid else self.look

    def _cards(self, value: Any) -> list[dict[str, Any]]:
        """Return the stored files, in the order of the submitted form."""
        selection = self.submission.selection if self.submission is not None else Selection()
        cards: list[dict[str, Any]] = []
        files = files_of(value) or [copy.source for copy in selection.copies]
        for number, file in enumerate(files, 1):
            card = Card.of(file)
            place = selection.places.get(card.key, number)
            removed = card.key in selection.removed
            cards.append({"card": card, "place": place, "removed": removed})
        cards.sort(key=lambda item: item["place"])
        return [item | {"place": number} for number, item in enumerate(cards, 1)]

    def _uploaded(self) -> Iterable[dict[str, Any]]:
        if self.submission is None:
            return
        for upload, token in self.submission.kept:
            yield self._uploaded_card("retained", upload.stored_file(), token)
        for file, receipt in self.submission.received:
            yield self._uploaded_card("receipt", file, receipt)

    def _uploaded_card(self, input_name: str, file: FileObject, token: str) -> dict[str, Any]:
        return {"card": Card.of_upload(file, token), "token": token, "input": input_name}

    def _hint(self) -> str:
        """Return the limits in words."""
        parts = []
        if self.rules.max_size is not None:
            parts.append(_("At most %(limit)s.") % {"limit": filesizeformat(self.rules.max_size)})
        if self.rules.content_types:
            parts.append(_("Allowed: %(types)s.") % {"types": self._allowed()})
        return " ".join(parts)

    def _allowed(self) -> str:
        patterns = self.rules.content_types
        return ", ".join(str(_WORDS.get(p) or name_of_type(p)) for p in patterns)

    def _data(self, name: str) -> dict[str, str]:
        """Return the data attributes: limits, ticket, and all texts of the script."""
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
                "status-url": self.ticket.status_url,
                "abort-url": self.ticket.abort_url,
                "csrf-cookie": settings.CSRF_COOKIE_NAME,
            }
            if control := self.ticket.control:
                # without the prefix of the form, which scripts of formsets change
                prefix = name[: name.rfind("-") + 1]
                prefix = prefix if control.startswith(prefix) else ""
                data["ticket-control"] = control.removeprefix(prefix)
                data["ticket-own"] = name.removeprefix(prefix)
        return data


_INVALID = "is-invalid"
_WORDS: Mapping[str, Any] = {
    "image/*": gettext_lazy("images"),
    "audio/*": gettext_lazy("audio"),
    "video/*": gettext_lazy("videos"),
    "text/*": gettext_lazy("text"),
    "application/pdf": "PDF",
}
#: texts of the script, which fills in what is in braces
TEXTS: Mapping[str, str] = {
    "byte": gettext_noop("1 byte"),
    "units": gettext_noop("bytes|KB|MB|GB|TB"),
    "too-large": gettext_noop("“{name}” has {size}; at most {limit} are allowed."),
    "wrong-type": gettext_noop("“{name}” is not of an allowed type ({allowed})."),
    "empty": gettext_noop("“{name}” is empty."),
    "long-name": gettext_noop("The name “{name}” is longer than {limit} characters."),
    "bad-name": gettext_noop(
        "“{name}” has characters that are not allowed in names. Rename the file."
    ),
    "added": gettext_noop("{name} was added."),
    "removed": gettext_noop("{name} was removed."),
    "undone": gettext_noop("{name} was kept."),
    "left-out": gettext_noop("Removed; will not be saved"),
    "moved": gettext_noop("{name} is now number {place} of {total}."),
    "chosen": gettext_noop("Will be uploaded when you submit"),
    "one-file": gettext_noop("Only one file fits here: “{name}” was taken."),
    "queued": gettext_noop("Waiting for other uploads"),
    "sending": gettext_noop("{percent} %, {speed}/s, {left} left"),
    "storing": gettext_noop("All bytes are sent. The server is storing them."),
    "waiting": gettext_noop("The connection was lost. Trying again."),
    "uploaded": gettext_noop("Uploaded; will be saved when you submit"),
    "not-uploaded": gettext_noop("Not uploaded; submitting tries again"),
    "refused-for-good": gettext_noop("Not uploaded. Choose another file, or take this one out."),
    "cancelled": gettext_noop("The upload of {name} was cancelled."),
    "old-page": gettext_noop(
        "“{name}”: this page is too old, or you have logged in anew. Reload it, please."
    ),
    "too-many": gettext_noop(
        "“{name}”: too many uploads wait for their form. Leave this out, submit the form, then "
        "add it again."
    ),
    "failed": gettext_noop("“{name}”: the server did not respond. Please try again."),
    "wrong-content": gettext_noop(
        "“{name}” was refused: its content is not of an allowed type, or does not match its name."
    ),
    "reason": gettext_noop("“{name}”: {reason}"),
    "refused": gettext_noop("“{name}”: the server refused the upload ({status})."),
}
