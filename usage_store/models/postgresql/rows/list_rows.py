"""List snapshots and sessions by fixed SQL. Peewee would need longer to build a query than the server to run it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from usage_store.models.fields.unreadable_text import WHY
from usage_store.models.postgresql.rows.fetch_rows import fetch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import peewee

    Rows = list[tuple[Any, ...]]

COLUMNS = "id, session_id, snapshot_data, snapshot_type, timestamp"
_SNAPSHOTS = f"SELECT {COLUMNS} FROM usage_snapshots"  # noqa: S608
_NEWEST = "ORDER BY timestamp DESC, id DESC"
_OF_SESSION = f"{_SNAPSHOTS} WHERE session_id = %s {_NEWEST}"
_SIZES = """
SELECT u.session_id, count(s.id), coalesce(sum(pg_column_size(s.snapshot_data)), 0)::bigint FROM usage_sessions AS u
LEFT JOIN usage_snapshots AS s ON s.session_id = u.session_id {} GROUP BY u.session_id ORDER BY u.session_id COLLATE "C"
"""
_REFERENCE = re.compile("([0-9]+):[0-9]+")
_SHORT = 20  # bytes; a reference to a block is shorter


def recent(database: peewee.PostgresqlDatabase, since: int, most: int, session_id: str | None) -> Rows:
    """List at most `most` snapshots that are not older than `since` (seconds, UTC), newest first. Reads only.

    Each row has id, session id, text, type and timestamp. A text that cannot be read is replaced by a value for
    `damage()`.
    """
    # The limit is written out: the server plans a statement with an unknown limit for a tenth of the table.
    if session_id is None:
        return snapshots(database, f"{_SNAPSHOTS} WHERE timestamp >= %s {_NEWEST} LIMIT {most:d}", (since,))
    of_session = f"{_SNAPSHOTS} WHERE session_id = %s AND timestamp >= %s {_NEWEST} LIMIT {most:d}"
    return snapshots(database, of_session, (session_id, since))


def of_session(database: peewee.PostgresqlDatabase, session_id: str) -> Rows:
    """List all snapshots of a session as `recent` does. Reads only."""
    return snapshots(database, _OF_SESSION, (session_id,))


def snapshots(database: peewee.PostgresqlDatabase, sql: str, params: Sequence[Any]) -> Rows:
    """Return the rows of a statement that selects `COLUMNS`. Reads only."""
    rows = fetch(database, sql, params)
    if any(len(row[2]) < _SHORT for row in rows):
        return [_without_block(row) for row in rows]
    return rows


def _without_block(row: tuple[Any, ...]) -> tuple[Any, ...]:
    found = _REFERENCE.fullmatch(row[2]) if len(row[2]) < _SHORT else None
    if found is None:
        return row
    why = WHY + b"usage_snapshot_blocks: block %s, which it needs, is gone" % found[1].encode()
    return (*row[:2], why, *row[3:])


def session_sizes(database: peewee.PostgresqlDatabase, session_id: str | None) -> list[tuple[str, int, float]]:
    """List each session, or only one, with the number of its snapshots and the bytes of their texts on disk.

    Reads only.
    """
    condition, params = ("", ()) if session_id is None else ("WHERE u.session_id = %s", (session_id,))
    return fetch(database, _SIZES.format(condition), params)
