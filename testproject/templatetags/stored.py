"""What templates ask of a stored file; none of it makes a request."""

from __future__ import annotations

from django import template
from django.conf import settings
from django.utils.html import escape
from django.utils.http import content_disposition_header
from django.utils.safestring import SafeString, mark_safe

from django_fsspec import FileObject
from django_fsspec.storage.aliases import label_of

register = template.Library()


@register.filter
def link(file: FileObject) -> str:
    """Return a URL that shows the file; none where its storage is not there, as without S3."""
    return file.url if file.backend in settings.STORAGES else ""


@register.filter
def download(file: FileObject) -> str:
    """Return a URL that saves the file under the name it was uploaded by."""
    if file.backend not in settings.STORAGES:
        return ""
    return file.sign(content_disposition=content_disposition_header(True, file.original_name))


@register.filter
def storage(file: FileObject) -> str:
    """Return what people call the storage of a file."""
    return label_of(file.backend)


@register.filter
def breakable(code: str) -> SafeString:
    """Return code that a narrow page breaks where a person would."""
    return mark_safe(escape(code).replace("(", "(<wbr>"))


@register.filter
def extension(file: FileObject) -> str:
    """Return what stands for a file that is no picture."""
    name, dot, ending = file.original_name.rpartition(".")
    return ending[:4] if name and dot else "file"
