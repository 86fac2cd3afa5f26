"""Form fields for uploads into a ``StoredObjectField``."""

from __future__ import annotations

import functools
import json
import logging
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.core.signing import BadSignature
from django.forms.boundfield import BoundField
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from django_fsspec import uploads, validators
from django_fsspec.core.names import BIDI
from django_fsspec.objects.file_object import FileObject
from django_fsspec.rows.values import files_of, has_pending
from django_fsspec.storage.signing import ExpiredSignature

from . import kept_uploads
from .cards import key_of, key_of_reference
from .kept_uploads import RetainedUpload
from .submitted import Selection
from .widgets import Rules, StoredObjectInput, Submitted, Ticket

if TYPE_CHECKING:
    from django.db.models import Model

    from django_fsspec.rows.protocols import StoredField

logger = logging.getLogger("django_fsspec")


class StoredObjectBoundField(BoundField):
    """A field of a form that was sent: keeps its uploads when the form has to be shown again."""

    field: StoredObjectFormField

    def as_widget(self, widget: Any = None, attrs: Any = None, only_initial: bool = False) -> Any:
        """Return the HTML; an upload that would be lost is stored: see `submitted`."""
        widget = widget or self.field.widget
        if isinstance(widget, StoredObjectInput):
            widget.submitted = self.submitted
            widget.ticket = self.field.ticket_for(self)
        return super().as_widget(widget, attrs, only_initial)

    @functools.cached_property
    def submitted(self) -> Submitted | None:
        """What the form was sent with; 1 request for each upload that is kept for its next try.

        Only what is right in itself is kept, and not what a row has taken by now.
        """
        if not self.form.is_bound or self.field.disabled:
            return None
        selection = Selection.of(self.data)
        if not self._is_open():
            return Submitted(selection=selection)
        return Submitted(
            selection=selection,
            waiting=list(self._waiting(selection)),
            received=list(self._received(selection)),
        )

    def _is_open(self) -> bool:
        value = getattr(getattr(self.form, "instance", None), self.name, None)
        return bool(self.form.errors) or has_pending(value)

    def _is_right(self, upload: Any) -> bool:
        # of a single file that has an error, it is the file that is wrong
        instance = getattr(self.form, "instance", None)
        return self.field.multiple and self.field.is_acceptable(upload, instance)

    def _waiting(self, selection: Selection) -> Iterable[tuple[RetainedUpload, str]]:
        scope, alias = self.field.scope, self.field.retention_alias
        if alias is None or not selection.binding:
            return
        # one file takes the place of another: the last that was chosen is the one
        uploads = selection.uploads if self.field.multiple else selection.uploads[:1]
        for upload in [*self.field.recovered(selection), *uploads]:
            if self.errors and not self._is_right(upload):
                continue
            try:
                kept = upload
                if not isinstance(upload, RetainedUpload):
                    kept = kept_uploads.retain(upload, alias)
            except (OSError, ValueError):
                logger.warning("An upload could not be kept for %s.", scope, exc_info=True)
                continue
            yield kept, kept_uploads.reference(kept, scope, selection.binding)

    def _received(self, selection: Selection) -> Iterable[tuple[FileObject, str]]:
        if selection.uploads and not self.field.multiple:
            return
        for _place, receipt in self.field.wanted_receipts(selection):
            try:
                file = self.field.receive(receipt)
            except ValidationError:
                continue
            if not self.errors or self._is_right(file):
                yield file, receipt


class StoredObjectFormField(forms.FileField):
    """One uploaded file. Path, backend and metadata are never taken from a client.

    A `StoredObjectField` makes it with itself as `model_field`, whose rules are checked when
    the row is; without one, `max_size` (bytes) and `content_types` are checked here. Where
    `retains` is true, a form that is shown again because of something else keeps the upload:
    see docs/how-to/forms-and-admin.md. With a destination in `direct_upload`, or a choice of
    some, the browser sends files to the storage by itself, and a receipt is as good as a file.
    """

    widget = StoredObjectInput
    multiple = False
    default_error_messages: ClassVar[dict[str, Any]] = {
        "gone": _("The file that you chose before is not there any more. Choose it again."),
        "forged": _("The file could not be taken over. Choose it again."),
        "deceptive_name": _("The name “%(name)s” has characters that hide what it is."),
    }

    def __init__(
        self,
        *,
        model_field: StoredField | None = None,
        max_size: int | None = None,
        content_types: Iterable[str] | None = None,
        retains: bool = True,
        direct_upload: uploads.Destination | uploads.Choice | None = None,
        **options: Any,
    ) -> None:
        self.model_field, self.retains = model_field, retains
        self.direct_upload = direct_upload
        super().__init__(**options)
        types = None if content_types is None else tuple(content_types)
        if model_field is not None:
            max_size = model_field.max_size if max_size is None else max_size
            types = types or model_field.content_types or (("image/*",) * model_field.image)
        else:
            self.validators += [
                *([validators.MaxSizeValidator(max_size)] if max_size is not None else []),
                *([validators.ContentTypeValidator(types)] if types is not None else []),
            ]
        if isinstance(self.widget, StoredObjectInput):
            self.widget.rules = Rules(
                max_size=max_size, content_types=types or (), allows_empty=self.allow_empty_file
            )
            if self.multiple:
                self.widget.become_multiple()

    def get_bound_field(self, form: Any, field_name: str) -> BoundField:
        """Return the field of a form."""
        return StoredObjectBoundField(form, self, field_name)

    # what a client sends

    def clean(self, data: Any, initial: Any = None) -> Any:
        """Return the upload, False to clear, or what is there; 1 request for one kept before."""
        selection = Selection.of(data)
        if selection.contradicts or (selection.clears and selection.adds and not self.required):
            raise ValidationError(self.error_messages["contradiction"], code="contradiction")
        new = [one for _, one in self._new(selection)]
        if new:
            return self._checked(new[0])
        return super().clean(False if selection.clears else None, initial)

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Return whether a file was sent, or is to be cleared."""
        selection = Selection.of(data)
        return not self.disabled and (selection.adds or selection.clears)

    def _checked(self, file: Any) -> Any:
        if BIDI.search(getattr(file, "name", None) or ""):
            params = {"name": BIDI.sub("�", file.name)}
            message = self.error_messages["deceptive_name"]
            raise ValidationError(message, code="deceptive_name", params=params)
        return super().clean(file)

    def is_acceptable(self, upload: Any, instance: Model | None) -> bool:
        """Whether an upload is right in itself; asked of those in a field that has an error."""
        try:
            self._checked(upload)
            if self.model_field is not None:
                file = FileObject("", upload.name, content=upload)
                self.model_field.validate_name(file, instance)
                self.model_field.run_validators(file)
        except ValidationError:
            return False
        return True

    def _new(self, selection: Selection) -> Iterable[tuple[float, Any]]:
        """Yield the files that a form brings, each with its place."""
        yield from _placed(selection.uploads, selection.upload_places)
        for place, receipt in self.wanted_receipts(selection):
            yield place, self.receive(receipt)
        for token in selection.retained:
            key = key_of_reference(token)
            if key not in selection.removed:
                place = selection.places.get(key, math.inf)
                yield place, self._recover(token, selection.binding)

    # uploads of a former request

    @property
    def scope(self) -> str:
        """What a reference is signed for: the field of the model."""
        field = self.model_field
        return "" if field is None else f"{field.model._meta.label}.{field.name}"

    @property
    def retention_alias(self) -> str | None:
        """The storage on which uploads wait; None where they don't."""
        if self.model_field is None or not self.retains:
            return None
        return "default" if callable(self.model_field.backend) else self.model_field.backend

    def recovered(self, selection: Selection) -> Iterable[RetainedUpload]:
        """Yield what was kept before, as far as it is there; not what one upload replaces."""
        if selection.uploads and not self.multiple:
            return
        for token in selection.retained:
            if key_of_reference(token) in selection.removed:
                continue
            try:
                yield self._recover(token, selection.binding)
            except ValidationError:
                continue

    def _recover(self, token: str, binding: str) -> RetainedUpload:
        try:
            return kept_uploads.recover(token, self.scope, binding)
        except (ExpiredSignature, OSError) as error:
            raise ValidationError(self.error_messages["gone"], code="gone") from error
        except (BadSignature, ValueError) as error:
            # the token says where a file lies, so it is no matter for a log
            logger.warning("A reference to an upload was refused for %s.", self.scope)
            raise ValidationError(self.error_messages["forged"], code="forged") from error

    # direct uploads

    def ticket_for(self, bound: StoredObjectBoundField) -> Ticket | None:
        """Return what lets the browser send bytes straight to the storage; None: with the form."""
        direct = self.direct_upload
        if direct is None or self.disabled:
            return None
        urls = (reverse("django_fsspec:start_upload"), reverse("django_fsspec:finish_upload"))
        if isinstance(direct, uploads.Destination):
            return Ticket(uploads.ticket(direct), *urls)
        tickets = {value: uploads.ticket(one) for value, one in direct.destinations.items()}
        return Ticket(json.dumps(tickets), *urls, bound.form.add_prefix(direct.control))

    def wanted_receipts(self, selection: Selection) -> Sequence[tuple[float, str]]:
        """Return places and receipts; of a single file the last, which was chosen last."""
        receipts = selection.wanted_receipts
        return receipts if self.multiple else receipts[-1:]

    def receive(self, receipt: str) -> FileObject:
        """Return the stored file that a receipt is for: 1 request and 1 query a field.

        ``ValidationError`` for one that is wrong, or of a field that takes no direct uploads.
        """
        direct = self.direct_upload
        if isinstance(direct, uploads.Choice):
            return uploads.redeemed(receipt, direct.destinations.values())
        return uploads.redeemed(receipt, [] if direct is None else [direct])


class MultipleStoredObjectFormField(StoredObjectFormField):
    """Several uploaded files, which come to those that are there, in the order of the form."""

    multiple = True

    def clean(self, data: Any, initial: Any = None) -> Any:
        """Return all files in their order, or False when they are to be cleared.

        Each upload is validated; an error names the file that it is about.
        """
        selection = Selection.of(data)
        new = list(self._new(selection))
        there = [] if selection.clears else self._kept(selection, initial)
        if not new and not there:
            return forms.FileField.clean(self, False, None)
        errors: list[ValidationError] = []
        for _place, file in new:
            try:
                self._checked(file)
            except ValidationError as error:
                errors.extend(_about(file, error, several=len(new) > 1))
        if errors:
            raise ValidationError(errors)
        return [file for _, file in sorted([*there, *new], key=lambda placed: placed[0])]

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Return whether files were sent, taken out or put in another order."""
        selection = Selection.of(data)
        if self.disabled:
            return False
        kept = self._kept(selection, initial)
        kept = sorted(kept, key=lambda placed: placed[0])
        before = files_of(initial)
        after = [] if selection.clears else [file for _, file in kept]
        return selection.adds or before != after

    def _kept(self, selection: Selection, initial: Any) -> list[tuple[float, Any]]:
        """Return the files that stay, with their places; others than the row's are unknown."""
        files = [(key_of(file), file) for file in files_of(initial)]
        return [
            (selection.places.get(key, number), file)
            for number, (key, file) in enumerate(files, 1)
            if key not in selection.removed
        ]


def _placed(files: Sequence[Any], places: Sequence[float]) -> Iterable[tuple[float, Any]]:
    """Pair files with their places; all go to the end unless there is a place for each."""
    if len(places) != len(files):
        places = [math.inf] * len(files)
    return zip(places, files, strict=True)


def _about(file: Any, error: ValidationError, *, several: bool) -> Iterable[ValidationError]:
    for one in error.error_list:
        text = one.messages[0]
        if several and str(file.name) not in text:
            text = f"{file.name}: {text}"
        yield ValidationError(text, code=one.code)
