"""Validators in the package: what is public, and the extras that are named."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_fsspec import validators
from django_fsspec.validators import measure
from tests.helpers.validators import LOOKS


@pytest.mark.parametrize(
    ("package", "extra", "look"),
    [("filetype", "sniff", LOOKS[0]), ("PIL", "images", LOOKS[2]), ("PIL", "images", measure)],
)
def test_a_missing_package_names_its_extra(package: str, extra: str, look: Any) -> None:
    code = f"""
import pickle, sys
sys.modules[{package!r}] = None
from django.conf import settings
settings.configure()
from django_fsspec import FileObject
look = pickle.loads({pickle.dumps(look)!r})
try:
    look(FileObject("memory", "a.png", content=b"x"))
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said = f"needs a package: pip install 'django-fsspec-storage[{extra}]'."
    assert done.stdout.startswith(ImproperlyConfigured.__name__), done.stdout + done.stderr
    assert done.stdout.strip().endswith(said)


def test_what_is_public() -> None:
    assert sorted(validators.__all__) == validators.__all__
    for name in validators.__all__:
        assert getattr(validators, name).__doc__
