"""Notices about the usage tables. They replace the notices of the migrations, which are older."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peewee import SqliteDatabase

_TRIGGERS = "('usage_events_inserted', 'usage_events_deleted', 'usage_events_moved')"
_THERE = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
_FOLLOWED = f"""
SELECT count(*) = 3 AND min(tbl_name = 'events' COLLATE NOCASE)
FROM sqlite_master WHERE type = 'trigger' AND name IN {_TRIGGERS}
"""  # noqa: S608  constant names
_KIND = """
SELECT t.type, max(c.name = 'session_id' COLLATE NOCASE AND c.hidden <> 1)
FROM pragma_table_list AS t LEFT JOIN pragma_table_xinfo(t.name, 'main') AS c
WHERE t.schema = 'main' AND t.name = 'events' COLLATE NOCASE GROUP BY t.name
"""
_ODD_IDS = """
SELECT 1 FROM (SELECT session_id AS id FROM events LIMIT 1000) WHERE typeof(id) IN ('blob', 'real') LIMIT 1
"""
_WITHOUT_INDEX = "SELECT 1 FROM usage_store_state WHERE name = 'events_indexed' AND number = 0"
_MANY = "SELECT 1 FROM events LIMIT 1 OFFSET 10000"
_BY_HAND = "register sessions with register_session()"


def notices(db: SqliteDatabase) -> Iterator[str]:
    """Yield a notice if the host's events table does not register the sessions, or not all of them. Reads only."""
    if not _found(db, _THERE, "usage_sessions"):
        if _found(db, _THERE, "usage_snapshots"):
            yield "these are the tables of the original monitor: `usage-store convert` converts them"
        return
    kind, session_id = db.execute_sql(_KIND).fetchone() or ("nothing", None)
    if kind in ("view", "virtual") and session_id:
        yield f"events is a {kind}{' table' * (kind == 'virtual')}, which cannot have triggers: {_BY_HAND}"
    elif kind != "table" or not session_id:
        yield f"no events table with a session_id column: {_BY_HAND}"
    else:
        if db.execute_sql(_FOLLOWED).fetchone() != (1,):
            yield "the events table does not register sessions: call link_events()"
        if _found(db, _ODD_IDS):
            yield "events has session ids that are blobs or fractions: they register no sessions"
        if _found(db, _THERE, "usage_store_state") and _found(db, _WITHOUT_INDEX) and _found(db, _MANY):
            yield (
                "events has no index on session_id, so deleting events may read all of them: "
                "CREATE INDEX idx_events_session_id ON events(session_id)"
            )


def _found(db: SqliteDatabase, sql: str, *parameters: str) -> bool:
    return db.execute_sql(sql, parameters).fetchone() is not None
