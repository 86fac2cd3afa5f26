"""What django-debug-toolbar and Sentry show of a site whose storages have secrets."""

from __future__ import annotations

import json
import re
from typing import Any

from django.db import connection
from django.test import Client
from django.views.debug import SafeExceptionReporterFilter

from django_fsspec import FileObject


class WithoutStorages(SafeExceptionReporterFilter):
    """Hides STORAGES as a whole: a URL in it may have a password."""

    hidden_settings = re.compile(
        f"{SafeExceptionReporterFilter.hidden_settings.pattern}|STORAGES", re.IGNORECASE
    )


def rows(count: int) -> None:
    """Make rows whose files nobody stored."""
    from tests.integrations.other_packages.gallery.models import Print

    with connection.schema_editor() as editor:
        editor.create_model(Print)
    Print._default_manager.bulk_create(
        Print(
            photo=FileObject("default", f"{n}.png", size=n, etag="e"),
            others=[FileObject("default", f"{n}-{m}.png", size=m) for m in range(2)],
        )
        for n in range(count)
    )


def toolbar() -> tuple[str, dict[str, str]]:
    """Return the page with the toolbar, and each of its panels."""
    client = Client()
    page = client.get("/page/").content.decode()
    found = re.search(r'data-request-id="(\w+)"', page)
    assert found, page
    panels = re.findall(r'id="djdt-(\w+Panel)"', page)
    shown = {}
    for panel in panels:
        asked = {"request_id": found[1], "panel_id": panel}
        answer: Any = client.get("/__debug__/render_panel/", asked)
        shown[panel] = answer.json()["content"] or ""
    return page, shown


def events(options: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what Sentry sends of each alias that can't be reached."""
    import sentry_sdk
    from django.conf import settings
    from sentry_sdk.scrubber import DEFAULT_DENYLIST, EventScrubber
    from sentry_sdk.transport import Transport

    sent: list[Any] = []

    class Kept(Transport):
        def capture_envelope(self, envelope: Any) -> None:
            sent.append(envelope.get_event())

    if options.pop("scrub", False):
        denylist = [*DEFAULT_DENYLIST, "options"]
        options["event_scrubber"] = EventScrubber(denylist=denylist, recursive=True)
    sentry_sdk.init(dsn="http://public@127.0.0.1:1/1", transport=Kept, **options)
    client = Client(raise_request_exception=False)
    aliases = [*settings.STORAGES.keys() - {"default", "private", "staticfiles"}]
    for path in ["failing", *(f"broken/{alias}" for alias in aliases)]:
        assert client.get(f"/{path}/").status_code == 500
    # as it goes over the wire
    found: list[dict[str, Any]] = json.loads(json.dumps([event for event in sent if event]))
    return found


def debug_page(path: str) -> str:
    """Return Django's own page of an error, with the variables of each frame."""
    return Client(raise_request_exception=False).get(path).content.decode()
