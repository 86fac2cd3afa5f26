"""What a process makes of a stored image with the packages of thumbnails.

Each function returns names, sizes and the aliases that a file is on, by what made it.
"""

from __future__ import annotations

import io
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import call_command
from django.template import Context, Template

from tests.helpers.samples import png


def row() -> Any:
    """Return a row as a page reads it."""
    from tests.integrations.other_packages.gallery.models import Print

    if not settings.MIGRATION_MODULES:
        settings.MIGRATION_MODULES = {app.label: None for app in apps.get_app_configs()}
        call_command("migrate", run_syncdb=True, verbosity=0)
    rows = Print._default_manager
    if not rows.exists():
        pages = [ContentFile(png(20, 20), name="page.png")]
        rows.create(photo=ContentFile(png(20, 20), name="photo.png"), others=pages)
    return rows.get()


def rendered(template: str) -> str:
    return Template(template).render(Context({"row": row()}))


def thumbnail_tag(load: str, tag: str) -> list[str]:
    """Return what a tag renders, twice: made, and found again."""
    return [rendered(f"{{% load {load} %}}{tag}") for _ in range(2)]


def thumbnailer(attribute: str = "photo") -> dict[str, Any]:
    """Return a thumbnail that easy-thumbnails makes in Python."""
    from easy_thumbnails.files import get_thumbnailer

    value = getattr(row(), attribute)
    file = value[0] if isinstance(value, list) else value
    made = get_thumbnailer(file).get_thumbnail({"size": (6, 6)})
    return {"name": made.name, "on": _on(made.name), "size": _size(made)}


def unsaved() -> str:
    """Return what easy-thumbnails says of content that is not stored."""
    from easy_thumbnails.files import get_thumbnailer

    from tests.integrations.other_packages.gallery.models import Print

    try:
        get_thumbnailer(Print(photo=ContentFile(png(2, 2), name="new.png")).photo)
    except ValueError as error:
        return str(error)
    return ""


def sorl() -> dict[str, Any]:
    """Return a thumbnail of sorl, and the aliases it is on after sorl deleted it."""
    from sorl.thumbnail import delete, get_thumbnail

    made = get_thumbnail(row().photo, "6x6")
    found = {"name": made.name, "on": _on(made.name), "size": list(made.size)}
    assert get_thumbnail(row().photo, "6x6").name == made.name
    delete(row().photo, delete_file=False)
    return {**found, "left": _on(made.name), "source": _on(row().photo.name)}


def imagekit() -> dict[str, Any]:
    """Return a spec of django-imagekit, of a model."""
    spec = row().thumbnail
    url = spec.url
    return {"name": spec.name, "on": _on(spec.name), "size": _size(spec), "url": url}


def processed() -> dict[str, Any]:
    """Return the image of a ``ProcessedImageField`` as it is stored."""
    from tests.integrations.other_packages.gallery.models import Picture

    row()
    file = ContentFile(png(20, 20), name="photo.png")
    made = Picture._default_manager.create(image=file, processed=file)
    found = Picture._default_manager.get(pk=made.pk).processed
    return {"name": found.name, "on": _on(found.name), "size": _size(found)}


def _on(name: str) -> list[str]:
    return [alias for alias in ("default", "private") if storages[alias].exists(name)]


def _size(file: Any) -> list[int]:
    from PIL import Image

    with file.open() as opened, Image.open(io.BytesIO(opened.read())) as image:
        return list(image.size)
