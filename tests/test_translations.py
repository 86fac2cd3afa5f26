"""Every text that people see is there in each language, compiled, and in the wheel."""

from __future__ import annotations

import io
import re
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import django
import pytest
from django.core.files.base import ContentFile
from django.utils import translation

from django_fsspec.forms.type_names import name_of_type
from tests.forms.submissions import form_of
from tests.library.models import Paper

pytestmark = pytest.mark.once
ROOT = Path(__file__).resolve().parents[1]
LANGUAGES = ["de", "es", "fr", "zh_Hans"]
#: what is filled in: "%(name)s", "%d", "{name}"
FILLED = re.compile(r"%\(\w+\)[sd]|%d|\{\w+\}")


@pytest.fixture(scope="module")
def script() -> Any:
    loader = SourceFileLoader("translations", str(ROOT / "scripts" / "translations"))
    spec = spec_from_loader("translations", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def forms(text: Any) -> list[str]:
    return list(text) if isinstance(text, list | tuple) else [text]


@pytest.fixture(scope="module")
def found(script: Any) -> set[Any]:
    return {text for _path, text in script.texts()}


def test_texts_of_all_kinds_are_found(found: set[Any]) -> None:
    assert "“{name}” is empty." in found  # of the script
    assert "Move up:" in found  # of a template
    assert ("%(files)s file", "%(files)s files") in found  # of a template, with a plural
    assert ("%d file was moved.", "%d files were moved.") in found
    assert "%(format)s image" in found


@pytest.mark.parametrize("language", LANGUAGES)
def test_none_is_missing_and_none_is_left(script: Any, found: set[Any], language: str) -> None:
    catalogue = script.read(language)
    known = {tuple(forms(message.id)) for message in catalogue if message.id}
    assert known == {tuple(forms(text)) for text in found}, "make translations"
    assert script.untranslated(catalogue) == []
    assert not [message.id for message in catalogue if message.id and message.fuzzy]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_same_is_filled_in(script: Any, language: str) -> None:
    wrong = []
    for message in script.read(language):
        for form in forms(message.string) if message.id else ():
            wanted = [sorted(FILLED.findall(text)) for text in forms(message.id)]
            bars = forms(message.id)[0].count("|")
            if sorted(FILLED.findall(form)) not in wanted or form.count("|") != bars:
                wrong.append(form)
    assert wrong == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_compiled_is_what_was_translated(script: Any, language: str) -> None:
    from babel.messages.mofile import read_mo

    compiled = read_mo(io.BytesIO((script.folder(language) / "django.mo").read_bytes()))
    texts = {tuple(forms(m.id)): forms(m.string) for m in compiled if m.id}
    assert texts == {tuple(forms(m.id)): forms(m.string) for m in script.read(language) if m.id}, (
        "make translations"
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_that_django_has_too_are_its_own(script: Any, language: str) -> None:
    """Ours come first where the app is installed, on all pages of the site."""
    from babel.messages.mofile import read_mo

    place = Path(django.__file__).parent
    parts = ("conf", "contrib/admin")
    files = [place / part / f"locale/{language}/LC_MESSAGES/django.mo" for part in parts]
    theirs = [read_mo(io.BytesIO(file.read_bytes())) for file in files]
    texts = [m for m in script.read(language) if m.id and isinstance(m.id, str)]
    pairs = [(m.string, other[m.id].string) for m in texts for other in theirs if m.id in other]
    assert pairs
    assert [(ours, other) for ours, other in pairs if other and ours != other] == []


@pytest.mark.django_db
@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize(
    ("language", "texts"),
    [
        ("de", ["Herunterladen", "JPEG-Bild", "Datei hier ablegen oder auswählen, um", "1 Byte"]),
        ("es", ["Descargar", "Imagen JPEG", "Suelte aquí un archivo", "1 byte"]),
        ("fr", ["Télécharger", "Image JPEG", "Déposez un fichier ici", "octets|Kio"]),
        ("zh-hans", ["下载", "JPEG 图像", "将文件拖放到此处", "1 字节"]),
    ],
)
def test_people_read_their_language(language: str, texts: list[str]) -> None:
    paper = Paper.objects.create(file=ContentFile(b"1", name="a.jpg"))
    with translation.override(language):
        html = str(form_of(Paper, instance=paper)["file"])
        assert name_of_type("image/jpeg") in texts
    for text in texts:
        assert text in html
