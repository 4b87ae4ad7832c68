"""What others do between two migrations is not the fault of the second, and what it loses of theirs is noticed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.databases import raw
from tests.support.migrations import python, sql
from usage_store.errors import MigrationFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import peewee
    import psycopg

    from tests.engines.postgresql.migrating.conftest import Runs
    from usage_store.migrate.files.migration import Step

START = sql(
    "CREATE TABLE t (id integer, name text)",
    "CREATE INDEX by_name ON t (name)",
    "CREATE FUNCTION hides() RETURNS void LANGUAGE sql AS 'DROP INDEX by_id'",
    "INSERT INTO t VALUES (1, 'a'), (2, 'b')",
)
ALTERS = sql("ALTER TABLE t ADD COLUMN size integer", "UPDATE t SET size = 1")
IN_BLOCKS = python("with db.atomic():\n        db.execute_sql('CREATE TABLE {0} (id integer)')")


@pytest.fixture
def other(postgresql_url: str) -> Iterator[psycopg.Connection[tuple[str]]]:
    """Give a connection of another program."""
    with raw(postgresql_url) as connection:
        yield connection


def after(calls: dict[int, str], other: psycopg.Connection[tuple[str]]) -> Callable[[Step], None]:
    """Let the other connection run statements after the migrations of some versions."""

    def call(step: Step) -> None:
        if step.migration.version in calls:
            other.execute(calls[step.migration.version].encode())

    return call


def test_an_index_that_others_dropped_is_no_loss_of_the_next_migration(
    database: peewee.Database, runs: Runs, other: psycopg.Connection[tuple[str]]
) -> None:
    runner = runs(database, _001_start=START, _002_alters=ALTERS, _003_alters=ALTERS.replace("size", "weight"))
    done = runner.migrate(on_step=after({2: "DROP INDEX by_name; DELETE FROM t WHERE id = 1"}, other))
    assert len(done) == 3


def test_an_index_that_others_created_is_a_loss_if_the_next_migration_drops_it(
    database: peewee.Database, runs: Runs, other: psycopg.Connection[tuple[str]]
) -> None:
    hides = sql("SELECT hides()")
    runner = runs(database, _001_start=START, _002_alters=ALTERS, _003_hides=hides)
    with pytest.raises(MigrationFailed, match="index by_id of t was lost"):
        runner.migrate(on_step=after({2: "CREATE INDEX by_id ON t (id)"}, other))


def test_a_change_that_others_began_before_a_migration_and_ended_after_it_is_noticed(
    database: peewee.Database, runs: Runs, other: psycopg.Connection[tuple[str]]
) -> None:
    steps = {2: "BEGIN; CREATE TABLE theirs (id integer); CREATE INDEX by_id ON theirs (id)", 3: "COMMIT"}
    more, hides = sql("CREATE TABLE more ()"), sql("SELECT hides()")
    runner = runs(database, _001_start=START, _002_alters=ALTERS, _003_more=more, _004_hides=hides)
    with pytest.raises(MigrationFailed, match="index by_id of theirs was lost"):
        runner.migrate(on_step=after(steps, other))


def test_what_others_made_is_not_recorded_as_made_by_the_next_migration(
    database: peewee.Database, runs: Runs, other: psycopg.Connection[tuple[str]]
) -> None:
    runner = runs(database, _001_start=START, _002_more=sql("CREATE TABLE more (id integer)"))
    runner.migrate(on_step=after({1: "CREATE TABLE theirs (id integer)"}, other))
    (*_, line) = runner.log.ddl()
    assert [name for _, name, _, _ in json.loads(line.ddl or "")["made"]] == ["more"]
    assert runner.check() == ((), 0)
    assert runner.log.is_current()


def test_savepoints_of_a_migration_are_not_taken_for_changes_of_others(database: peewee.Database, runs: Runs) -> None:
    files = {f"_{number:03d}_one": IN_BLOCKS.format(f"t{number}") for number in range(1, 8)}
    asked: list[str] = []
    runner = runs(database, **files)
    database.query_hooks.append(lambda event: asked.append(event.sql))
    runner.migrate()
    whole = [query for query in asked if "usage_store_reads" in query and query.startswith("SAVEPOINT")]
    assert len(whole) == 2  # before the first migration, and after the tables of the runner were made
    assert runner.log.is_current()
