"""Measure how many bytes snapshots use. Only rows that exist are counted, because a DELETE does not shrink a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import peewee

# The text as it is stored, compressed or not; the session's id in the row and in an index; and the rest of the row
# with its index entries.
ROW_BYTES = 200
BYTES = f"(pg_column_size({{0}}.snapshot_data) + 2 * octet_length({{0}}.session_id) + {ROW_BYTES})"
_PART = f"""
SELECT count(*), coalesce(sum(size), 0)::bigint, max(id)
FROM (SELECT id, {BYTES.format("s")} AS size FROM usage_snapshots AS s WHERE id > %s ORDER BY id LIMIT {{0:d}}) AS part
"""  # noqa: S608
_ON_DISK = "SELECT coalesce(sum(pg_total_relation_size(to_regclass(name))), 0)::bigint FROM unnest(%s::text[]) AS name"
_TABLES = ["usage_config", "usage_sessions", "usage_sessions_ended", "usage_snapshots"]
_FIRST = -(2**63)


def measured(database: peewee.PostgresqlDatabase, rows: int) -> Iterator[int]:
    """Yield the bytes of all snapshots, in parts of `rows` rows. Reads only."""
    last = _FIRST
    while last is not None:
        count, size, last = database.execute_sql(_PART.format(rows), (last,)).fetchone()
        if count:
            yield size


def disk_use(database: peewee.PostgresqlDatabase) -> int:
    """Return how many bytes the usage tables and their indexes use on disk. Reads only."""
    return int(database.execute_sql(_ON_DISK, (_TABLES,)).fetchone()[0])


def snapshots_on_disk(database: peewee.PostgresqlDatabase) -> int:
    """Return how many bytes the snapshots and their indexes use on disk, with free space. Reads only."""
    return int(database.execute_sql(_ON_DISK, (["usage_snapshots"],)).fetchone()[0])


def free_pages(database: peewee.PostgresqlDatabase) -> int:  # noqa: ARG001  the interface's signature
    """Return 0: the server reuses free space by itself, and no statement returns it without locking the table."""
    return 0
