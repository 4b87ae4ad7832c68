"""The file of an applied migration is missing or replaced by another file: the output and the ways out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.commands import called, error, run
from tests.support.databases import dump, rows, script
from tests.support.migrations import history, migrate_all, runner_of, table, write
from usage_store import errors

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick

SHARED = {"001_one": table("one"), "002_two": table("two")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Apply 003_mine. Then another branch adds another 003, and 003_mine gets another number."""
    write(tmp_path / "own", {**SHARED, "003_mine": table("mine")})
    migrate_all(tmp_path / "app.db", tmp_path / "own")
    (tmp_path / "own" / "003_mine.py").rename(tmp_path / "own" / "004_mine.py")
    write(tmp_path / "own", {"003_theirs": table("theirs")})
    return tmp_path


def names(folder: Path) -> list[tuple[int, str]]:
    return rows(folder / "app.db", "SELECT version, name FROM schema_migrations ORDER BY version")


def test_after_a_merge_the_applied_file_is_undone_from_the_log_and_both_are_applied(folder: Path) -> None:
    said = run(folder, "status", code=3).stdout
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
    assert names(folder) == [(1, "one"), (2, "two"), (3, "mine")]

    assert run(folder, "rollback", "2", "--stored-source").stdout.startswith("rolled back 003_mine ")
    assert names(folder) == [(1, "one"), (2, "two")]
    assert run(folder).stdout.count("applied ") == 2
    assert names(folder) == [(1, "one"), (2, "two"), (3, "theirs"), (4, "mine")]
    assert run(folder, "validate", by=called).stdout == "valid\n"
    assert run(folder, "check", by=called).stdout == ""
    assert run(folder, "rollback", "0", "--no-backup", by=called).stdout.count("rolled back ") == 4


def test_a_stamp_never_notes_a_file_as_what_another_one_did(folder: Path) -> None:
    before = dump(folder / "app.db")
    with runner_of(folder / "app.db", folder / "own") as runner:
        for version in (3, 4):
            with pytest.raises(errors.MissingMigration, match="version 3 was applied as 'mine'"):
                runner.stamp(version)
        assert [str(migration) for migration in runner.stamp(2)] == ["002_two"], "what is its own can be noted again"
    after = dump(folder / "app.db")
    assert len(after.pop("schema_migration_log")) == len(before.pop("schema_migration_log")) + 1
    assert after == before


def test_what_replaced_an_applied_file_is_late_below_a_newer_one(folder: Path) -> None:
    with runner_of(folder / "app.db", folder / "own") as runner:
        script(folder / "app.db", "INSERT INTO schema_migrations VALUES (4, 'mine', 1)")
        problems = runner.status().problems
    assert [(type(problem), problem.version) for problem in problems] == [  # type: ignore[attr-defined]
        (errors.MissingMigration, 3),
        (errors.LateMigration, 3),
    ]


def test_the_down_of_another_file_is_never_run_for_an_applied_one(folder: Path) -> None:
    script(folder / "app.db", "CREATE TABLE theirs (a INTEGER)")
    with runner_of(folder / "app.db", folder / "own") as runner:
        runner.rollback(stored_source=True)
    left = {name for (name,) in rows(folder / "app.db", "SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert left & {"mine", "theirs"} == {"theirs"}


def test_other_letters_are_the_same_file(tmp_path: Path) -> None:
    write(tmp_path / "own", SHARED)
    migrate_all(tmp_path / "app.db", tmp_path / "own")
    script(tmp_path / "app.db", "UPDATE schema_migrations SET name = 'TWO' WHERE version = 2")
    with runner_of(tmp_path / "app.db", tmp_path / "own") as runner:
        (problem,) = runner.status().problems
        assert type(problem) is errors.RenamedMigration
        assert runner.status().pending_count == 0


@pytest.mark.parametrize("directory", ["own", "migrations"])
def test_the_only_migration_s_file_that_is_gone_is_a_missing_one(tmp_path: Path, directory: str) -> None:
    write(tmp_path / directory, {"001_one": table("one")})
    words = ("--database", "app.db", "--directory", directory, "--no-backup")
    assert called(*words, cwd=tmp_path).returncode == 0
    (tmp_path / directory / "001_one.py").unlink()
    for command in ([], ["status"], ["check"], ["plan"], ["plan", "0"], ["rollback"], ["validate"]):
        done = called(*command, *words[:4], cwd=tmp_path)
        assert done.returncode == 3, command
        assert "001_one was applied and its file is gone; if that is the history of other" in done.stdout + done.stderr
    undone = called("rollback", "--stored-source", *words, cwd=tmp_path)
    assert (undone.returncode, undone.stdout[:20]) == (0, "rolled back 001_one ")
    empty = called("status", *words[:4], cwd=tmp_path)
    assert (empty.returncode, "no migrations here" in empty.stderr) == (2, True)


def test_what_is_only_in_an_own_history_is_said_to_be_its_with_its_name(tmp_path: Path) -> None:
    write(tmp_path / "own", {"001_mine": table("mine")})
    words = ("--database", "app.db", "--directory", "own")
    called(*words, cwd=tmp_path)
    (tmp_path / "own" / "001_mine.py").rename(tmp_path / "own" / "002_mine.py")
    write(tmp_path / "own", {"001_theirs": table("theirs")})
    refused = called("status", *words, cwd=tmp_path)
    assert (refused.returncode, refused.stderr[-28:]) == (2, " use --table own_migrations\n")
    named = ("--table", "own_migrations", "--no-backup")
    assert called("rollback", "--stored-source", *words, *named, cwd=tmp_path).returncode == 0
    assert called(*words, cwd=tmp_path).stdout.count("applied ") == 2
    assert history(tmp_path / "app.db", "own_migrations") == [1, 2]
