"""Check the rows of the usage tables for `validate`: the active configuration, the snapshots and the sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.errors import CorruptDatabase
from usage_store.models.maintenance.check_rows import ahead_of_the_clock, without_configuration
from usage_store.models.postgresql.maintenance.forget_sessions import count_ended

if TYPE_CHECKING:
    from collections.abc import Iterator

    import peewee

    from usage_store.errors import UsageStoreError

_COLUMNS = """
SELECT count(*) FROM pg_attribute
WHERE attrelid = to_regclass(quote_ident(current_schema()) || '.' || %s) AND attname = ANY(%s) AND NOT attisdropped
"""
_REFERENCES = """
SELECT id, split_part(snapshot_data, ':', 1) FROM usage_snapshots
WHERE octet_length(snapshot_data) < 20 AND snapshot_data ~ '^[0-9]+:[0-9]+$' ORDER BY id
"""


def check_rows(database: peewee.PostgresqlDatabase, *, full: bool) -> Iterator[UsageStoreError | str]:
    """Yield an error for each problem of the rows, and a line of text for each notice. Reads only.

    With `full`, every snapshot is looked at. A table that is missing, or that misses a needed column, is skipped,
    because the comparison of the schema reports it.
    """
    if _has(database, "usage_config", "is_active"):
        yield from without_configuration(database)
    if _has(database, "usage_snapshots", "timestamp"):
        yield from ahead_of_the_clock(database)
    if _has(database, "usage_sessions_ended", "session_id") and (ended := count_ended(database)):
        yield f"sessions without events that were in use, and that `maintain` will delete: {ended}"
    if full and _has(database, "usage_snapshots", "id", "snapshot_data"):
        for snapshot, block in database.execute_sql(_REFERENCES).fetchall():
            yield CorruptDatabase(f"usage_snapshots: snapshot {snapshot} needs block {block}, and there are no blocks")


def _has(database: peewee.PostgresqlDatabase, table: str, *columns: str) -> bool:
    found: int = database.execute_sql(_COLUMNS, (table, list(columns))).fetchone()[0]
    return found == len(columns)
