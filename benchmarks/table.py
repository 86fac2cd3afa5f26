"""Aligned tables of text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def print_table(
    head: Sequence[str], rows: Iterable[Sequence[object]], *, markdown: bool = False
) -> None:
    """Print rows in columns as wide as they need: the first to the left, the others right."""
    cells = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        aligned = [
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return f"| {' | '.join(aligned)} |" if markdown else "  ".join(aligned).rstrip()

    print(line(cells[0]))
    rule = [":" + "-" * (w - 1) if not i else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    print(line(rule) if markdown else "  ".join("-" * width for width in widths))
    for row in cells[1:]:
        print(line(row))
