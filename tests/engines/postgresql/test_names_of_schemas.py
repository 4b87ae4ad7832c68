"""A schema may have any name, and a schema with nearly the same name is another one."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.support.postgresql_servers import execute, schema_of
from usage_store import (
    close_database,
    delete_old_usage_snapshots,
    get_usage_snapshots_by_session,
    init_database,
    insert_usage_snapshot,
    insert_usage_snapshots,
    maintain,
    rollback_migrations,
    run_migrations,
    validate_database,
)
from usage_store.engines import open_database
from usage_store.migrate import MigrationRunner

if TYPE_CHECKING:
    from collections.abc import Iterator

UNUSUAL = "Größe a.b \"c\" 'd' %s %% %(a)s"  # letters, dots, quotes, and what a driver would replace


@pytest.fixture
def named_url(postgresql_url: str) -> Iterator[str]:
    """Give the URL of a schema with an unusual name; another one with the same letters in lower case exists."""
    old = schema_of(postgresql_url)
    name = f"{UNUSUAL} {old}"
    quoted = '"{}"'.format(name.replace('"', '""'))
    execute(postgresql_url, f"ALTER SCHEMA {old} RENAME TO {quoted}; CREATE SCHEMA {old}")
    yield postgresql_url.replace(old, quote(name))
    execute(postgresql_url, f"SET client_min_messages = error; DROP SCHEMA {quoted} CASCADE")


def test_everything_works_in_a_schema_of_any_name(named_url: str) -> None:
    with closing(open_database(named_url)) as database:
        database.execute_sql("CREATE TABLE events (id bigint PRIMARY KEY, session_id text)")
        database.execute_sql("INSERT INTO events VALUES (1, 'before')")
    database = init_database(named_url)
    try:
        database.execute_sql("INSERT INTO events VALUES (2, 'after')")
        assert insert_usage_snapshot({"session_id": "before", "snapshot_data": {"n": 1}})
        assert insert_usage_snapshots([{"session_id": "after", "snapshot_data": {"n": 1}}] * 2) == 2
        database.execute_sql("DELETE FROM events WHERE id = 1")
        assert get_usage_snapshots_by_session("before") == []
        assert len(get_usage_snapshots_by_session("after")) == 2
        assert maintain(retention_days=1).pruned == delete_old_usage_snapshots(1) == 0
        assert validate_database()
        assert MigrationRunner(database).validate(replay=True).ok
        assert [migration.version for migration in rollback_migrations(0)] == [3, 2, 1]
        assert [migration.version for migration in run_migrations()] == [1, 2, 3]
        assert validate_database()
    finally:
        close_database()
