"""What the README says of other runners, shown by running the same migration with each of them."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import peewee
import pytest
from playhouse.migrations import Runner

from tests.support.databases import names, own, refusals, rows, script
from tests.support.migrations import runner_of, write
from usage_store import errors

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.engines import Place

PEOPLE = """
CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT) STRICT;
CREATE TABLE journal (name TEXT);
CREATE TRIGGER note AFTER INSERT ON people BEGIN INSERT INTO journal VALUES (new.name); END;
"""
PEOPLE_ON_A_SERVER = """
CREATE TABLE people (id integer PRIMARY KEY, name text);
CREATE TABLE journal (name text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN INSERT INTO journal VALUES (new.name); RETURN NULL; END';
CREATE TRIGGER note AFTER INSERT ON people FOR EACH ROW EXECUTE FUNCTION note();
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
def people(path: Place) -> Place:
    script(path, PEOPLE_ON_A_SERVER if isinstance(path, str) else PEOPLE)
    return path


def is_strict(path: Place) -> bool:
    """Tell whether `people` is a table of exact types, as all are on a server."""
    query = "SELECT strict FROM pragma_table_list WHERE name = 'people'"
    return isinstance(path, str) or rows(path, query) == [(1,)]


@pytest.mark.only_on("sqlite", "rebuilt tables")
def test_playhouse_loses_a_trigger_and_strict_where_a_column_becomes_not_null(people: Place, tmp_path: Path) -> None:
    with closing(own(people)) as database:
        Runner(database, str(write(tmp_path / "own", {"001_not_null": NOT_NULL}))).up()
    assert ("note" in names(people), is_strict(people)) == (False, False)


def test_this_runner_keeps_both(people: Place, tmp_path: Path) -> None:
    with runner_of(people, write(tmp_path / "own", {"001_not_null": NOT_NULL})) as runner:
        runner.migrate()
    assert ("note" in names(people), is_strict(people)) == (True, True)
    with pytest.raises(refusals(), match=r"(?i)not.null"):
        script(people, "INSERT INTO people (id) VALUES (1)")


def test_peewee_migrate_leaves_half_of_a_migration_that_commits_and_fails(people: Place, tmp_path: Path) -> None:
    router = pytest.importorskip("peewee_migrate").Router
    files = write(tmp_path / "own", {"001_commits": COMMITS + AS_PEEWEE_MIGRATE_HAS_IT})
    with closing(own(people)) as database, pytest.raises(peewee.DatabaseError):
        router(database, files).run()
    assert "half" in names(people)
    assert rows(people, "SELECT name FROM migratehistory") == []


def test_this_runner_refuses_the_commit_and_leaves_nothing(people: Place, tmp_path: Path) -> None:
    with (
        runner_of(people, write(tmp_path / "own", {"001_commits": COMMITS})) as runner,
        pytest.raises(errors.MigrationFailed, match="COMMIT inside a migration"),
    ):
        runner.migrate()
    assert (names(people), is_strict(people)) == ({"people", "journal", "note"}, True)
