"""The log records what ran and from which source. Edited files and stamps."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import called
from tests.support.databases import dump, is_there, raw, rows, script
from tests.support.migrations import history, migrate_all, runner_of, sql, table, write
from tests.support.programs import TIMEOUT
from usage_store import __version__, errors

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

ONE = table("one")
EDITED = sql("CREATE TABLE other (a INTEGER)", down=["DROP TABLE other"])


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write(tmp_path / "own", {"001_one": ONE, "002_two": table("two")})


def test_every_up_down_and_stamp_is_logged(path: Path, directory: Path) -> None:
    with runner_of(path, directory) as runner:
        runner.migrate()
        runner.rollback()
        runner.stamp(2)
        entries = runner.log.entries()
    assert [(entry.version, entry.name, entry.action) for entry in entries] == [
        (1, "one", "up"),
        (2, "two", "up"),
        (2, "two", "down"),
        (2, "two", "stamp"),
    ]
    assert entries[0].source == ONE
    assert {entry.package_version for entry in entries} == {__version__}
    assert all(0 <= entry.seconds < TIMEOUT and entry.logged_at > 1_700_000_000 for entry in entries)
    assert entries[0].fingerprint == entries[2].fingerprint != entries[1].fingerprint
    assert rows(path, "SELECT count(*) FROM schema_migrations") == [(2,)]


def test_a_failed_migration_is_not_logged(path: Path, directory: Path) -> None:
    write(directory, {"003_bad": sql("CREATE TABLE three (a INTEGER)", "no sql")})
    with runner_of(path, directory) as runner:
        with pytest.raises(errors.MigrationFailed):
            runner.migrate()
        assert [entry.version for entry in runner.log.entries()] == [1, 2]


@pytest.mark.parametrize(
    "edit", ["# a comment\n" + ONE, ONE.replace("    ", "\t"), ONE.replace("up(migrator, db)", "up(migrator,db)")]
)
def test_an_edit_of_layout_is_a_notice(path: Path, directory: Path, edit: str) -> None:
    migrate_all(path, directory)
    write(directory, {"001_one": edit, "003_three": table("three")})
    with runner_of(path, directory) as runner:
        status = runner.status()
        assert status.problems == ()
        assert status.notices == ("001_one.py was edited after it was applied, in comments or layout only",)
        assert len(runner.migrate()) == 1


def test_other_line_endings_are_no_edit(path: Path, directory: Path) -> None:
    migrate_all(path, directory)
    (directory / "001_one.py").write_bytes(ONE.replace("\n", "\r\n").encode())
    with runner_of(path, directory) as runner:
        assert (runner.status().problems, runner.status().notices) == ((), ())


def test_an_edit_of_meaning_stops_the_run_and_is_shown(path: Path, directory: Path) -> None:
    migrate_all(path, directory)
    write(directory, {"001_one": EDITED, "003_three": table("three")})
    before = dump(path)
    with runner_of(path, directory) as runner:
        with pytest.raises(errors.EditedMigration, match=r"001_one\.py was edited .* `stamp 1`") as caught:
            runner.migrate()
        assert [type(problem) for problem in runner.status().problems] == [errors.EditedMigration]
        assert errors.EditedMigration in {type(problem) for problem in runner.validate().problems}
        assert errors.EditedMigration in {type(problem) for problem in runner.check()[0]}
    assert "+    db.execute_sql('CREATE TABLE other (a INTEGER)')" in caught.value.diff.splitlines()
    assert caught.value.exit_code == 3
    assert dump(path) == before


def test_an_edit_that_was_stamped_is_accepted(path: Path, directory: Path) -> None:
    migrate_all(path, directory)
    write(directory, {"001_one": EDITED, "003_three": table("three")})
    with runner_of(path, directory) as runner:
        assert [str(migration) for migration in runner.stamp(1)] == ["001_one"]
        assert runner.status().problems == ()
        assert len(runner.migrate()) == 1


def test_a_stamp_records_all_up_to_it_without_running_them(path: Path, directory: Path) -> None:
    write(directory, {"003_three": table("three")})
    script(
        path,
        "CREATE TABLE one (id INTEGER PRIMARY KEY, title TEXT); CREATE TABLE two (id INTEGER PRIMARY KEY, title TEXT)",
    )
    with runner_of(path, directory) as runner:
        assert [str(migration) for migration in runner.stamp(2)] == ["001_one", "002_two"]
        assert [str(step.migration) for step in runner.migrate()] == ["003_three"]
        assert runner.validate().ok
        with pytest.raises(errors.ConfigurationError, match="no migration has version 9; allowed: 1, 2, 3"):
            runner.stamp(9)
    assert history(path) == [1, 2, 3]


def on(path: Path, directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    words += ("--database", str(path), "--directory", str(directory), "--table", "schema_migrations")
    return called(*words, cwd=path.parent)


def test_check_is_an_exit_code(path: Path, directory: Path) -> None:
    def check() -> int:
        return on(path, directory, "check").returncode

    assert check() == 1
    assert not is_there(path)
    migrate_all(path, directory)
    assert check() == 0
    script(path, "CREATE TABLE the_hosts (a INTEGER)")
    assert check() == 0
    script(path, "DROP TABLE one")
    assert check() == 4
    script(path, "CREATE TABLE one (id INTEGER PRIMARY KEY, title TEXT)")
    write(directory, {"001_one": ONE + "\n\nmore = 1\n"})
    assert check() == 3
    script(path, "INSERT INTO schema_migrations VALUES (9, 'later', 1)")
    assert check() == 5


def test_validate_says_whether_a_hand_or_a_migration_made_the_difference(path: Path, directory: Path) -> None:
    migrate_all(path, directory)
    script(path, "CREATE INDEX by_hand ON one(title)")
    with runner_of(path, directory) as runner:
        assert "the schema was changed by hand since the last migration" in runner.validate().notices
        script(path, "DROP INDEX by_hand")
        assert runner.validate().ok
        write(directory, {"002_two": EDITED})
        (notice,) = runner.validate(replay=True).notices
    assert notice.startswith("the schema has not changed since the last migration")


@pytest.mark.parametrize(
    "words", [(), ("status",), ("check",), ("validate",), ("plan", "0"), ("log",), ("rollback",), ("stamp", "2")]
)
def test_every_command_speaks_json(path: Path, directory: Path, words: tuple[str, ...]) -> None:
    migrate_all(path, directory)
    done = on(path, directory, *words, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) is not None


def test_an_error_speaks_json_too(path: Path, directory: Path) -> None:
    write(directory, {"003_bad": sql("no sql")})
    done = on(path, directory, "--json")
    said = json.loads(done.stdout)
    assert (done.returncode, said["exit_code"], said["error"]) == (7, 7, "MigrationFailed")
    assert said["applied"] == ["001_one", "002_two"]


LOOSE = pytest.mark.only_on("sqlite", "types of columns")


@pytest.mark.parametrize(
    ("column", "damage"),
    [
        ("source", b"text"),
        ("source", b"\0"),
        ("source", b""),
        pytest.param("source", "text", marks=LOOSE),
        pytest.param("version", 1.5, marks=LOOSE),
        ("name", None),
    ],
)
def test_a_damaged_line_is_named_and_what_needs_it_is_refused(
    path: Path, directory: Path, column: str, damage: object
) -> None:
    migrate_all(path, directory)
    script(
        path, "ALTER TABLE schema_migration_log RENAME TO old; CREATE TABLE schema_migration_log AS SELECT * FROM old"
    )
    with raw(path) as connection:
        connection.execute(f"UPDATE schema_migration_log SET {column} = ?, checksum = 'other' WHERE id = 1", (damage,))
    before = dump(path)
    with (
        runner_of(path, directory) as runner,
        pytest.raises(errors.HistoryError, match="the line with id 1, of version 1"),
    ):
        runner.log.entries()
    done = on(path, directory, "log")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    if column == "source":
        with runner_of(path, directory) as runner:
            status = runner.status()
        assert (status.current_version, [type(problem) for problem in status.problems]) == (2, [errors.HistoryError])
    assert dump(path) == before
