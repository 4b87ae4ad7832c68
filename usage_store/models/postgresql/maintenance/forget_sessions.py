"""Delete sessions that have no snapshots and no events, in short transactions. This is called forgetting a session.

Sessions whose last event was deleted are removed too, if the transaction of the deletion could not do it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import peewee

    from usage_store.engines.interface.pace import Pace

# A session with events in the host's table is kept. The comparison of texts can use an index of the host.
_EVENTS = """
SELECT quote_ident(n.nspname) || '.events', CASE WHEN t.typcategory = 'S' THEN '' ELSE '::text' END
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'session_id' AND NOT a.attisdropped
JOIN pg_type AS t ON t.oid = a.atttypid
WHERE c.relname = 'events' AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname = ANY (current_schemas(false))
ORDER BY array_position(current_schemas(false), n.nspname) LIMIT 1
"""
_NO_EVENTS = "NOT EXISTS (SELECT 1 FROM {} AS e WHERE e.session_id{} = u.session_id)"
_NO_SNAPSHOTS = (
    "NOT EXISTS (SELECT 1 FROM usage_snapshots AS s WHERE s.session_id = u.session_id AND s.timestamp >= {})"
)
_FEW = 500  # sessions at a time, because their ids are held in memory
# Another transaction may be inserting an event of the session, and cannot be seen yet. It holds the row.
_LOCK = "SELECT 1 FROM usage_sessions WHERE session_id = %s FOR UPDATE SKIP LOCKED"
_FORGET = "DELETE FROM usage_sessions AS u WHERE u.session_id = ANY(%s) AND "
_ENDED = """
SELECT DISTINCT session_id FROM usage_sessions_ended WHERE session_id > %s ORDER BY session_id LIMIT {:d}
"""
# The trigger of the notes removes the session at COMMIT.
_SETTLE = "UPDATE usage_sessions_ended SET moved_to = moved_to WHERE session_id = ANY(%s)"
_COUNT_ENDED = "SELECT count(DISTINCT session_id) FROM usage_sessions_ended"
_LEFT = f"{_COUNT_ENDED} WHERE session_id = ANY(%s)"


def forget_idle(database: peewee.PostgresqlDatabase, before: int, pace: Pace) -> Iterator[int]:
    """Delete the sessions that were created before `before` (seconds, UTC) and have no snapshots and no events.

    Yields the number of deleted sessions after each transaction. The search takes no lock, and each transaction checks
    the conditions again. A session that another transaction uses is kept.
    """
    idle, last = _idle(database), ""
    find = f"SELECT u.session_id FROM usage_sessions AS u WHERE u.session_id > %s AND {idle} ORDER BY 1 LIMIT {{:d}}"  # noqa: S608
    while found := database.execute_sql(find.format(min(pace.size, _FEW)), (last, before)).fetchall():
        last = found[-1][0]
        with pace.slice(database):
            held = [session for (session,) in found if database.execute_sql(_LOCK, (session,)).fetchone()]
            forgotten: int = database.execute_sql(_FORGET + idle, (held, before)).rowcount
        yield forgotten


def count_idle(database: peewee.PostgresqlDatabase, before: int, kept_from: int = 0) -> int:
    """Return how many sessions `forget_idle` would delete, without counting snapshots older than `kept_from`.

    Both times are in seconds, UTC. Reads only.
    """
    sql = f"SELECT count(*) FROM usage_sessions AS u WHERE {_idle(database, kept_from)}"  # noqa: S608
    return int(database.execute_sql(sql, (before,)).fetchone()[0])


def settle_ended(database: peewee.PostgresqlDatabase, pace: Pace) -> Iterator[int]:
    """Remove the sessions whose last event was deleted, in a transaction that could not remove them.

    Yields after each transaction how many are settled. A session that another transaction uses is left for the next
    call.
    """
    last = ""
    while found := database.execute_sql(_ENDED.format(min(pace.size, _FEW)), (last,)).fetchall():
        last = found[-1][0]
        ended = [session for (session,) in found]
        with pace.slice(database, len(ended)):
            database.execute_sql(_SETTLE, (ended,))
        yield len(ended) - int(database.execute_sql(_LEFT, (ended,)).fetchone()[0])


def count_ended(database: peewee.PostgresqlDatabase) -> int:
    """Return how many sessions have ended and are still to be removed. Reads only."""
    return int(database.execute_sql(_COUNT_ENDED).fetchone()[0])


def _idle(database: peewee.PostgresqlDatabase, kept_from: int = 0) -> str:
    """Return the SQL condition for a session to delete. Its only parameter is the time `before`."""
    events = database.execute_sql(_EVENTS).fetchone()
    without_events = [] if events is None else [_NO_EVENTS.format(*(part.replace("%", "%%") for part in events))]
    return " AND ".join(["u.created_at < %s", _NO_SNAPSHOTS.format(int(kept_from)), *without_events])
