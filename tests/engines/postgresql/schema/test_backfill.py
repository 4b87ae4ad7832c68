"""A backfill changes rows in short transactions, and goes on where a killed one stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from usage_store.engines.postgresql.schema import migrator_for
from usage_store.errors import ChangeRefused

if TYPE_CHECKING:
    import peewee


def made(database: peewee.PostgresqlDatabase, key: str = "PRIMARY KEY (kind, at)") -> None:
    database.execute_sql(f"CREATE TABLE many (kind text, at timestamptz, n integer, done integer, {key})")
    database.execute_sql(
        "INSERT INTO many SELECT 'k%%' || n %% 3, to_timestamp(n / 7.0), n FROM generate_series(1, 1000) AS n"
    )


def test_all_rows_are_changed_in_batches_by_any_primary_key(database: peewee.PostgresqlDatabase) -> None:
    made(database)
    migrator = migrator_for(database)
    seen: list[tuple[int, int]] = []
    migrator.on_progress = lambda done, total: seen.append((done, total))
    assert migrator.backfill("many", "done = n + %s", "n %% 2 = %s", (5, 0)) == 500
    assert seen[0] == (100, 1000)
    assert seen[-1] == (1000, 1000)
    assert len(seen) > 2
    found = database.execute_sql("SELECT count(*), count(*) FILTER (WHERE done = n + 5) FROM many WHERE done > 0")
    assert found.fetchone() == (500, 500)
    committed = database.execute_sql("SELECT count(DISTINCT xmin::text) FROM many WHERE done > 0").fetchone()
    assert committed == (len(seen),)


def test_a_backfill_that_failed_goes_on_where_it_stopped(database: peewee.PostgresqlDatabase) -> None:
    made(database)
    migrator = migrator_for(database)

    def stop(done: int, _total: int) -> None:
        if done >= 300:
            raise KeyboardInterrupt

    migrator.on_progress = stop
    with pytest.raises(KeyboardInterrupt):
        migrator.backfill("many", "done = 1", "done IS NULL")
    (left,) = database.execute_sql("SELECT count(*) FROM many WHERE done IS NULL").fetchone()
    assert left == 700
    migrator.on_progress = None
    assert migrator.backfill("many", "done = 1", "done IS NULL") == 700
    assert migrator.backfill("parents", "id = id") == 1


def test_a_backfill_in_a_transaction_or_without_a_key_is_refused(database: peewee.PostgresqlDatabase) -> None:
    made(database, "UNIQUE (n)")
    migrator = migrator_for(database)
    with pytest.raises(ChangeRefused, match="many: a backfill needs a primary key, which this table does not have"):
        migrator.backfill("many", "done = 1")
    with (
        database.atomic(),
        pytest.raises(ChangeRefused, match=r"items: a backfill commits in batches; write atomic = "),
    ):
        migrator.backfill("items", "b = 1")
