"""The argument ``--filter`` of commands: lookups that rows must match."""

from __future__ import annotations

from collections.abc import Iterable

from django.core.management.base import CommandError, CommandParser


def add_filter(parser: CommandParser, does: str) -> None:
    """Add the argument; `does` is what the command does to the rows, as a verb."""
    parser.add_argument(
        "--filter",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"{does} only rows that match this lookup; can be repeated.",
    )


def conditions_of(filters: Iterable[str]) -> dict[str, str | list[str]]:
    """Return ``KEY=VALUE`` arguments as keyword arguments of a queryset's ``filter()``.

    Raises ``CommandError`` for another form.
    """
    conditions: dict[str, str | list[str]] = {}
    for text in filters:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise CommandError(
                f"--filter {text}: write KEY=VALUE, as in --filter title=May.", returncode=2
            )
        conditions[key] = value.split(",") if key.endswith("__in") else value
    return conditions
