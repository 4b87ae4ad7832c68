"""Let the newest snapshots come without sorting, and let statements read texts by `usage_json()`.

On this engine no text is moved to a block yet, so this makes no blocks. The function is there for statements that read
the same on both engines, and for the day on which texts are moved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peewee import PostgresqlDatabase
    from playhouse.migrate import SchemaMigrator

# The text of a snapshot; NULL for a reference, since no block is there. The server writes such a function into the
# statement that calls it.
USAGE_JSON = """
CREATE FUNCTION usage_json(snapshot_data text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN octet_length(snapshot_data) < 20 AND snapshot_data ~ '^[0-9]+:[0-9]+$' THEN NULL
    ELSE snapshot_data END
$$
"""

# With the id, an index has the order of the lists. SQLite's indexes have the id of the row at their end by themselves.
INDEXES = {
    "idx_usage_snapshots_session_id": ("(session_id)", "(session_id, timestamp, id)"),
    "idx_usage_snapshots_timestamp": ("(timestamp)", "(timestamp, id)"),
}


def up(migrator: SchemaMigrator, db: PostgresqlDatabase) -> None:  # noqa: ARG001  the runner's signature
    """Make the function, and widen the indexes. No row changes."""
    db.execute_sql(USAGE_JSON)
    for index, (_, columns) in INDEXES.items():
        db.execute_sql(f"DROP INDEX {index}")
        db.execute_sql(f"CREATE INDEX {index} ON usage_snapshots{columns}")


def down(migrator: SchemaMigrator, db: PostgresqlDatabase) -> None:  # noqa: ARG001  the runner's signature
    """Remove the function, and make the indexes narrow again."""
    for index, (columns, _) in INDEXES.items():
        db.execute_sql(f"DROP INDEX {index}")
        db.execute_sql(f"CREATE INDEX {index} ON usage_snapshots{columns}")
    db.execute_sql("DROP FUNCTION usage_json(text)")
