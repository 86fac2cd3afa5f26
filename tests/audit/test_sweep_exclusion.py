"""sweep_files: names left alone by a pattern, or because a function of the project says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import override_settings

from django_fsspec.audit.columns import BadArguments
from django_fsspec.audit.names_in_use import SETTING
from django_fsspec.audit.sweep import Sweep
from django_fsspec.checks.system_checks import check_storages
from django_fsspec.storage import FSSpecStorage
from django_fsspec.testing import override_storage
from tests.helpers import audit
from tests.helpers.audit import NOW, failing, fates, hold, in_memory, put, run, sweep, there

pytestmark = pytest.mark.django_db(databases=["default", "other"])

place, default = audit.place, audit.default


# --exclude


NAMES = ["a.txt", "b/thumbs/3.webp", "thumbs.txt", "thumbs/1.webp", "thumbs/x/2.webp"]


@pytest.mark.parametrize(
    ("patterns", "kept"),
    [
        (["thumbs/*"], ["thumbs/1.webp", "thumbs/x/2.webp"]),
        (["thumbs"], ["thumbs/1.webp", "thumbs/x/2.webp"]),
        (["/thumbs/"], ["thumbs/1.webp", "thumbs/x/2.webp"]),
        (["*/thumbs"], ["b/thumbs/3.webp"]),
        (["*.webp"], ["b/thumbs/3.webp", "thumbs/1.webp", "thumbs/x/2.webp"]),
        (["*.WEBP"], []),
        (["thumbs/?.webp"], ["thumbs/1.webp"]),
        (["a.txt", "b/*", "[t]humbs*"], NAMES),
        (["*"], NAMES),
    ],
    ids=lambda value: " ".join(value) if value is not NAMES else "all",
)
def test_excluded_names_are_left_alone(
    default: FSSpecStorage, patterns: list[str], kept: list[str]
) -> None:
    put(*NAMES)
    arguments = [argument for pattern in patterns for argument in ("--exclude", pattern)]
    text = run("default", "--delete", "--min-age", "0", *arguments)
    assert there() == kept
    assert f"deleted: {len(NAMES) - len(kept)}," in text
    count = "1 file was" if len(kept) == 1 else f"{len(kept)} files were"
    assert (f"default: {count} skipped" in text) is bool(kept)


def test_a_pattern_holds_on_every_backend(place: str) -> None:
    put("thumbs/1.webp", "a.txt")
    assert fates(exclude=["thumbs"], **NOW) == {"a.txt": "deleted"}
    assert there() == ["thumbs/1.webp"]


def test_an_empty_pattern_is_refused(default: FSSpecStorage) -> None:
    text, status = failing("default", "--exclude", "/")
    assert (status, "--exclude" in text) == (2, True)


# DJANGO_FSSPEC_NAMES_IN_USE


def exports(alias: str) -> Iterator[str]:
    """Yield what is in use without a row."""
    if alias == "default":
        yield "exports/2026.csv"
        yield "reports/"
        yield "not/there.csv"


def more(alias: str) -> list[str]:
    return ["more.txt"]


def fails(alias: str) -> list[str]:
    raise ZeroDivisionError("the table of exports is broken")


NO_FUNCTION = 5
_HERE = __name__


def named(*functions: str) -> override_settings:
    return override_settings(**{SETTING: [f"{_HERE}.{name}" for name in functions]})


def test_names_that_functions_yield_are_in_use(place: str) -> None:
    put("exports/2026.csv", "exports/2025.csv", "reports/x/1.pdf", "reports.txt", "more.txt")
    with named("exports", "more"):
        assert fates(**NOW) == {"exports/2025.csv": "deleted", "reports.txt": "deleted"}
        assert sweep(missing=True) == []
    assert there() == ["exports/2026.csv", "more.txt", "reports/x/1.pdf"]


def test_functions_are_asked_of_each_alias(default: FSSpecStorage) -> None:
    with override_storage("other", default=in_memory(default.options.prefix)):
        put("exports/2026.csv", "a.txt")
        put("exports/2026.csv", "b.txt", alias="other")
        with named("exports"):
            swept = Sweep(**NOW)
            assert [(one.alias, one.name) for one in swept.run()] == [
                ("default", "a.txt"),
                ("other", "b.txt"),
                ("other", "exports/2026.csv"),
            ]
        assert there() == ["exports/2026.csv"]


def test_a_function_that_fails_ends_the_sweep(default: FSSpecStorage) -> None:
    put("a.txt")
    with named("more", "fails"), pytest.raises(ZeroDivisionError, match="exports is broken"):
        fates(**NOW)
    assert there() == ["a.txt"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([f"{_HERE}.nowhere"], "nowhere"),
        ([f"{_HERE}.NO_FUNCTION"], "no function"),
        (["nowhere.at.all"], "nowhere.at.all"),
        (f"{_HERE}.exports", "must be a list"),
    ],
    ids=["no such name", "no function", "no such module", "a string"],
)
def test_a_wrong_setting(default: FSSpecStorage, value: Any, message: str) -> None:
    put("a.txt")
    with override_settings(**{SETTING: value}):
        with pytest.raises(BadArguments, match=SETTING):
            Sweep(["default"])
        assert failing("default", "--delete")[1] == 2
        (found,) = (one for one in check_storages() if one.id == "django_fsspec.E015")
        assert SETTING in found.msg
        assert message in found.msg
    assert not [one for one in check_storages() if one.id == "django_fsspec.E015"]


# static files


@pytest.mark.parametrize("backend", ["FSSpecStaticStorage", "FSSpecManifestStaticStorage"])
def test_static_files_under_another_alias(default: FSSpecStorage, backend: str) -> None:
    prefix = default.options.prefix
    ours = "django_fsspec.storage.FSSpecStorage"
    static = f"django_fsspec.staticfiles.{backend}"
    config = {
        "default": {"BACKEND": ours, "OPTIONS": in_memory(prefix)},
        "assets": {"BACKEND": static, "OPTIONS": in_memory(f"{prefix}/assets")},
    }
    with override_settings(STORAGES=config, STATIC_URL="/static/"):
        put("assets/a.css", "orphan.txt", "held.txt")
        hold("held.txt")
        swept = Sweep(**NOW)
        assert [one.name for one in swept.run()] == ["orphan.txt"]
        assert list(swept.tallies) == ["default"]
        for delete in (False, True):
            with pytest.raises(BadArguments, match=r"no row references.*collectstatic --clear"):
                Sweep(["assets"], delete=delete)
        config["assets"]["OPTIONS"] = in_memory(prefix)
    with override_settings(STORAGES=config, STATIC_URL="/static/"):
        with pytest.raises(BadArguments, match="'assets' store their files in one place"):
            Sweep(["default"], delete=True)
        text = run("default")
        assert "'assets' store their files in one place" in text
        assert "orphans: 1, " in text
        assert "would delete" not in text
    assert there() == ["assets/a.css", "held.txt"]
