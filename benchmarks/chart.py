"""The chart of docs/benchmarks.md: how many times as long as ours each peer takes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from benchmarks.rows import Row, shown_latency, shown_ratio

WIDTH, LEFT, RIGHT, TOP, LINE, RADIUS = 970, 380, 30, 84, 22, 8
LOWEST, HIGHEST = 0.05, 2000
TICKS = (0.1, 1, 10, 100, 1000)
PICTURE = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"
  aria-labelledby="title description"
  font-family="ui-sans-serif, system-ui, sans-serif" font-size="12">
  <title id="title">Time of other packages, as a multiple of ours</title>
  <desc id="description">A line for each work. To the right of 1, ours takes less time.</desc>
  <style>
    .page {{ fill: #ffffff; }} .text {{ fill: #14233b; }} .tick {{ fill: #52627a; }}
    .rule {{ stroke: #d5dce7; }} .one {{ stroke: #14233b; stroke-width: 1.5; }}
    .dot {{ fill: #dbe6f7; stroke: #4a6fa5; }} .slow {{ fill: #fbe0d3; stroke: #b3541e; }}
    .letter {{ fill: #14233b; font-size: 10px; font-weight: 600; }}
    @media (prefers-color-scheme: dark) {{
      .page {{ fill: #0d1117; }} .text, .letter {{ fill: #eaf1fc; }} .tick {{ fill: #a9bad4; }}
      .rule {{ stroke: #2a3648; }} .one {{ stroke: #eaf1fc; }}
      .dot {{ fill: #1d3354; stroke: #86a9dd; }} .slow {{ fill: #4f2a15; stroke: #f0a27a; }}
    }}
  </style>
  <rect class="page" width="{width}" height="{height}"/>
{body}
</svg>
"""


def chart(rows: Sequence[Row]) -> str:
    """Return an SVG with the time of each peer as a multiple of ours, on a log scale."""
    lines: dict[str, list[Row]] = {}
    for row in rows:
        if row.measure == "time":
            latency = shown_latency(row.latency)
            lines.setdefault(f"{row.work}, {latency}" if latency else row.work, []).append(row)
    letters = letters_of(dict.fromkeys(row.peer for each in lines.values() for row in each))
    height = TOP + len(lines) * LINE + 16
    body = [*legend(letters), *scale(height)]
    for number, (label, each) in enumerate(lines.items()):
        body += line(label, each, letters, TOP + number * LINE + LINE / 2)
    return PICTURE.format(width=WIDTH, height=height, body="\n".join(body))


def letters_of(peers: Sequence[str] | dict[str, None]) -> dict[str, str]:
    """Return a letter for each peer: the first of its name that is not taken."""
    letters: dict[str, str] = {}
    for peer in peers:
        free = [c for c in peer.upper() if c.isalpha() and c not in letters.values()]
        letters[peer] = free[0] if free else str(len(letters))
    return letters


def x_of(ratio: float) -> float:
    """Return where a ratio is; one that is out of scale is at its end."""
    span = math.log(HIGHEST / LOWEST)
    part = math.log(min(max(ratio, LOWEST), HIGHEST) / LOWEST) / span
    return LEFT + part * (WIDTH - LEFT - RIGHT)


def legend(letters: dict[str, str]) -> Iterator[str]:
    """Yield two lines that tell which letter is which peer."""
    columns = math.ceil(len(letters) / 2) or 1
    for number, (peer, letter) in enumerate(letters.items()):
        x = 20 + number % columns * (WIDTH - 20) / columns
        y = 18 + number // columns * 22
        yield dot(x, y, letter, "dot", peer)
        yield f'  <text class="text" x="{x + 14:.0f}" y="{y + 4}">{escape(peer)}</text>'


def scale(height: float) -> Iterator[str]:
    for tick in TICKS:
        kind = "one" if tick == 1 else "rule"
        x = x_of(tick)
        yield f'  <path class="{kind}" d="M{x:.1f} {TOP - 6}V{height - 12}"/>'
        at = f'x="{x:.1f}" y="{TOP - 12}" text-anchor="middle"'
        yield f'  <text class="tick" {at}>{tick:g} x</text>'


def line(label: str, rows: Sequence[Row], letters: dict[str, str], y: float) -> Iterator[str]:
    yield f'  <path class="rule" d="M{LEFT} {y:.0f}H{WIDTH - RIGHT}"/>'
    yield (
        f'  <text class="text" x="{LEFT - 8}" y="{y + 4:.0f}" text-anchor="end">'
        f"{escape(label)}</text>"
    )
    for row in rows:
        kind = "slow" if row.ratio < 1 else "dot"
        title = f"{row.peer}: {shown_ratio(row.ratio)} x"
        yield dot(x_of(row.ratio), y, letters[row.peer], kind, title)


def dot(x: float, y: float, letter: str, kind: str, title: str) -> str:
    return (
        f'  <g><title>{escape(title)}</title><circle class="{kind}" cx="{x:.1f}" cy="{y:.0f}" '
        f'r="{RADIUS}"/><text class="letter" x="{x:.1f}" y="{y + 3.5:.1f}" '
        f'text-anchor="middle">{letter}</text></g>'
    )
