"""A client of the API."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient


@pytest.fixture
def client() -> Any:
    return APIClient()
