"""How many migrations ran before, and how many tables there are, makes a migration no slower."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tests.support.databases import raw
from tests.support.migrations import sql

if TYPE_CHECKING:
    import peewee

    from tests.engines.postgresql.migrating.conftest import Runs
    from usage_store.migrate.files.migration import Step

CATALOGS = (
    *("pg_class", "pg_attribute", "pg_attrdef", "pg_constraint", "pg_index", "pg_trigger", "pg_type", "pg_depend"),
    *("pg_sequence", "pg_rewrite", "pg_inherits", "pg_policy", "pg_proc"),
)
RELATIONS = """
SELECT indexrelid::bigint FROM pg_index WHERE indrelid = ANY (%s::regclass[])
UNION ALL SELECT unnest(%s::regclass[])::bigint
"""
KINDS = (
    "CREATE TABLE {0} (id integer PRIMARY KEY, name text NOT NULL)",
    "ALTER TABLE {0} ADD COLUMN size integer NOT NULL DEFAULT 0 CHECK (size >= 0)",
    "CREATE INDEX {0}_name ON {0} (name)",
    "INSERT INTO {0} VALUES (1, 'a')",
    "UPDATE {0} SET name = 'b'",
    "ALTER TABLE {0} RENAME COLUMN name TO called",
    "DELETE FROM {0} WHERE id < 0",
    "DROP INDEX {0}_name",
    "ALTER TABLE {0} DROP COLUMN size",
)


def files(count: int) -> dict[str, str]:
    """Return migrations that make a table and change it, again and again."""
    found = {}
    for number in range(count):
        table = f"t{number - number % len(KINDS)}"
        declared = f"deletes = ('{table}.size',)\ndrops = ('{table}_size_check',)\n"
        statement = KINDS[number % len(KINDS)].format(table)
        found[f"_{number + 1:03d}_one"] = declared + sql(statement, down=None)
    return found


def test_the_rows_of_catalogs_that_a_migration_reads_are_as_many_as_at_the_start(
    database: peewee.Database, runs: Runs, postgresql_url: str
) -> None:
    read: list[int] = []
    with raw(postgresql_url) as connection:
        catalogs = list(CATALOGS)
        found = connection.execute(RELATIONS, (catalogs, catalogs)).fetchall()
        total = "SELECT " + " + ".join(f"pg_stat_get_tuples_returned({number})" for (number,) in found)

        def look(_: Step) -> None:  # the runner has the counts collected before the next migration
            read.append(connection.execute(total).fetchall()[0][0])

        runs(database, **files(22 * len(KINDS) + 1)).migrate(on_step=look)
    each = [later - earlier for earlier, later in pairwise(read)]
    kinds = len(KINDS)
    early, late = each[kinds : 2 * kinds], each[-kinds:]  # the same kinds in the same order
    assert [new <= old + 60 for old, new in zip(early, late, strict=True)] == [True] * kinds, (early, late)


def test_a_migration_takes_ten_round_trips_at_most(database: Any, runs: Runs) -> None:
    trips: list[int] = []
    with tempfile.TemporaryFile() as trace:
        count = 0

        def look(_: Step) -> None:
            nonlocal count
            trace.seek(0)
            now = trace.read().count(b"ReadyForQuery")
            trips.append(now - count)
            count = now

        runner = runs(database, **files(11 * len(KINDS)))
        database.connection().pgconn.trace(trace.fileno())
        try:
            runner.migrate(on_step=look)
        finally:
            database.connection().pgconn.untrace()
    kinds = dict(zip(KINDS, trips[-len(KINDS) :], strict=True))
    early = trips[len(KINDS) : 2 * len(KINDS)]  # the driver prepares more statements later
    assert [new <= old for old, new in zip(early, kinds.values(), strict=True)] == [True] * len(KINDS), (early, kinds)
    assert max(number for kind, number in kinds.items() if kind.startswith("CREATE")) <= 10, kinds
    # What a statement may lose is read before and after it; and the driver prepares all anew after each DROP.
    assert max(kinds.values()) <= 24, kinds
