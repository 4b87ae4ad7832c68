"""List snapshots and sessions by fixed SQL. Peewee would need longer to build a query than SQLite to run it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from usage_store.models.fields.unreadable_text import NotUtf8, text_or_why
from usage_store.models.sqlite.rows import block_format
from usage_store.models.sqlite.rows.peewee_queries import fetch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import peewee

SNAPSHOTS = f"SELECT id, session_id, snapshot_data, snapshot_type, timestamp, {block_format.BLOCK} FROM usage_snapshots"  # noqa: S608
_NEWEST = "ORDER BY timestamp DESC, id DESC"
_RECENT = f"{SNAPSHOTS} WHERE timestamp >= ? {_NEWEST} LIMIT ?"
_RECENT_OF_SESSION = f"{SNAPSHOTS} WHERE session_id = ? AND timestamp >= ? {_NEWEST} LIMIT ?"
_OF_SESSION = f"{SNAPSHOTS} WHERE session_id = ? {_NEWEST}"
_SIZES = f"""
SELECT u.session_id, count(s.id), total({block_format.STORED_BYTES}) FROM usage_sessions AS u
LEFT JOIN usage_snapshots AS s ON s.session_id = u.session_id {block_format.ITS_BLOCK} WHERE {{}} GROUP BY u.session_id
"""  # noqa: S608


def recent(database: peewee.SqliteDatabase, since: int, most: int, session_id: str | None) -> list[tuple[Any, ...]]:
    """List at most `most` snapshots that are not older than `since` (seconds, UTC), newest first. Reads only.

    Each row has id, session id, text, type and timestamp, and may have one more value, which is of no use. A text that
    cannot be read is replaced by a value for `damage()`.
    """
    if session_id is None:
        return _snapshots(database, _RECENT, (since, most))
    return _snapshots(database, _RECENT_OF_SESSION, (session_id, since, most))


def of_session(database: peewee.SqliteDatabase, session_id: str) -> list[tuple[Any, ...]]:
    """List all snapshots of a session as `recent` does. Reads only."""
    return _snapshots(database, _OF_SESSION, (session_id,))


def _snapshots(database: peewee.SqliteDatabase, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    return [row if type(row[2]) is str else with_text(*row) for row in fetch(database, sql, params)]


def with_text(row_id: int, session: str, data: Any, kind: str, at: int, block: bytes | None) -> tuple[Any, ...]:
    """Return a row of `SNAPSHOTS` with its text, which may be in a block. Reads only."""
    text = data if isinstance(data, NotUtf8) else text_or_why(lambda: block_format.text(data, block))
    return row_id, session, text, kind, at


def count(database: peewee.SqliteDatabase, what: str, *params: Any) -> int:
    """Count the rows of `what`: SQL that follows FROM. Reads only."""
    return int(database.execute_sql(f"SELECT count(*) FROM {what}", params).fetchone()[0])  # noqa: S608


def session_sizes(database: peewee.SqliteDatabase, session_id: str | None) -> list[tuple[str, int, float]]:
    """List each session, or only one, with the number of its snapshots and the bytes of their texts on disk.

    Reads only.
    """
    condition, params = ("true", ()) if session_id is None else ("u.session_id = ?", (session_id,))
    return fetch(database, _SIZES.format(condition), params)
