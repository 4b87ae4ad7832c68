"""Delete sessions that have no snapshots and no events, in short transactions. This is called forgetting a session."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from usage_store.models.sqlite.rows.list_rows import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    import peewee

    from usage_store.engines.interface.pace import Pace

# A session with events in the host's table is kept. IN returns NULL if an event has no session, hence coalesce().
_NO_EVENTS = "coalesce(u.session_id IN (SELECT session_id FROM main.events), 0) = 0"
_NO_SNAPSHOTS = (
    "NOT EXISTS (SELECT 1 FROM usage_snapshots AS s WHERE s.session_id = u.session_id AND s.timestamp >= {0})"
)
_FEW = 500  # sessions at a time, because their ids are held in memory


def forget_idle(database: peewee.SqliteDatabase, before: int, pace: Pace) -> Iterator[int]:
    """Delete the sessions that were created before `before` (seconds, UTC) and have no snapshots and no events.

    Yields the number of deleted sessions after each transaction. The search takes no lock, and each transaction checks
    the conditions again. Without an index on `session_id` of the events, each transaction reads all events.
    """
    idle, last = _idle(database), ""
    find = f"SELECT u.session_id FROM usage_sessions AS u WHERE u.session_id > ? AND {idle} ORDER BY 1 LIMIT ?"  # noqa: S608
    forget = f"DELETE FROM usage_sessions AS u WHERE u.session_id IN (SELECT value FROM json_each(?)) AND {idle}"  # noqa: S608
    while found := database.execute_sql(find, (last, before, min(pace.size, _FEW))).fetchall():
        last = found[-1][0]
        with pace.slice(database):
            forgotten: int = database.execute_sql(forget, (json.dumps([one for (one,) in found]), before)).rowcount
        yield forgotten


def count_idle(database: peewee.SqliteDatabase, before: int, kept_from: int = 0) -> int:
    """Return how many sessions `forget_idle` would delete, without counting snapshots older than `kept_from`.

    Both times are in seconds, UTC. Reads only.
    """
    return count(database, f"usage_sessions AS u WHERE {_idle(database, kept_from)}", before)


def _idle(database: peewee.SqliteDatabase, kept_from: int = 0) -> str:
    """Return the SQL condition for a session to delete. Its only parameter is the time `before`."""
    found = database.execute_sql(
        "SELECT 1 FROM pragma_table_xinfo('events', 'main') WHERE lower(name) = 'session_id'"
    ).fetchone()
    conditions = ["u.created_at < ?", _NO_SNAPSHOTS.format(int(kept_from)), *([_NO_EVENTS] if found else [])]
    return " AND ".join(conditions)
