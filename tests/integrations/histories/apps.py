"""The app of these models; its tables are made by conftest.py."""

from __future__ import annotations

from django.apps import AppConfig


class HistoriesConfig(AppConfig):
    name = "tests.integrations.histories"
    label = "histories"
    default_auto_field = "django.db.models.BigAutoField"
