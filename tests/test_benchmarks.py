"""The page of benchmarks: what a run writes into it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from benchmarks import reasons, report
from benchmarks.chart import chart, letters_of
from benchmarks.rows import Row, Taken, in_turns, rows_of, shown, shown_ratio

ROWS = [
    Row("save 20 kB", "boto3", 0.02, "time", 0.025, 0.05),
    Row("save 20 kB", "boto3", 0.02, "requests", 1, 2),
    Row("save 20 kB", "obstore", 0.02, "time", 0.025, 0.0125),
    Row("disk: url", "FileSystemStorage", None, "CPU", 2e-6, 6e-6),
]
ABOUT: dict[str, Any] = {
    "date": "2026-01-01",
    "machine": "a machine",
    "versions": {"Django": "5.2"},
    "load": 0.1,
}


@pytest.fixture
def reason(monkeypatch: pytest.MonkeyPatch) -> str:
    text = "obstore is written in Rust."
    monkeypatch.setattr(
        reasons, "REASONS", (reasons.Reason("save *", "obstore", "time", 0.4, text),)
    )
    return text


@pytest.mark.parametrize(
    ("ours", "theirs", "ratio"), [(2, 3, 1.5), (4, 1, 0.25), (0, 0, 1.0), (0, 2, float("inf"))]
)
def test_a_ratio_above_one_is_in_our_favour(ours: float, theirs: float, ratio: float) -> None:
    assert Row("a work", "a peer", None, "requests", ours, theirs).ratio == ratio


def test_units_and_digits() -> None:
    assert [shown("time", value) for value in (12.5, 0.0025, 0.000004, 2)] == [
        "12.5 s",
        "2.50 ms",
        "4 µs",
        "2 s",
    ]
    assert shown("memory", 40_100_000) == "40.1 MB"
    assert shown("requests", 1000) == "1,000"
    assert [shown_ratio(ratio) for ratio in (0.5, 15.04, 230.4, float("inf"))] == [
        "0.50",
        "15.0",
        "230",
        "∞",
    ]


def test_works_take_turns_and_the_first_round_is_not_counted() -> None:
    done: list[tuple[str, int]] = []
    works = {name: lambda n, name=name: done.append((name, n)) for name in ("ours", "theirs")}
    taken = in_turns(works, rounds=2, calls=2)
    assert [name for name, _ in done[::2]] == [
        "ours",
        "theirs",
        "theirs",
        "ours",
        "ours",
        "theirs",
    ]
    assert [number for _, number in done] == list(range(12))
    measures = {row.measure for row in rows_of("a work", taken)}
    assert measures == {"time", "CPU"}


def test_a_row_needs_what_both_have_measured() -> None:
    taken = {"ours": Taken(time=1, memory=5), "a": Taken(time=2), "b": Taken(memory=10)}
    rows = list(rows_of("a work", taken, 0.02))
    assert [(row.peer, row.measure, row.ratio) for row in rows] == [
        ("a", "time", 2),
        ("b", "memory", 2),
    ]


def test_the_table_has_one_line_for_a_work_a_peer_and_a_round_trip(reason: str) -> None:
    section = report.section(ROWS, ABOUT)
    assert "| save 20 kB | boto3 | 20 ms | 25 ms / 50 ms (2.00) |  | 1 / 2 (2.00) |  |" in section
    assert "| disk: url | FileSystemStorage |  |  | 2 µs / 6 µs (3.00) |  |  |" in section
    assert "25 ms / 12.5 ms (**0.50**)" in section
    assert f"- {reason}\n  - save 20 kB (obstore, time, 20 ms) 0.50" in section
    assert "not quiet" not in section
    assert "not quiet" in report.section(ROWS, {**ABOUT, "load": 3.0})


def test_a_row_below_one_needs_a_reason(reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert report.unexplained(ROWS) == []
    slower = ROWS[2]._replace(ours=0.5)
    assert report.unexplained([slower]) == [slower]
    monkeypatch.setattr(reasons, "REASONS", ())
    assert report.unexplained(ROWS) == [ROWS[2]]
    assert "No reason is known." in report.section(ROWS, ABOUT)


def test_a_run_writes_between_the_markers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    monkeypatch.setattr(report, "ROOT", tmp_path)
    monkeypatch.setattr(report, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(report, "CHART", tmp_path / "chart.svg")
    report.PAGE.write_text(f"# Title\n{report.BEGIN}old\n{report.END}the end\n")
    report.write(ROWS, ABOUT)
    once = report.PAGE.read_text()
    report.write(ROWS, ABOUT)
    assert report.PAGE.read_text() == once
    assert once.startswith(f"# Title\n{report.BEGIN}")
    assert once.endswith(f"{report.END}the end\n")
    assert "old" not in once
    assert report.CHART.read_text() == chart(ROWS)


def test_a_module_measured_again_replaces_its_rows_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = [0.1, 0.4]
    measured = {"s3": ROWS[:1], "migrate": ROWS[1:2]}
    monkeypatch.setattr(report, "KEPT", tmp_path / "build" / "kept.json")
    monkeypatch.setattr(report, "measured", lambda name, quick: measured[name])
    monkeypatch.setattr(report, "environment", lambda: {**ABOUT, "load": loads.pop()})
    report.measure(["s3", "migrate"], quick=False)
    measured["migrate"] = ROWS[2:]
    kept, failed = report.measure(["migrate"], quick=False)
    assert (kept.rows, failed) == ({"s3": ROWS[:1], "migrate": ROWS[2:]}, [])
    # the page tells the highest
    assert kept.about["load"] == 0.4
    assert report.Kept.read() == kept
    assert kept.all_rows() == [ROWS[0], *ROWS[2:]]


def test_what_failed_keeps_no_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(name: str, quick: bool) -> list[Row]:
        if name == "migrate":
            raise OSError("no server")
        return ROWS

    monkeypatch.setattr(report, "KEPT", tmp_path / "build" / "kept.json")
    monkeypatch.setattr(report, "measured", measured)
    monkeypatch.setattr(report, "environment", lambda: ABOUT)
    kept, failed = report.measure(["s3", "migrate"], quick=False)
    assert (kept.rows, failed) == ({"s3": ROWS}, ["migrate"])
    assert report.Kept.read() == kept


def test_the_chart_is_xml_with_a_line_for_each_time() -> None:
    svg = ET.fromstring(chart([*ROWS, ROWS[0]._replace(work="read & write <1 MB>")]))
    texts = [element.text for element in svg.iter() if element.text]
    assert "save 20 kB, 20 ms" in texts
    assert "read & write <1 MB>, 20 ms" in texts
    assert "boto3: 2.00 x" in texts
    assert not any("url" in text for text in texts)


def test_each_peer_has_a_letter_of_its_own() -> None:
    letters = letters_of(["boto3", "obstore", "whitenoise", "blob", "o"])
    assert letters == {"boto3": "B", "obstore": "O", "whitenoise": "W", "blob": "L", "o": "4"}


def test_the_page_has_the_markers_once() -> None:
    page = report.PAGE.read_text()
    assert page.count(report.BEGIN) == page.count(report.END) == 1
