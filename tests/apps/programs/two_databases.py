"""One process with two files: usage in one, the application's tables in the other, and a look at a second store."""

from __future__ import annotations

from pathlib import Path

from peewee import SqliteDatabase

from usage_store import (
    MigrationRunner,
    UsageConfig,
    UsageSession,
    UsageSnapshot,
    close_database,
    get_session_sizes,
    init_database,
    insert_usage_snapshot,
    opened,
    register_session,
    validate_database,
)

USAGE = [UsageConfig, UsageSession, UsageSnapshot]


def store(*numbers: int) -> None:
    register_session("ab74d3b7")
    for number in numbers:
        insert_usage_snapshot({"session_id": "ab74d3b7", "snapshot_data": {"number": number}})


own = SqliteDatabase("shop.db", pragmas={"journal_mode": "wal"})
shop = MigrationRunner(own, Path(__file__).parent / "shop_migrations")
print([step.migration.version for step in shop.migrate()])

init_database()
store(1, 2)
with opened("second.db") as second:
    store(101)
    with opened("third.db"):
        store(201)
    store(102)
    print([step.migration.version for step in shop.rollback(0)])
store(3)
with second.bind_ctx(USAGE, bind_refs=False, bind_backrefs=False):
    store(103)
    print(get_session_sizes()[0].snapshots)
second.close()
store(4)
print([step.migration.version for step in shop.migrate()], validate_database())
close_database()
