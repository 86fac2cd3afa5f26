"""Form fields for file uploads, with or without a ``StoredObjectField``."""

from __future__ import annotations

import dataclasses
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
from django_fsspec.core.log_fields import log_fields
from django_fsspec.core.names import BIDI, last_part
from django_fsspec.objects.file_object import FileObject
from django_fsspec.rows.values import files_of, has_pending
from django_fsspec.storage.signing import ExpiredSignature

from . import copied_files, kept_uploads
from .cards import key_of, key_of_reference
from .copied_files import CopiedFile
from .kept_uploads import KeptUpload
from .submitted import Selection
from .widgets import Rules, StoredObjectInput, Submission, Ticket

if TYPE_CHECKING:
    from django.db.models import Model

    from django_fsspec.rows.protocols import StoredField

logger = logging.getLogger("django_fsspec")


class StoredObjectBoundField(BoundField):
    """Keeps the uploads of a submitted form that is shown again."""

    field: StoredObjectFormField

    def as_widget(self, widget: Any = None, attrs: Any = None, only_initial: bool = False) -> Any:
        """Return the HTML; keeps uploads that would be lost: see `submission`."""
        widget = widget or self.field.widget
        if isinstance(widget, StoredObjectInput):
            widget.submission = self.submission
            widget.ticket = self.field.ticket_for(self)
            widget.origin = self._origin()
        return super().as_widget(widget, attrs, only_initial)

    @property
    def data(self) -> Any:
        """What was submitted, with copies of the files that a form for a new row showed."""
        sent = super().data
        if isinstance(sent, Selection) and sent.origin and self._copies:
            return dataclasses.replace(sent, copies=self._copies)
        return sent

    @functools.cached_property
    def _copies(self) -> tuple[CopiedFile, ...]:
        """Copies of files for a form whose row is new, as "Save as new" of the admin makes one."""
        row, field = getattr(self.form, "instance", None), self.field.model_field
        if row is None or field is None or not row._state.adding or self.initial:
            return ()
        return tuple(copied_files.copied(super().data.origin, field))

    def _origin(self) -> str:
        row, field = getattr(self.form, "instance", None), self.field.model_field
        if row is None or field is None or self.field.disabled:
            return ""
        if self.submission is not None and self.submission.selection.copies:
            return self.submission.selection.origin
        return copied_files.reference(row, field)

    @functools.cached_property
    def submission(self) -> Submission | None:
        """What was submitted; 1 request for each upload that is kept.

        Only valid uploads are kept, and none that a row has got meanwhile.
        """
        if not self.form.is_bound or self.field.disabled:
            return None
        selection = Selection.of(self.data)
        if not self._needs_uploads():
            return Submission(selection=selection)
        return Submission(
            selection=selection,
            kept=list(self._kept(selection)),
            received=list(self._received(selection)),
        )

    def _needs_uploads(self) -> bool:
        value = getattr(getattr(self.form, "instance", None), self.name, None)
        return bool(self.form.errors) or has_pending(value)

    def _is_valid(self, upload: Any) -> bool:
        # an error of a single file is about that file
        instance = getattr(self.form, "instance", None)
        return self.field.multiple and self.field.is_acceptable(upload, instance)

    def _kept(self, selection: Selection) -> Iterable[tuple[KeptUpload, str]]:
        scope, alias = self.field.scope, self.field.kept_uploads_alias
        if alias is None or not selection.binding:
            return
        # without `multiple` the last chosen file replaces the others
        uploads = selection.uploads if self.field.multiple else selection.uploads[:1]
        for upload in [*self.field.recovered(selection), *uploads]:
            if self.errors and not self._is_valid(upload):
                continue
            try:
                kept = upload
                if not isinstance(upload, KeptUpload):
                    kept = kept_uploads.keep(upload, alias, selection.binding)
            except (OSError, ValueError) as error:
                logger.warning(
                    "An upload could not be kept for %s.",
                    scope,
                    exc_info=True,
                    extra=log_fields(alias, operation="keep_upload", error=error),
                )
                continue
            yield kept, kept_uploads.reference(kept, scope, selection.binding)

    def _received(self, selection: Selection) -> Iterable[tuple[FileObject, str]]:
        if selection.uploads and not self.field.multiple:
            return
        receipts = self.field.wanted_receipts(selection)
        try:
            uploads.check_list([receipt for _, receipt in receipts])
        except ValidationError:
            return
        for _place, receipt in receipts:
            try:
                file = self.field.receive(receipt)
            except ValidationError:
                continue
            if not self.errors or self._is_valid(file):
                yield file, receipt


class StoredObjectFormField(forms.FileField):
    """A form field for one uploaded file. Its path, alias and metadata never come from the client.

    Example::

        class ReportForm(forms.Form):
            file = StoredObjectFormField(max_size=10_000_000, content_types=["application/pdf"])

    A `StoredObjectField` passes itself as `model_field`; its rules are checked when the row is
    validated. Without one, `max_size` (bytes) and `content_types` are checked here. With
    `retains`, uploads are kept while a form with errors is shown again: see
    docs/how-to/forms-and-admin.md. With `direct_upload`, a destination or a choice of several, the
    browser uploads directly to the storage and the form submits a receipt.
    """

    widget = StoredObjectInput
    multiple = False
    default_error_messages: ClassVar[dict[str, Any]] = {
        "gone": _("The file from your last try is not available. Please choose it again."),
        "forged": _("The upload could not be attached. Please choose the file again."),
        "deceptive_name": _(
            "The name “%(name)s” has characters that change the text direction. Rename the file."
        ),
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
        """Return the bound field, which keeps uploads."""
        return StoredObjectBoundField(form, self, field_name)

    # cleaning

    def clean(self, data: Any, initial: Any = None) -> Any:
        """Return the upload, False to clear the field, or `initial` where nothing was sent.

        1 request for a kept upload or a receipt. Raises ``ValidationError``; ``OSError`` where the
        storage fails.
        """
        selection = Selection.of(data)
        if selection.contradicts or (selection.clears and selection.adds and not self.required):
            raise ValidationError(self.error_messages["contradiction"], code="contradiction")
        new = [file for _, file in self._new(selection)]
        if new:
            return self._checked(new[0])
        clears = selection.clears and not self.required
        if isinstance(initial, FileObject) and not initial and not clears:
            return initial  # invalid JSON: it stays as it is until another file replaces it
        return super().clean(False if clears else None, initial)

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Return whether a file was sent, or the field is to be cleared."""
        selection = Selection.of(data)
        changes = selection.adds or selection.clears or bool(selection.copies)
        return not self.disabled and changes

    def _checked(self, file: Any) -> Any:
        if not last_part(str(getattr(file, "name", None) or "")):
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        if BIDI.search(getattr(file, "name", None) or ""):
            params = {"name": BIDI.sub("�", file.name)}
            message = self.error_messages["deceptive_name"]
            raise ValidationError(message, code="deceptive_name", params=params)
        return super().clean(file)

    def is_acceptable(self, upload: Any, instance: Model | None) -> bool:
        """Return whether an upload alone is valid; used for a field that has an error."""
        try:
            self._checked(upload)
            if self.model_field is not None:
                file = FileObject("", last_part(upload.name), content=upload)
                self.model_field.validate_name(file, instance)
                self.model_field.run_validators(file)
        except ValidationError:
            return False
        return True

    def _new(self, selection: Selection) -> Iterable[tuple[float, Any]]:
        """Yield the new files of a form, each with its place."""
        yield from _placed(selection.uploads, selection.upload_places)
        receipts = self.wanted_receipts(selection)
        uploads.check_list([receipt for _, receipt in receipts])
        for place, receipt in receipts:
            yield place, self.receive(receipt)
        for token in selection.references:
            key = key_of_reference(token)
            if key not in selection.removed:
                place = selection.places.get(key, math.inf)
                yield place, self._recover(token, selection.binding)
        yield from selection.wanted_copies

    # kept uploads

    @property
    def scope(self) -> str:
        """The label of the model field, for which references are signed."""
        field = self.model_field
        return "" if field is None else f"{field.model._meta.label}.{field.name}"

    @property
    def kept_uploads_alias(self) -> str | None:
        """The alias of the storage for kept uploads; None where uploads are not kept."""
        if self.model_field is None or not self.retains:
            return None
        return "default" if callable(self.model_field.backend) else self.model_field.backend

    def recovered(self, selection: Selection) -> Iterable[KeptUpload]:
        """Yield the uploads kept before: 1 request each. Without `multiple` a new one wins."""
        if selection.uploads and not self.multiple:
            return
        for token in selection.references:
            if key_of_reference(token) in selection.removed:
                continue
            try:
                yield self._recover(token, selection.binding)
            except ValidationError:
                continue

    def _recover(self, token: str, binding: str) -> KeptUpload:
        try:
            return kept_uploads.recover(token, self.scope, binding)
        except (ExpiredSignature, OSError) as error:
            raise ValidationError(self.error_messages["gone"], code="gone") from error
        except (BadSignature, ValueError) as error:
            # not logged: the token reveals the path
            logger.warning(
                "A reference to a kept upload was refused for %s.",
                self.scope,
                extra=log_fields(self.kept_uploads_alias, operation="keep_upload", error=error),
            )
            raise ValidationError(self.error_messages["forged"], code="forged") from error

    # direct uploads

    def ticket_for(self, bound: StoredObjectBoundField) -> Ticket | None:
        """Return the ticket for direct uploads; None sends files with the form.

        Raises ``ImproperlyConfigured`` without ``UploadsMiddleware``, ``NoReverseMatch`` without
        ``django_fsspec.urls``.
        """
        direct = self.direct_upload
        if direct is None or self.disabled:
            return None
        urls = {
            f"{verb}_url": reverse(f"django_fsspec:{name}")
            for verb, name in {
                "start": "start_upload",
                "finish": "finish_upload",
                "status": "upload_status",
                "abort": "abort_upload",
            }.items()
        }
        if isinstance(direct, uploads.Destination):
            return Ticket(uploads.ticket(direct), **urls)
        tickets = {
            value: uploads.ticket(destination)
            for value, destination in direct.destinations.items()
        }
        control = bound.form.add_prefix(direct.control)
        return Ticket(json.dumps(tickets), control=control, **urls)

    def wanted_receipts(self, selection: Selection) -> Sequence[tuple[float, str]]:
        """Return places and receipts; without `multiple` only the last one chosen."""
        receipts = selection.wanted_receipts
        return receipts if self.multiple else receipts[-1:]

    def receive(self, receipt: str) -> FileObject:
        """Return the uploaded file of a receipt: 1 request, and 1 query for each field.

        Raises ``ValidationError`` where the receipt is not valid, or the field takes no direct
        uploads; ``OSError`` where the storage fails.
        """
        direct = self.direct_upload
        if isinstance(direct, uploads.Choice):
            return uploads.redeemed(receipt, direct.destinations.values())
        return uploads.redeemed(receipt, [] if direct is None else [direct])


class MultipleStoredObjectFormField(StoredObjectFormField):
    """A form field for several files: new uploads are added to the row's, in the form's order.

    Example::

        class AlbumForm(forms.Form):
            photos = MultipleStoredObjectFormField(content_types=["image/*"], required=False)
    """

    multiple = True

    def clean(self, data: Any, initial: Any = None) -> Any:
        """Return all files in their order, or False to clear the field.

        1 request for each kept upload and each receipt. Raises ``ValidationError``, with a message
        for each file that is not valid; ``OSError`` where the storage fails.
        """
        selection = Selection.of(data)
        new = list(self._new(selection))
        if initial and not self.has_changed(initial, data):
            return initial  # a new list would change a column that holds no list
        remaining = [] if selection.clears else self._remaining(selection, initial)
        if not new and not remaining:
            return forms.FileField.clean(self, False, None)
        errors: list[ValidationError] = []
        for _place, file in new:
            try:
                self._checked(file)
            except ValidationError as error:
                errors.extend(_about(file, error, several=len(new) > 1))
        if errors:
            raise ValidationError(errors)
        return [file for _, file in sorted([*remaining, *new], key=lambda placed: placed[0])]

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Return whether files were added, removed or sorted."""
        selection = Selection.of(data)
        if self.disabled:
            return False
        remaining = sorted(self._remaining(selection, initial), key=lambda placed: placed[0])
        before = files_of(initial)
        after = [] if selection.clears else [file for _, file in remaining]
        return selection.adds or bool(selection.copies) or before != after

    def _remaining(self, selection: Selection, initial: Any) -> list[tuple[float, Any]]:
        """Return the row's files that are not removed, with their places."""
        files = [(key_of(file), file) for file in files_of(initial)]
        return [
            (selection.places.get(key, number), file)
            for number, (key, file) in enumerate(files, 1)
            if key not in selection.removed
        ]


def _placed(files: Sequence[Any], places: Sequence[float]) -> Iterable[tuple[float, Any]]:
    """Pair files with their places; without a place for each, all are last."""
    if len(places) != len(files):
        places = [math.inf] * len(files)
    return zip(places, files, strict=True)


def _about(file: Any, error: ValidationError, *, several: bool) -> Iterable[ValidationError]:
    for item in error.error_list:
        text = item.messages[0]
        if several and str(file.name) not in text:
            text = f"{file.name}: {text}"
        yield ValidationError(text, code=item.code)
