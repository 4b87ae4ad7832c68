"""What the README says of other runners, shown by running the same migration with each of them."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import peewee
import pytest
from playhouse.migrations import Runner

from tests.support.databases import rows, script
from tests.support.migrations import runner_of, write
from usage_store import errors

if TYPE_CHECKING:
    from pathlib import Path

PEOPLE = """
CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT) STRICT;
CREATE TABLE journal (name TEXT);
CREATE TRIGGER note AFTER INSERT ON people BEGIN INSERT INTO journal VALUES (new.name); END;
"""
NOT_NULL = """
def up(migrator, db):
    migrator.migrate(migrator.add_not_null("people", "name"))
"""
COMMITS = """
def up(migrator, db):
    db.execute_sql("CREATE TABLE half (id INTEGER)")
    db.commit()
    db.execute_sql("CREATE TABLE half (id INTEGER)")
"""
AS_PEEWEE_MIGRATE_HAS_IT = """

def migrate(migrator, database, fake=False):
    up(migrator, database)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    script(tmp_path / "app.db", PEOPLE)
    return tmp_path / "app.db"


def objects(path: Path) -> tuple[set[str], bool]:
    """Give the names of the tables and triggers, and whether `people` is a STRICT table."""
    names = {name for (name,) in rows(path, "SELECT name FROM sqlite_master WHERE type IN ('table', 'trigger')")}
    [(strict,)] = rows(path, "SELECT strict FROM pragma_table_list WHERE name = 'people'")
    return names, bool(strict)


def test_playhouse_loses_a_trigger_and_strict_where_a_column_becomes_not_null(path: Path, tmp_path: Path) -> None:
    with closing(peewee.SqliteDatabase(str(path))) as database:
        Runner(database, str(write(tmp_path / "own", {"001_not_null": NOT_NULL}))).up()
    names, strict = objects(path)
    assert ("note" in names, strict) == (False, False)


def test_this_runner_keeps_both(path: Path, tmp_path: Path) -> None:
    with runner_of(path, write(tmp_path / "own", {"001_not_null": NOT_NULL})) as runner:
        runner.migrate()
    names, strict = objects(path)
    assert ("note" in names, strict) == (True, True)
    assert ("name", 1) in rows(path, 'SELECT name, "notnull" FROM pragma_table_info("people")')


def test_peewee_migrate_leaves_half_of_a_migration_that_commits_and_fails(path: Path, tmp_path: Path) -> None:
    router = pytest.importorskip("peewee_migrate").Router
    files = write(tmp_path / "own", {"001_commits": COMMITS + AS_PEEWEE_MIGRATE_HAS_IT})
    with closing(peewee.SqliteDatabase(str(path))) as database, pytest.raises(peewee.OperationalError):
        router(database, files).run()
    assert "half" in objects(path)[0]
    assert rows(path, "SELECT name FROM migratehistory") == []


def test_this_runner_refuses_the_commit_and_leaves_nothing(path: Path, tmp_path: Path) -> None:
    with (
        runner_of(path, write(tmp_path / "own", {"001_commits": COMMITS})) as runner,
        pytest.raises(errors.MigrationFailed, match="COMMIT inside a migration"),
    ):
        runner.migrate()
    assert objects(path) == ({"people", "journal", "note"}, True)
