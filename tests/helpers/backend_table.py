"""The table in docs/reference/backends.md, made from a run of the conformance suite.

``make table`` runs the suite and rewrites the table.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "backends.md"
BEGIN, END = "<!-- table: begin (make table) -->", "<!-- table: end -->"

#: column of the table -> the behaviours it sums up
COLUMNS: dict[str, tuple[str, ...]] = {
    "open, read": (
        "test_open_reads_bytes",
        "test_open_reads_text",
        "test_open_reads_an_empty_file",
        "test_open_file_knows_its_size_and_chunks",
        "test_open_missing_raises",
        "test_get_content",
        "test_path",
    ),
    "seek, ranges": (
        "test_open_seeks",
        "test_an_open_file_reads_one_version",
        "test_an_open_file_reads_one_version_of_many_of_a_size",
        "test_get_content_range",
    ),
    "stream": ("test_stream", "test_abandoned_streams_release_their_connection"),
    "stat, times": (
        "test_exists_means_a_file",
        "test_size",
        "test_stat",
        "test_times_are_aware_iff_use_tz",
        "test_naive_times_are_the_systems",
        "test_modified_time_is_now",
    ),
    "list, walk": (
        "test_listdir",
        "test_walk_is_complete_and_sorted",
        "test_folders_made_in_a_console",
        "test_a_folder_marked_by_metadata_is_no_file",
    ),
    "async": (
        "test_async_reading_twins",
        "test_many_async_reads_at_once",
        "test_async_writing_twins",
    ),
    "save, write": (
        "test_save_returns_the_stored_name",
        "test_save_takes_any_content",
        "test_chunks_are_what_is_stored",
        "test_large_content_of_unknown_size_is_stored_whole",
        "test_save_tells_what_was_stored",
        "test_empty_files_are_files",
        "test_open_for_writing",
        "test_allow_overwrite_replaces",
        "test_overwriting_large_replaces",
        "test_another_instance_sees_changes_at_once",
    ),
    "nothing lost": (
        "test_save_never_overwrites",
        "test_large_save_never_overwrites",
        "test_open_exclusively",
        "test_failing_content_leaves_nothing",
        "test_failing_content_keeps_what_was_there",
        "test_exception_while_writing_discards",
    ),
    "exact name": ("test_save_keeps_the_name_when_it_is_free",),
    "any name": (
        "test_names_outside_are_refused",
        "test_wildcards_touch_one_object",
        "test_odd_names_are_stored_exactly_or_refused",
        "test_very_long_names",
        "test_no_file_has_an_empty_name",
        "test_empty_names_are_not_written",
        "test_public_urls_of_directories",
    ),
    "delete": ("test_delete", "test_delete_many"),
    "copy": ("test_copy", "test_copy_overwrites_where_allowed"),
    "collectstatic": ("test_collectstatic_clear_deletes_everything",),
    "content type": ("test_content_type_is_kept",),
    "headers, gzip": (
        "test_headers_are_kept",
        "test_gzip_packs_and_unpacks",
        "test_gzip_of_several_members",
    ),
    "signed URLs": ("test_signed_url_is_readable_by_anyone",),
    "read-only": ("test_read_only_backends_say_so",),
}


def table(results: Mapping[str, Mapping[str, str]], backends: list[str]) -> str:
    """Return the Markdown table; a cell counts the tests that passed, blank where none applies."""
    lines = [
        "| filesystem | " + " | ".join(COLUMNS) + " |",
        "|---|" + ":-:|" * len(COLUMNS),
    ]
    for backend in backends:
        cells = [_cell(results, tests, backend) for tests in COLUMNS.values()]
        lines.append(f"| {backend} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(results: Mapping[str, Mapping[str, str]], tests: tuple[str, ...], backend: str) -> str:
    outcomes = [
        outcome
        for test in tests
        for parameters, outcome in results.get(test, {}).items()
        if parameters == backend or parameters.startswith(f"{backend}-")
    ]
    passed = outcomes.count("passed")
    if not outcomes:
        return ""
    return f"✓ {passed}" if passed == len(outcomes) else f"✗ {passed}/{len(outcomes)}"


def main() -> int:
    """Run the suite and rewrite the table of the page."""
    from tests.helpers.backends import BACKENDS

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "results.json"
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-n", "2", "tests/storage/test_conformance.py"],
            env={**os.environ, "DJANGO_FSSPEC_RESULTS": str(path)},
            check=False,
        )
        results = json.loads(path.read_text())
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    made = table(results, [backend.name for backend in BACKENDS])
    PAGE.write_text(f"{before}{BEGIN}\n\n{made}\n\n{END}{after}")
    return run.returncode


if __name__ == "__main__":
    sys.exit(main())
