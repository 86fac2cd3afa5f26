"""The pages of an error that Django shows where DEBUG is on, and mails where it is not."""

from __future__ import annotations

from typing import Any

import pytest
from django.views.debug import ExceptionReporter


def debug_page(caught: pytest.ExceptionInfo[Any]) -> str:
    """Return the page of an exception, with the local variables of its frames."""
    page: str = ExceptionReporter(None, caught.type, caught.value, caught.tb).get_traceback_html()
    return page
