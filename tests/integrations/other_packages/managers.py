"""What django-filer and Wagtail store: an upload, what they make of it, and its deletion."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import call_command

from django_fsspec.testing import override_storage
from tests.helpers.samples import png


def tables() -> None:
    """Make them at once: Wagtail's migrations take a minute."""
    settings.MIGRATION_MODULES = {app.label: None for app in apps.get_app_configs()}
    call_command("migrate", run_syncdb=True, verbosity=0)


def stored() -> dict[str, int]:
    """Return the names of the files on the default storage, and their sizes."""
    storage: Any = storages["default"]
    return {stat.name: stat.size for stat in storage.walk()}


def steps(package: str, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what is stored after each step, on the storage of the settings or another one."""
    job: Callable[[], dict[str, Any]] = globals()[package]
    if options is None:
        return job()
    with override_storage(default=dict(options)):
        return job()


def wagtail() -> dict[str, Any]:
    from wagtail.documents.models import Document
    from wagtail.images.models import Image
    from wagtail.models import Collection

    Collection.objects.first() or Collection.add_root(name="Root")
    image = Image.objects.create(title="photo", file=ContentFile(png(20, 10), name="photo.png"))
    document = Document.objects.create(title="may", file=ContentFile(b"all is well", name="m.txt"))
    rendition = image.get_rendition("fill-5x5")
    found = {
        "names": [image.file.name, document.file.name, rendition.file.name],
        "image": [image.width, image.height, image.get_file_size()],
        "rendition": [rendition.width, rendition.height],
        "document": [document.get_file_size(), document.file.open().read().decode()],
        "urls": [rendition.url, image.file.url],
        "stored": stored(),
    }
    assert image.get_rendition("fill-5x5") == rendition
    image.delete()
    document.delete()
    return {**found, "left": stored()}


def filer() -> dict[str, Any]:
    from filer.models import File, Image

    text = ContentFile(b"all is well", name="m.txt")
    files = [
        File.objects.create(is_public=public, original_filename="m.txt", file=text)
        for public in (True, False)
    ]
    images = [
        Image.objects.create(is_public=public, file=ContentFile(png(20, 10), name="photo.png"))
        for public in (True, False)
    ]
    # from the public to the private storage
    files[0].is_public = False
    files[0].save()
    thumbnails = [image.file.get_thumbnail({"size": (6, 6)}) for image in images]
    found = {
        "names": [file.file.name for file in (*files, *images)] + [t.name for t in thumbnails],
        "sizes": [(image.width, image.height, image.size) for image in images],
        "content": [file.file.open().read().decode() for file in files],
        "urls": [file.url for file in images],
        "stored": stored(),
    }
    for file in (*files, *images):
        file.delete()
    return {**found, "left": stored()}
