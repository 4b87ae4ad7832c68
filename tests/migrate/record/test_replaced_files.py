"""The file of an applied migration is missing or replaced by another file: the output and the ways out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.commands import app, called, error, run
from tests.support.databases import dump, names, rows, script
from tests.support.engines import folder_with_place
from tests.support.migrations import history, migrate_all, runner_of, table, write
from usage_store import errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.quick

SHARED = {"001_one": table("one"), "002_two": table("two")}


@pytest.fixture
def empty(server: str, tmp_path: Path) -> Iterator[Path]:
    with folder_with_place(server, tmp_path) as folder:
        yield folder


@pytest.fixture
def folder(empty: Path) -> Path:
    """Apply 003_mine. Then another branch adds another 003, and 003_mine gets another number."""
    write(empty / "own", {**SHARED, "003_mine": table("mine")})
    migrate_all(app(empty), empty / "own")
    (empty / "own" / "003_mine.py").rename(empty / "own" / "004_mine.py")
    write(empty / "own", {"003_theirs": table("theirs")})
    return empty


def recorded(folder: Path) -> list[tuple[int, str]]:
    return rows(app(folder), "SELECT version, name FROM schema_migrations ORDER BY version")


def test_after_a_merge_the_applied_file_is_undone_from_the_log_and_both_are_applied(folder: Path) -> None:
    said = run(folder, "status", code=3, by=called).stdout
    assert "  003_mine    applied " in said
    assert "  003_theirs  pending\n  004_mine    pending\n" in said
    for words in ([], ["plan"], ["rehearse"], ["rollback"], ["plan", "2"], ["stamp", "3"], ["stamp", "4"]):
        line = error(folder, *words, code=3, by=called)
        assert (
            "version 3 was applied as 'mine', but its file is 003_theirs.py; undo it with `rollback 2 --stored-so"
            in line
        )
    assert run(folder, "check", code=3, by=called).stdout.startswith("problem: version 3 was applied as 'mine'")
    assert "problem: version 3 was applied as 'mine'" in run(folder, "validate", code=3, by=called).stdout
    assert recorded(folder) == [(1, "one"), (2, "two"), (3, "mine")]

    assert run(folder, "rollback", "2", "--stored-source", by=called).stdout.startswith("rolled back 003_mine ")
    assert recorded(folder) == [(1, "one"), (2, "two")]
    assert run(folder, by=called).stdout.count("applied ") == 2
    assert recorded(folder) == [(1, "one"), (2, "two"), (3, "theirs"), (4, "mine")]
    assert run(folder, "validate", by=called).stdout == "valid\n"
    assert run(folder, "check", by=called).stdout == ""
    assert run(folder, "rollback", "0", "--no-backup", by=called).stdout.count("rolled back ") == 4


def test_a_stamp_never_notes_a_file_as_what_another_one_did(folder: Path) -> None:
    before = dump(app(folder))
    with runner_of(app(folder), folder / "own") as runner:
        for version in (3, 4):
            with pytest.raises(errors.MissingMigration, match="version 3 was applied as 'mine'"):
                runner.stamp(version)
        assert [str(migration) for migration in runner.stamp(2)] == ["002_two"], "what is its own can be noted again"
    after = dump(app(folder))
    assert len(after.pop("schema_migration_log")) == len(before.pop("schema_migration_log")) + 1
    assert after == before


def test_what_replaced_an_applied_file_is_late_below_a_newer_one(folder: Path) -> None:
    with runner_of(app(folder), folder / "own") as runner:
        script(app(folder), "INSERT INTO schema_migrations VALUES (4, 'mine', 1)")
        problems = runner.status().problems
    assert [(type(problem), problem.version) for problem in problems] == [  # type: ignore[attr-defined]
        (errors.MissingMigration, 3),
        (errors.LateMigration, 3),
    ]


def test_the_down_of_another_file_is_never_run_for_an_applied_one(folder: Path) -> None:
    script(app(folder), "CREATE TABLE theirs (a INTEGER)")
    with runner_of(app(folder), folder / "own") as runner:
        runner.rollback(stored_source=True)
    assert names(app(folder)) & {"mine", "theirs"} == {"theirs"}


def test_other_letters_are_the_same_file(empty: Path) -> None:
    write(empty / "own", SHARED)
    migrate_all(app(empty), empty / "own")
    script(app(empty), "UPDATE schema_migrations SET name = 'TWO' WHERE version = 2")
    with runner_of(app(empty), empty / "own") as runner:
        (problem,) = runner.status().problems
        assert type(problem) is errors.RenamedMigration
        assert runner.status().pending_count == 0


@pytest.mark.parametrize("directory", ["own", "migrations"])
def test_the_only_migration_s_file_that_is_gone_is_a_missing_one(empty: Path, directory: str) -> None:
    write(empty / directory, {"001_one": table("one")})
    words = ("--database", str(app(empty)), "--directory", directory, "--no-backup")
    assert called(*words, cwd=empty).returncode == 0
    (empty / directory / "001_one.py").unlink()
    for command in ([], ["status"], ["check"], ["plan"], ["plan", "0"], ["rollback"], ["validate"]):
        done = called(*command, *words[:4], cwd=empty)
        assert done.returncode == 3, command
        assert "001_one was applied and its file is gone; if that is the history of other" in done.stdout + done.stderr
    undone = called("rollback", "--stored-source", *words, cwd=empty)
    assert (undone.returncode, undone.stdout[:20]) == (0, "rolled back 001_one ")
    said = called("status", *words[:4], cwd=empty)
    assert (said.returncode, "no migrations here" in said.stderr) == (2, True)


def test_what_is_only_in_an_own_history_is_said_to_be_its_with_its_name(empty: Path) -> None:
    write(empty / "own", {"001_mine": table("mine")})
    words = ("--database", str(app(empty)), "--directory", "own")
    called(*words, cwd=empty)
    (empty / "own" / "001_mine.py").rename(empty / "own" / "002_mine.py")
    write(empty / "own", {"001_theirs": table("theirs")})
    refused = called("status", *words, cwd=empty)
    assert (refused.returncode, refused.stderr[-28:]) == (2, " use --table own_migrations\n")
    named = ("--table", "own_migrations", "--no-backup")
    assert called("rollback", "--stored-source", *words, *named, cwd=empty).returncode == 0
    assert called(*words, cwd=empty).stdout.count("applied ") == 2
    assert history(app(empty), "own_migrations") == [1, 2]
