"""ConvertFileField where a callable tells the prefix: a migration runs for no tenant."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import models

from django_fsspec.testing import override_storage
from tests.helpers import conversions
from tests.helpers.conversions import Past, convert, document
from tests.helpers.tenants import options_of

pytestmark = pytest.mark.django_db(transaction=True)

past = conversions.past


def test_sizes_are_read_from_no_folder_of_another(past: Past) -> None:
    with override_storage(default=options_of("memory")):
        past.start(("title", models.CharField(max_length=9)), document()).add("a.txt", "b.txt")
        with pytest.raises(ImproperlyConfigured, match=r"\['prefix'\]"):
            past.migrate(convert())
        assert past.held() == ["a.txt", "b.txt"]
        past.migrate(convert(list_storage=False))
        assert [(file.filename, file.size) for file in past.held()] == [
            ("a.txt", None),
            ("b.txt", None),
        ]
