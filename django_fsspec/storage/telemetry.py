"""What operations of storages tell: DEBUG records, and spans and metrics of OpenTelemetry.

All operations pass one driver, which asks here. Where nobody listens that costs a look at the
level of the logger.
"""

from __future__ import annotations

import logging
import time
from typing import Any, NamedTuple

from django.conf import settings
from django.core.signals import setting_changed

from django_fsspec.core.extras import load
from django_fsspec.core.log_fields import log_fields
from django_fsspec.core.stat import Stat

logger = logging.getLogger("django_fsspec")

#: the setting that switches OpenTelemetry on
SETTING = "DJANGO_FSSPEC_OPENTELEMETRY"


class _Instruments(NamedTuple):
    """What OpenTelemetry gives to a library."""

    trace: Any
    tracer: Any
    #: in seconds, and in bytes
    duration: Any
    size: Any


_instruments: _Instruments | None = None


def start(**kwargs: Any) -> None:
    """Switch OpenTelemetry on or off, as the setting says.

    Raises ``ImproperlyConfigured`` where its package is missing.
    """
    global _instruments  # noqa: PLW0603
    if kwargs.get("setting", SETTING) != SETTING:
        return
    _instruments = _made() if getattr(settings, SETTING, False) else None


setting_changed.connect(start)


def _made() -> _Instruments:
    trace = load("opentelemetry.trace", "otel", SETTING)
    metrics = load("opentelemetry.metrics", "otel", SETTING)
    meter = metrics.get_meter("django_fsspec")
    return _Instruments(
        trace,
        trace.get_tracer("django_fsspec"),
        meter.create_histogram(
            "django.storage.operation.duration", "s", "How long operations of storages take."
        ),
        meter.create_histogram(
            "django.storage.operation.size", "By", "How many bytes they store or return."
        ),
    )


def is_wanted() -> bool:
    """Return whether anybody listens."""
    return _instruments is not None or logger.isEnabledFor(logging.DEBUG)


class Operation:
    """An operation on a storage that is told about when it ends; a context manager.

    `operation` is its name in the API, `name` the file that it is about. A `detached` one is an
    iteration, during which other work goes on: its span is nobody's parent. Nothing is told of
    contents, URLs and messages of errors.
    """

    def __init__(
        self,
        alias: str | None,
        operation: str,
        name: str | None = None,
        *,
        detached: bool = False,
    ) -> None:
        self.operation = operation
        self._alias, self._detached = alias, detached
        self._name = None if name is None else str(name)
        self.size: int | None = None
        self._scope: Any = None
        self._span: Any = None

    def __enter__(self) -> Operation:
        self._began = time.perf_counter()
        if _instruments is not None:
            self._begin_span(_instruments)
        return self

    def __exit__(self, error_type: type[BaseException] | None, *error: object) -> None:
        seconds = time.perf_counter() - self._began
        # a consumer that has enough is no failure
        failure = "" if error_type in (None, GeneratorExit) else str(error_type.__qualname__)
        if self._span is not None and _instruments is not None:
            self._end_span(_instruments, seconds, failure)
        if logger.isEnabledFor(logging.DEBUG):
            self._log(seconds, failure)

    def returned(self, result: Any) -> None:
        """Note how many bytes the operation stored or returned, where that is known."""
        if isinstance(result, Stat):
            self.size = result.size
            self._name = self._name or result.name
        elif isinstance(result, bytes):
            self.size = len(result)

    def emitted(self, item: Any) -> None:
        """Note how many bytes a piece has that an iteration yields."""
        if isinstance(item, bytes):
            self.size = (self.size or 0) + len(item)

    def _begin_span(self, instruments: _Instruments) -> None:
        trace, attributes = instruments.trace, dict(self._attributes)
        if self._name:
            attributes["file.path"] = self._name
        self._span = instruments.tracer.start_span(
            f"{self.operation} {self._alias or 'storage'}",
            kind=trace.SpanKind.CLIENT,
            attributes=attributes,
        )
        if not self._detached:
            # errors are told here, without their messages
            self._scope = trace.use_span(
                self._span, record_exception=False, set_status_on_exception=False
            )
            self._scope.__enter__()

    def _end_span(self, instruments: _Instruments, seconds: float, failure: str) -> None:
        if self._scope is not None:
            self._scope.__exit__(None, None, None)
        attributes = self._attributes
        if failure:
            attributes["error.type"] = failure
            self._span.set_attribute("error.type", failure)
            self._span.set_status(instruments.trace.StatusCode.ERROR)
        if self.size is not None:
            self._span.set_attribute("file.size", self.size)
            instruments.size.record(self.size, self._attributes)
        instruments.duration.record(seconds, attributes)
        self._span.end()

    @property
    def _attributes(self) -> dict[str, Any]:
        # few values: metrics keep a series for each
        return {
            "django.storage.alias": self._alias or "",
            "django.storage.operation": self.operation,
        }

    def _log(self, seconds: float, failure: str) -> None:
        logger.debug(
            "%s %r on %s: %s, %.1f ms",
            self.operation,
            self._name,
            self._alias,
            failure or ("done" if self.size is None else f"{self.size} bytes"),
            seconds * 1000,
            extra=log_fields(
                self._alias,
                self._name,
                operation=self.operation,
                size=self.size,
                seconds=seconds,
                error=failure or None,
            ),
        )
