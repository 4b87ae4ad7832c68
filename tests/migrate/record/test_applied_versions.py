"""Histories that do not match the files: status lists each problem, and migrate raises the first one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.databases import dump, names, script
from tests.support.engines import differs
from tests.support.migrations import history, migrate_all, runner_of, table, write
from usage_store import errors

if TYPE_CHECKING:
    from pathlib import Path

    from usage_store.migrate import MigrationRunner

pytestmark = pytest.mark.quick

LOOSE = "CREATE TABLE schema_migrations (version {}, name TEXT, applied_at {}); INSERT INTO schema_migrations VALUES"
TEXTS, NUMBERS = LOOSE.format("TEXT", "TEXT"), LOOSE.format("INTEGER", "INTEGER")


def check(
    path: Path, directory: Path, error: type[errors.HistoryError], exit_code: int, *messages: str
) -> errors.HistoryError:
    """Check that status lists the error, migrate raises it and validate reports it, and that none changes anything."""
    before = dump(path)
    write(directory, {"009_pending": table("nine")} if error is not errors.DatabaseNewer else {})
    with runner_of(path, directory) as runner:
        first = runner.status().problems[0]
        with pytest.raises(error) as caught:
            runner.migrate()
        reported = [problem for problem in runner.validate().problems if isinstance(problem, error)]
    assert type(first) is type(caught.value) is error
    assert str(first) == str(caught.value) == str(reported[0])
    assert first.exit_code == exit_code
    for message in messages:
        assert message in str(first)
    assert dump(path) == before
    return caught.value


def test_an_applied_file_that_is_gone(path: Path, directory: Path) -> None:
    migrate_all(path, directory)
    (directory / "002_two.py").unlink()
    error = check(path, directory, errors.MissingMigration, 3, "002_two was applied and its file is gone; restore")
    assert error.version == 2


def test_an_applied_file_that_was_renamed(path: Path, directory: Path) -> None:
    migrate_all(path, directory)
    (directory / "002_two.py").rename(directory / "002_second.py")
    error = check(path, directory, errors.MissingMigration, 3, "applied as 'two'", "002_second.py", "restore its name")
    assert error.version == 2


def test_a_file_that_is_only_numbered_in_another_way_is_the_same(path: Path, directory: Path) -> None:
    migrate_all(path, directory)
    (directory / "002_two.py").rename(directory / "2_two.py")
    with runner_of(path, directory) as runner:
        assert runner.status().problems == ()
        assert runner.migrate() == ()


def test_a_late_lower_number(path: Path, directory: Path) -> None:
    late = (directory / "002_two.py").rename(directory / "_later")
    migrate_all(path, directory)
    late.rename(directory / "002_two.py")
    error = check(path, directory, errors.LateMigration, 3, "002_two.py would run out of order: version 3 was")
    assert error.version == 2
    with runner_of(path, directory) as runner:
        assert [str(migration) for migration in runner.status().pending_migrations] == ["002_two", "009_pending"]


def test_a_database_newer_than_the_code(path: Path, directory: Path) -> None:
    migrate_all(path, directory)
    (directory / "003_three.py").unlink()
    error = check(path, directory, errors.DatabaseNewer, 5, "the database has 003_three", "end at version 2", "install")
    assert error.version == 3
    with runner_of(path, directory) as runner:
        status = runner.status()
        assert (status.current_version, status.latest_version, status.pending_count) == (3, 2, 0)


def test_every_problem_is_listed(path: Path, directory: Path) -> None:
    migrate_all(path, directory)
    (directory / "001_one.py").unlink()
    (directory / "002_two.py").rename(directory / "002_second.py")
    script(path, "INSERT INTO schema_migrations VALUES (7, 'seven', 0)")
    write(directory, {"005_five": table("five"), "006_six": table("six")})
    with runner_of(path, directory) as runner:
        problems = runner.status().problems
    assert [(type(problem), getattr(problem, "version", None)) for problem in problems] == [
        (errors.MissingMigration, 1),
        (errors.MissingMigration, 2),
        (errors.DatabaseNewer, 7),
        (errors.LateMigration, 2),
        (errors.LateMigration, 5),
        (errors.LateMigration, 6),
    ]


@pytest.mark.parametrize(
    ("sql", "message", "types"),
    [
        ("CREATE TABLE schema_migrations (id INTEGER, what TEXT)", "not a history table (columns id, what)", ""),
        ("CREATE VIEW schema_migrations AS SELECT 'a' AS version", "not a history table", ""),
        (f"{TEXTS} ('20240101', 'a', 1)", "version '20240101' is not an integer from 1", "version text"),
        (f"{NUMBERS} (-1, 'a', 1)", "version -1 is not an integer from 1", ""),
        (f"{NUMBERS} (0, 'a', 1)", "version 0 is not an integer from 1", ""),
        (
            f"{LOOSE.format('DOUBLE PRECISION', 'BIGINT')} (1.5, 'a', 1)",
            "version 1.5 is not an integer",
            "version double",
        ),
        (f"{NUMBERS} (NULL, 'a', 1)", "version None is not an integer from 1", ""),
        (f"{NUMBERS} (1, NULL, 1)", "version 1 has name None", ""),
        (f"{LOOSE.format('BIGINT', 'TEXT')} (1, 'one', 'now')", "applied_at 'now'", "version bigint"),
    ],
)
def test_a_table_that_is_not_a_history(path: Path, directory: Path, sql: str, message: str, types: str) -> None:
    script(path, sql)
    if types and differs(path, "types of columns"):
        message = f"not a history table (columns of other types: {types}"
    check(path, directory, errors.HistoryError, 3, message)


def test_the_same_version_twice_in_a_foreign_history(path: Path, directory: Path) -> None:
    script(path, f"{NUMBERS} (1, 'one', 1), (1, 'one', 2)")
    check(path, directory, errors.HistoryError, 3, "version 1", "two rows")


def test_absurd_times_and_huge_versions_are_only_data(path: Path, directory: Path) -> None:
    migrate_all(path, directory)
    script(path, f"INSERT INTO schema_migrations VALUES ({2**63 - 1}, 'last', {2**63 - 1})")
    script(path, f"UPDATE schema_migrations SET applied_at = {-(2**63)} WHERE version = 1")
    error = check(path, directory, errors.DatabaseNewer, 5, f"{2**63 - 1}_last")
    assert error.version == 2**63 - 1


def test_a_history_table_in_other_case_is_the_same_table(path: Path, directory: Path) -> None:
    script(path, "CREATE TABLE Schema_Migrations (Version INTEGER PRIMARY KEY, Name TEXT, Applied_At INTEGER)")
    script(path, "INSERT INTO schema_migrations VALUES (1, 'one', 5)")
    with runner_of(path, directory) as runner:
        assert runner.status().current_version == 1
        assert len(runner.migrate()) == 2
    assert history(path) == [1, 2, 3]


def test_extra_columns_with_defaults_are_tolerated(path: Path, directory: Path) -> None:
    columns = "version INTEGER PRIMARY KEY, name TEXT, applied_at INTEGER, by TEXT DEFAULT 'us'"
    script(path, f"CREATE TABLE schema_migrations ({columns})")
    migrate_all(path, directory)
    assert history(path) == [1, 2, 3]


def test_the_history_is_not_written_by_looking_at_it(path: Path, directory: Path) -> None:
    with runner_of(path, directory) as runner:
        before = dump(path)
        status = runner.status()
        assert (status.current_version, status.latest_version, status.pending_count) == (0, 3, 3)
        assert status.applied_migrations == ()
        assert dump(path) == before == {"schema": []}


def test_what_a_status_holds_is_frozen(path: Path, directory: Path) -> None:
    def spoil(runner: MigrationRunner) -> None:
        runner.status().current_version = 9  # type: ignore[misc]  # the point of the test

    with runner_of(path, directory) as runner, pytest.raises(AttributeError):
        spoil(runner)


def test_an_index_that_a_history_has_lost_is_made_again_by_the_next_run(path: Path, directory: Path) -> None:
    with runner_of(path, directory) as runner:
        runner.migrate(2)
        script(path, "DROP INDEX idx_schema_migrations_applied_at")
        runner.migrate()
        assert runner.check() == ((), 0)
    assert "idx_schema_migrations_applied_at" in names(path)
