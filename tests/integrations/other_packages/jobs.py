"""What the test has a process with one of the packages do."""

from __future__ import annotations

from io import StringIO
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import call_command

from tests.helpers.samples import png


def sweep(make: str) -> dict[str, Any]:
    """Have a package make files, beside an orphan on each alias; sweep; return what is left."""
    # the tables at once: Wagtail's migrations take a minute
    settings.MIGRATION_MODULES = {app.label: None for app in apps.get_app_configs()}
    call_command("migrate", run_syncdb=True, verbosity=0)
    made = globals()[make]()
    for alias in ("default", "private"):
        storages[alias].save("orphan.txt", ContentFile(b"orphan"))
    before = {alias: _names(alias) for alias in ("default", "private")}
    call_command("sweep_files", "--delete", "--min-age", "0", stdout=StringIO())
    return {"made": made, "before": before, "after": {alias: _names(alias) for alias in before}}


def _names(alias: str) -> list[str]:
    return sorted(stat.name for stat in storages[alias].walk())  # type: ignore[attr-defined]


def _picture() -> Any:
    from tests.integrations.other_packages.gallery.models import Picture

    return Picture._default_manager.create(image=_image("photo.png"))


def _image(name: str) -> ContentFile[bytes]:
    return ContentFile(png(20, 20), name=name)


def easy_thumbnails() -> list[str]:
    from easy_thumbnails.files import get_thumbnailer

    thumbnail = get_thumbnailer(_picture().image).get_thumbnail({"size": (5, 5)})
    return [thumbnail.name]


def sorl() -> list[str]:
    from sorl.thumbnail import get_thumbnail

    return [get_thumbnail(_picture().image, "5x5").name]


def sorl_dbm() -> list[str]:
    return sorl()


def imagekit() -> list[str]:
    from imagekit.cachefiles import ImageCacheFile
    from imagekit.registry import generator_registry

    picture = _picture()
    picture.thumbnail.generate()
    # as {% thumbnail %} does in a template
    spec = generator_registry.get("imagekit:thumbnail", source=picture.image, width=7, height=7)
    other = ImageCacheFile(spec)
    other.generate()
    return [picture.thumbnail.name, other.name]


def filer() -> list[str]:
    from filer.models import File, Image

    names = []
    for public in (True, False):
        kind = "public" if public else "private"
        File.objects.create(is_public=public, file=ContentFile(b"x", name=f"{kind}.txt"))
        image = Image.objects.create(is_public=public, file=_image(f"{kind}.png"))
        names += [image.file.name, image.file.get_thumbnail({"size": (5, 5)}).name]
    return names


def wagtail() -> list[str]:
    from wagtail.images.models import Image
    from wagtail.models import Collection

    Collection.add_root(name="Root")
    image = Image.objects.create(title="photo", file=_image("photo.png"))
    return [image.file.name, image.get_rendition("fill-5x5").file.name]
