"""Delete snapshots by age, by size or by session, in short transactions.

Each step of a generator here is one transaction. After the commit, it yields the number of deleted snapshots. A
generator can be stopped at any time: committed steps are kept, and the next call continues.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from usage_store.engines.postgresql.connection.open_server import plain_connection
from usage_store.models.maintenance import wrong_clock
from usage_store.models.postgresql.maintenance.short_transactions import finish
from usage_store.models.postgresql.maintenance.snapshot_sizes import BYTES, measured, snapshots_on_disk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import peewee

    from usage_store.engines.interface.pace import Pace

# The limits are written out, because the server would plan a statement with an unknown limit for a tenth of the table.
# The time of the last deleted snapshot lets the next search begin after the index entries of deleted rows.
_DELETE = f"""
WITH gone AS (DELETE FROM usage_snapshots AS s WHERE (s.session_id, s.id) IN (
    SELECT o.session_id, o.id FROM usage_snapshots AS o WHERE {{0}} LIMIT {{1:d}})
  RETURNING s.timestamp, {BYTES.format("s")} AS size)
SELECT count(*), coalesce(sum(size), 0)::bigint, max(timestamp) FROM gone
"""  # noqa: S608
# The limit on the id excludes old snapshots that others store during this call. Otherwise the call might never end.
_OLD = "o.timestamp >= %s AND o.timestamp < %s AND o.id <= %s"
_ANY_OLD = f"SELECT 1 FROM usage_snapshots AS o WHERE {_OLD} LIMIT 1"  # noqa: S608
_OLDEST_FIRST = "ORDER BY o.timestamp, o.id"
_OLDEST = f"SELECT o.id FROM usage_snapshots AS o {_OLDEST_FIRST} LIMIT 1"  # noqa: S608
_FORGET = "DELETE FROM usage_sessions WHERE session_id = ANY(%s)"
_FEW = 500  # rows, about 1 MB: an eviction deletes at most this much more than needed
_SESSIONS = 100  # in one transaction


def delete_older(database: peewee.PostgresqlDatabase, before: int) -> int:
    """Delete all snapshots older than `before` (seconds, UTC), and return their number.

    Works in short transactions, or inside the transaction that is open.
    """
    with plain_connection(database):
        return finish(database, lambda pace: prune(database, before, pace))


def warn_of_step(database: peewee.PostgresqlDatabase, before: int, retention: float) -> None:
    """Do what `wrong_clock.warn_of_step()` says, whatever kind of rows an application has set. Reads only."""
    with plain_connection(database):
        wrong_clock.warn_of_step(database, before, retention)


def delete_sessions(database: peewee.PostgresqlDatabase, session_ids: Iterable[str]) -> int:
    """Delete sessions and their snapshots, and return the number of these snapshots. Works as `delete_older`."""
    asked = [session_id for session_id in session_ids if _is_storable(session_id)]
    with plain_connection(database):
        return finish(database, lambda pace: remove_sessions(database, asked, pace))


def prune(database: peewee.PostgresqlDatabase, before: int, pace: Pace) -> Iterator[int]:
    """Delete the existing snapshots that are older than `before` (seconds, UTC), oldest first."""
    (newest,) = database.execute_sql("SELECT coalesce(max(id), 0) FROM usage_snapshots").fetchone()
    since = 0
    # The search takes no lock, so there is no transaction if there is nothing to do.
    while database.execute_sql(_ANY_OLD, (since, before, newest)).fetchone():
        with pace.slice(database):
            deleted, _, last = _delete(database, f"{_OLD} {_OLDEST_FIRST}", pace.size, since, before, newest)
        if not deleted:
            return  # a trigger of the application prevents the deletion
        since = last
        yield deleted


def evict(database: peewee.PostgresqlDatabase, goal: int, pace: Pace, rows: int) -> Iterator[int]:
    """Delete the oldest snapshots until all snapshots use at most `goal` bytes.

    Reads all snapshots first, `rows` at a time, and yields 0 after each part. If others delete the oldest snapshots
    meanwhile, it measures again.
    """
    while snapshots_on_disk(database) > goal:
        oldest, size = _oldest(database), 0
        for part in measured(database, rows):
            size += part
            yield 0
        while size > goal:
            deleted = 0
            with pace.slice(database):
                changed = _oldest(database) != oldest
                if not changed:
                    deleted, freed, _ = _delete(database, f"true {_OLDEST_FIRST}", min(pace.size, _FEW))
                    oldest, size = _oldest(database), size - freed
            if changed:
                break
            if not deleted:
                return  # a trigger of the application prevents the deletion
            yield deleted
        else:
            return


def remove_sessions(database: peewee.PostgresqlDatabase, session_ids: Iterable[str], pace: Pace) -> Iterator[int]:
    """Delete the snapshots of sessions and then the sessions, a hundred sessions at a time."""
    remaining = iter(session_ids)
    while some := list(islice(remaining, _SESSIONS)):
        deleted = asked = pace.size
        while deleted >= asked:
            asked = pace.size
            with pace.slice(database):
                deleted, _, _ = _delete(database, "o.session_id = ANY(%s)", asked, some)
            yield deleted
        with pace.slice(database):
            database.execute_sql(_FORGET, (some,))


def _delete(database: peewee.PostgresqlDatabase, condition: str, most: int, *params: Any) -> tuple[int, int, int]:
    """Delete snapshots; return their number, their bytes, and the time of the newest of them."""
    row: tuple[int, int, int] = database.execute_sql(_DELETE.format(condition, most), params).fetchone()
    return row


def _oldest(database: peewee.PostgresqlDatabase) -> int | None:
    row = database.execute_sql(_OLDEST).fetchone()
    return None if row is None else int(row[0])


def _is_storable(session_id: str) -> bool:
    """Return False for an id that no session on this engine can have: with NUL, or not Unicode."""
    return "\0" not in session_id and session_id.encode(errors="ignore").decode() == session_id
