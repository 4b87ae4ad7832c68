"""The output of `status` for a history that cannot be read, and when `check` compares the schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.databases import raw, script
from tests.support.migrations import runner_of, table, write
from usage_store import errors
from usage_store.engines import engine_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.databases import Target

pytestmark = pytest.mark.quick

ANY_TYPES = "CREATE TABLE schema_migrations (version TEXT, name TEXT, applied_at TEXT)"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write(tmp_path / "own", {"001_one": table("one"), "007_seven": table("seven")})


@pytest.mark.parametrize(
    "history",
    [
        "CREATE TABLE schema_migrations (id INTEGER, what TEXT)",
        f"{ANY_TYPES}; INSERT INTO schema_migrations VALUES ('1', 'one', '1'), ('two', 'two', '1')",
        f"{ANY_TYPES}; INSERT INTO schema_migrations VALUES ('1', 'one', '1'), ('1', 'one', '2')",
    ],
)
def test_of_a_broken_history_status_says_the_error_and_that_nothing_is_known_to_be_applied(
    path: Target, directory: Path, history: str
) -> None:
    script(path, history)
    with runner_of(path, directory) as runner:
        status = runner.status()
    assert (status.current_version, status.latest_version, status.pending_count) == (0, 7, 2)
    assert status.applied_migrations == ()
    assert [str(migration) for migration in status.pending_migrations] == ["001_one", "007_seven"]
    (problem,) = status.problems
    assert type(problem) is errors.HistoryError
    assert str(problem).startswith("schema_migrations: ")
    assert status.notices == ()


def test_of_a_log_with_a_broken_line_status_says_so_beside_the_versions(path: Target, directory: Path) -> None:
    with runner_of(path, directory) as runner:
        runner.migrate(1)
        with raw(path) as connection:
            blob = "bytea" if isinstance(path, str) else "BLOB"
            connection.execute(f"UPDATE schema_migration_log SET checksum = 'other', source = CAST('x' AS {blob})")
        status = runner.status()
    assert (status.current_version, status.latest_version, status.pending_count) == (1, 7, 1)
    (problem,) = status.problems
    assert "the line with id 1, of version 1, is damaged" in str(problem)


def test_check_compares_the_schema_only_if_its_fingerprint_is_not_the_log_s(path: Target, directory: Path) -> None:
    with runner_of(path, directory) as runner:
        runner.migrate()
        runner.database.execute_sql("CREATE INDEX by_hand ON one (title)")
        ((drift,), pending) = runner.check()
        assert isinstance(drift, errors.SchemaDrift)
        assert "by_hand" in str(drift)
        assert pending == 0

        now = engine_of(runner.database).Fingerprint(runner.database).read()
        runner.database.execute_sql(f"UPDATE schema_migration_log SET fingerprint = '{now}' WHERE version = 7")
        assert runner.check() == ((), 0)
        assert [str(problem) for problem in runner.validate().problems] == [str(drift)]


def test_check_of_a_database_with_nothing_applied_compares_nothing(path: Target, directory: Path) -> None:
    script(path, "CREATE TABLE one (a INTEGER)")
    with runner_of(path, directory) as runner:
        assert runner.check() == ((), 2)
