"""`validate` reports a store as valid only if it can be read. Other runners can have checks of their own."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import command
from tests.support.databases import opened, rows, script
from tests.support.migrations import runner_of, table, write
from usage_store import init_database, maintain, reset_usage_config, run_migrations, validate_database
from usage_store.errors import CorruptDatabase, SchemaDrift, UsageStoreError
from usage_store.migrate import MigrationRunner
from usage_store.testing import seed_usage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import peewee


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "usage.db"


@pytest.fixture
def store(path: Path) -> Path:
    """Provide a store with compacted and plain snapshots."""
    with closing(init_database(path)) as database:
        seed_usage(database, snapshots=200, days=30)
        assert maintain().compacted > 0
        assert validate_database()
    return path


def problems(path: Path, *, full: bool = False) -> list[UsageStoreError]:
    with opened(path) as database:
        return list(MigrationRunner(database).validate(full=full).problems)


def test_a_store_without_an_active_configuration_is_not_valid_until_it_is_reset(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script(store, "UPDATE usage_config SET is_active = 0")
    (problem,) = problems(store)
    assert (type(problem), problem.exit_code) == (SchemaDrift, 4)
    assert "reset_usage_config() makes one active" in str(problem)
    with closing(init_database(store)):
        assert not validate_database()
        assert caplog.messages == [f"validate: {problem}"]
        reset_usage_config()
        assert validate_database()


def test_wrong_counts_of_references_are_not_valid(store: Path) -> None:
    [(block, refs)] = rows(store, "SELECT id, refs FROM usage_snapshot_blocks LIMIT 1")
    script(store, f"UPDATE usage_snapshot_blocks SET refs = refs + 5 WHERE id = {block}")
    (problem,) = problems(store)
    assert (type(problem), problem.exit_code) == (SchemaDrift, 4)
    assert f"block {block} has refs {refs + 5}, counted {refs}" in str(problem)


def test_an_unreadable_block_is_not_valid_and_full_names_each_snapshot_that_needs_it(store: Path) -> None:
    [(block, refs)] = rows(store, "SELECT id, refs FROM usage_snapshot_blocks LIMIT 1")
    script(store, f"UPDATE usage_snapshot_blocks SET data = zeroblob(100) WHERE id = {block}")
    quick, full = problems(store), problems(store, full=True)
    assert {(type(problem), problem.exit_code) for problem in (*quick, *full)} == {(CorruptDatabase, 8)}
    assert len(quick) == 1
    assert str(block) in str(quick[0])
    assert sum("snapshot " in str(problem) for problem in full) >= refs
    done = command("validate", "--database", store, cwd=store.parent)
    assert (done.returncode, "valid\n" in done.stdout, done.stderr) == (8, False, "")


def test_snapshots_ahead_of_the_clock_are_counted_and_are_no_problem(store: Path) -> None:
    ahead = int(time.time()) + 2 * 86_400
    script(store, f"UPDATE usage_snapshots SET timestamp = {ahead} WHERE id IN (SELECT max(id) FROM usage_snapshots)")
    done = command("validate", "--database", store, cwd=store.parent)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "valid")
    (said,) = [line for line in done.stdout.splitlines() if "ahead of this machine's clock" in line]
    assert said.startswith("notice: ")
    assert said.endswith(": 1")


def test_missing_tables_and_tables_of_other_programs_are_not_checked(path: Path) -> None:
    script(path, "CREATE TABLE usage_config (key TEXT)")
    assert problems(path) == []
    script(path, "DROP TABLE usage_config")
    with opened(path) as database:
        MigrationRunner(database).migrate(1)
        assert MigrationRunner(database).validate().problems == ()


@pytest.mark.parametrize(
    "change",
    [
        "DROP TABLE usage_config",
        "DROP TABLE usage_snapshot_blocks",
        "DROP INDEX idx_usage_config_active; ALTER TABLE usage_config RENAME COLUMN is_active TO active",
        "ALTER TABLE usage_snapshots RENAME COLUMN timestamp TO at",
    ],
)
@pytest.mark.parametrize("full", [False, True])
def test_a_table_that_differs_from_the_migrations_is_reported(path: Path, change: str, *, full: bool) -> None:
    init_database(path).close()
    script(path, f"PRAGMA foreign_keys = OFF; {change}")
    found = problems(path, full=full)
    assert found
    assert {type(problem) for problem in found} == {SchemaDrift}


def test_a_runner_accepts_checks_of_its_caller(path: Path) -> None:
    asked = []

    def check(database: peewee.SqliteDatabase, *, full: bool) -> Iterator[UsageStoreError | str]:
        asked.append(full)
        (count,) = database.execute_sql("SELECT count(*) FROM users").fetchone()
        yield f"{count} users"
        if count > 1:
            yield SchemaDrift("too many users")

    directory = write(path.parent / "own", {"001_users": table("users")})
    with runner_of(path, directory, checks=[check]) as runner:
        assert runner.validate().notices == ("1 pending",), "nothing is applied, so nothing is asked"
        runner.migrate()
        assert runner.validate().notices == ("0 users",)
        script(path, "INSERT INTO users (title) VALUES ('a'), ('b')")
        report = runner.validate(full=True)
    assert [str(problem) for problem in report.problems] == ["too many users"]
    assert report.notices == ("2 users",)
    assert asked == [False, True]


def test_validating_other_migrations_does_not_check_the_usage_tables(store: Path) -> None:
    script(store, "UPDATE usage_config SET is_active = 0")
    directory = write(store.parent / "own", {"001_users": table("users")})
    with opened(store) as database:
        runner = MigrationRunner(database, directory)
        runner.migrate()
        assert runner.validate().ok
    with closing(init_database(store)):
        assert run_migrations() == ()
        assert not validate_database()
