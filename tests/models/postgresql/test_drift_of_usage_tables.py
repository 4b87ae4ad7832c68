"""The schema of the usage tables on PostgreSQL is compared with the one that comes with the migrations."""

from __future__ import annotations

import peewee
import pytest

from tests.support.databases import opened, raw, script
from tests.support.postgresql_servers import for_drivers, new_schema, schema_of
from usage_store import init_database
from usage_store.migrate import MigrationRunner


def problems(url: str) -> list[str]:
    with opened(url) as database:
        return [str(problem) for problem in MigrationRunner(database).validate().problems]


def of_check(url: str) -> list[str]:
    with opened(url) as database:
        return [str(problem) for problem in MigrationRunner(database).check()[0]]


def initialised(url: str) -> None:
    init_database(url).close()


@pytest.mark.parametrize(
    "events", ["", "CREATE TABLE events (session_id text)", "CREATE TABLE events (session_id uuid)"]
)
def test_migrated_usage_tables_have_no_drift(any_postgresql_url: str, events: str) -> None:
    script(any_postgresql_url, events)
    initialised(any_postgresql_url)
    assert problems(any_postgresql_url) == of_check(any_postgresql_url) == []


def test_events_in_another_schema_are_no_drift(postgresql_url: str) -> None:
    with new_schema() as host:
        script(host, "CREATE TABLE events (session_id text)")
        path = f"{schema_of(postgresql_url)},{schema_of(host)}"
        server = for_drivers(postgresql_url).partition("&options")[0]
        database = peewee.PostgresqlDatabase(server, prefer_psycopg3=True, options=f"-c search_path={path}")
        init_database(database)
        assert MigrationRunner(database).validate().problems == ()
        database.close()
        with raw(postgresql_url) as connection:
            connection.execute(
                "DROP FUNCTION usage_sessions_settled, usage_events_inserted, usage_events_deleted, "
                "usage_events_moved, usage_events_truncated CASCADE"
            )


BY_HAND: list[tuple[str, list[str]]] = [
    ("ALTER TABLE usage_snapshots ADD COLUMN by_hand int", ["usage_snapshots.by_hand is not from a migration"]),
    ("DROP INDEX idx_usage_snapshots_type", ["index idx_usage_snapshots_type on usage_snapshots is missing"]),
    (
        "DROP TRIGGER usage_config_updated ON usage_config",
        ["trigger usage_config_updated on usage_config is missing"],
    ),
    ("DROP FUNCTION usage_json(text)", ["function usage_json(snapshot_data text) is missing"]),
    (
        "ALTER TABLE usage_config DROP CONSTRAINT usage_config_is_active_check",
        ["usage_config: CHECK (is_active = ANY (ARRAY[0, 1])) is missing"],
    ),
    ("DROP TABLE events", []),
    ("CREATE INDEX of_host ON events (session_id)", []),
    ("ALTER TABLE usage_snapshots ALTER snapshot_data SET COMPRESSION pglz", []),
    ("ALTER TABLE usage_snapshots SET (autovacuum_vacuum_scale_factor = 0.01)", []),
]


def test_what_was_changed_by_hand_is_named(postgresql_url: str) -> None:
    script(postgresql_url, "CREATE TABLE events (session_id text)")
    initialised(postgresql_url)
    with opened(postgresql_url) as database:
        runner = MigrationRunner(database)
        for statement, lines in BY_HAND:
            with database.atomic() as transaction:
                database.execute_sql(statement)
                assert [str(problem) for problem in runner.validate().problems] == lines, statement
                assert [str(problem) for problem in runner.check()[0]] == lines, statement
                transaction.rollback()
        assert runner.check() == ((), 0)
