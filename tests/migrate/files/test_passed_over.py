"""Notices name files that look like migrations but are not run, and numbers that seem to be missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.migrations import migrate_all, runner_of, table, write

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick


def said(path: Path, directory: Path) -> list[str]:
    """Return the notices of `status`, after checks that `validate` has the same and `check` finds no problem."""
    with runner_of(path, directory) as runner:
        assert runner.check()[0] == ()
        notices = [notice for notice in runner.status().notices if "pending" not in notice]
        assert [notice for notice in runner.validate().notices if "pending" not in notice] == notices
    return notices


@pytest.mark.parametrize(
    ("name", "notice"),
    [
        ("004_four.sql", "004_four.sql is not run: migrations are .py files; write one that executes this SQL"),
        ("004_four.SQL", "004_four.SQL is not run: migrations are .py files; write one that executes this SQL"),
        ("004_four.PY", "004_four.PY is not run: the name of a migration must end in .py, in lower case"),
        ("004_four.Py", "004_four.Py is not run: the name of a migration must end in .py, in lower case"),
    ],
)
def test_a_file_that_only_looks_like_a_migration_is_named(path: Path, directory: Path, name: str, notice: str) -> None:
    (directory / name).write_text("x")
    assert said(path, directory) == [notice]
    migrate_all(path, directory)
    assert said(path, directory) == [notice]


@pytest.mark.parametrize(
    "name", ["_004_four.sql", ".004_four.sql", "002_two.sql", "002_data.sql", "notes.sql", "4.sql"]
)
def test_other_files_are_left_alone(path: Path, directory: Path, name: str) -> None:
    (directory / name).write_text("x")
    assert said(path, directory) == []


@pytest.mark.parametrize(
    ("versions", "missing"),
    [
        ((1, 2, 3), None),
        ((5, 6, 7), None),
        ((1, 2, 4), "3"),
        ((1, 2, 3, 4, 7, 9), "5 to 6, 8"),
        ((10, 20, 30), None),
        ((20240101120000, 20240102130000), None),
    ],
)
def test_a_gap_in_the_numbers_is_named(path: Path, tmp_path: Path, versions: tuple[int, ...], missing: str) -> None:
    directory = write(tmp_path / "numbered", {f"{version:03d}_t": table(f"t{version}") for version in versions})
    notice = f"no migration has the number {missing}; check whether a file is missing"
    assert said(path, directory) == ([] if missing is None else [notice])


def test_what_was_applied_and_is_gone_is_no_gap(path: Path, directory: Path) -> None:
    migrate_all(path, directory)
    (directory / "002_two.py").unlink()
    with runner_of(path, directory) as runner:
        assert runner.status().notices == ()
