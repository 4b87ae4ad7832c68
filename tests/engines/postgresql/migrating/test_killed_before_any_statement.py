"""A process dies before any one of its statements; the next run brings the database to the same end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.databases import opened, raw
from tests.support.migrations import python, sql, write
from tests.support.programs import forked
from usage_store.engines import engine_of
from usage_store.migrate import MigrationRunner

if TYPE_CHECKING:
    from pathlib import Path

    from usage_store.migrate.files.migration import Direction

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

KILLED = 99
CONCURRENT = """
db.execute_sql('DROP INDEX CONCURRENTLY IF EXISTS by_size')
db.execute_sql('CREATE INDEX CONCURRENTLY by_size ON item (size)')
"""
FILES = {
    "001_item": sql(
        "CREATE TABLE item (id integer PRIMARY KEY, size integer)",
        "INSERT INTO item SELECT n, n FROM generate_series(1, 9) AS n",
        down=["DROP TABLE item"],
    ),
    "002_index": python(CONCURRENT, "db.execute_sql('DROP INDEX CONCURRENTLY IF EXISTS by_size')", atomic=False),
    "003_more": sql(
        "ALTER TABLE item ADD more text",
        "UPDATE item SET size = size * 2",
        down=["UPDATE item SET size = size / 2", "ALTER TABLE item DROP COLUMN more"],
    ),
}
STATE = """
SELECT (SELECT array_agg(version ORDER BY version) FROM app_migrations),
  (SELECT array_agg(column_name::text ORDER BY column_name) FROM information_schema.columns
   WHERE table_schema = current_schema() AND table_name = 'item'),
  (SELECT array_agg(relname::text ORDER BY relname) FROM pg_class JOIN pg_index ON indexrelid = pg_class.oid
   WHERE relnamespace = quote_ident(current_schema())::regnamespace AND indisvalid)
"""


def run(url: str, directory: Path, direction: Direction, *, die_before: int = 0) -> int:
    """Run all migrations up or down, and count the statements; the process dies before the one with that number."""
    seen = 0

    def count(_: str) -> None:
        nonlocal seen
        seen += 1
        if seen == die_before:
            os._exit(KILLED)

    with opened(url) as database, engine_of(database).migrating.before_each_write(database, count):
        runner = MigrationRunner(database, directory, "app_migrations", backup=False)
        if direction == "up":
            runner.migrate()
        else:
            runner.rollback(0)
    return seen


def state(url: str) -> tuple[Any, ...]:
    with raw(url) as connection:
        if connection.execute("SELECT to_regclass('app_migrations')").fetchone() == (None,):
            return ()
        found = connection.execute(STATE).fetchone()
        sizes = connection.execute("SELECT sum(size) FROM item").fetchone() if found[1] else None
    return (*found, sizes)


def reset(url: str) -> None:
    with raw(url) as connection:
        connection.execute("DROP TABLE IF EXISTS item, app_migrations, app_migrations_log")


EVERY = 8


@pytest.mark.parametrize(
    ("direction", "others"),
    [
        ("up", False),
        pytest.param("up", True, marks=pytest.mark.long, id="up-the others"),
        pytest.param("down", True, marks=pytest.mark.long),
    ],
)
def test_killed_before_any_statement_the_next_run_ends_the_same(
    tmp_path: Path, postgresql_url: str, direction: Direction, *, others: bool
) -> None:
    directory = write(tmp_path / "own", FILES)

    def begin() -> None:
        reset(postgresql_url)
        if direction == "down":
            run(postgresql_url, directory, "up")

    begin()
    statements = run(postgresql_url, directory, direction)
    expected = state(postgresql_url)
    assert statements > 3 * len(("SET", "BEGIN", "guard", "work", "history", "log", "COMMIT"))
    states = set()
    every_eighth = range(1, statements + 1, EVERY)
    for die_before in range(1, statements + 1):
        if direction == "up" and (die_before in every_eighth) == others:
            continue  # another case of this test
        begin()
        ended = forked(lambda k=die_before: run(postgresql_url, directory, direction, die_before=k))  # type: ignore[misc]
        assert ended == KILLED
        states.add(repr(state(postgresql_url)))
        run(postgresql_url, directory, direction)
        assert state(postgresql_url) == expected, f"killed before statement {die_before} of {statements}"
    # Before, between and after; the index is made, or dropped, before its migration is recorded.
    assert (4 if others else 3) <= len(states) <= 6
    with opened(postgresql_url) as database:
        assert MigrationRunner(database, directory, "app_migrations").check() == ((), 0 if direction == "up" else 3)
