"""What a browser knows of the site."""

from __future__ import annotations

import pytest
from django.middleware.csrf import get_token
from django.test import RequestFactory


@pytest.fixture
def token() -> str:
    return get_token(RequestFactory().get("/"))
