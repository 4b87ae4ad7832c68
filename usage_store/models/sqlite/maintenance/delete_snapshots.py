"""Delete snapshots by age, by size or by session, in short transactions.

Each step of a generator here is one transaction. After the commit, it yields the number of deleted snapshots. A
generator can be stopped at any time: committed steps are kept, and the next call continues.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from usage_store.engines.sqlite.file.free_pages import live_bytes
from usage_store.engines.sqlite.file.short_transactions import finish
from usage_store.models.sqlite.maintenance.snapshot_sizes import snapshot_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import peewee

    from usage_store.engines.interface.pace import Pace

# The limit on the id excludes old snapshots that others store during this call. Otherwise the call might never end.
_OLD = "FROM usage_snapshots WHERE timestamp < ? AND id <= ?"
_PRUNE = f"DELETE FROM usage_snapshots WHERE id IN (SELECT id {_OLD} ORDER BY timestamp LIMIT ?)"  # noqa: S608
_EVICT = "DELETE FROM usage_snapshots WHERE id IN (SELECT id FROM usage_snapshots ORDER BY timestamp LIMIT ?)"
_REMOVE = """
DELETE FROM usage_snapshots WHERE id IN (SELECT id FROM usage_snapshots WHERE session_id IN ({}) LIMIT ?)
"""
_FORGET = "DELETE FROM usage_sessions WHERE session_id IN ({})"
_FEW = 500  # rows, about 2 MB of plain text: an eviction deletes at most this much more than needed
_SESSIONS = 100  # in one transaction


def delete_older(database: peewee.SqliteDatabase, before: int) -> int:
    """Delete all snapshots older than `before` (seconds, UTC), and return their number.

    Works in short transactions, or inside the transaction that is open.
    """
    return finish(database, lambda pace: prune(database, before, pace))


def delete_sessions(database: peewee.SqliteDatabase, session_ids: Iterable[str]) -> int:
    """Delete sessions and their snapshots, and return the number of these snapshots. Works as `delete_older`."""
    return finish(database, lambda pace: remove_sessions(database, session_ids, pace))


def prune(database: peewee.SqliteDatabase, before: int, pace: Pace) -> Iterator[int]:
    """Delete the existing snapshots that are older than `before` (seconds, UTC), oldest first."""
    (newest,) = database.execute_sql("SELECT coalesce(max(id), 0) FROM usage_snapshots").fetchone()
    # The search takes no lock, so there is no write lock if there is nothing to do.
    while database.execute_sql(f"SELECT 1 {_OLD} LIMIT 1", (before, newest)).fetchone():
        with pace.slice(database):
            deleted: int = database.execute_sql(_PRUNE, (before, newest, pace.size)).rowcount
        if not deleted:
            return  # a trigger of the application prevents the deletion
        yield deleted


def evict(database: peewee.SqliteDatabase, goal: int, pace: Pace) -> Iterator[int]:
    """Delete the oldest snapshots until the pages in use are at most `goal` bytes.

    Deletes nothing if that goal cannot be reached, because other tables use more than `goal` bytes.
    """
    if out_of_reach(database, goal):
        return
    while live_bytes(database) > goal:
        with pace.slice(database):
            deleted: int = database.execute_sql(_EVICT, (min(pace.size, _FEW),)).rowcount
        if not deleted:
            return
        yield deleted


def out_of_reach(database: peewee.SqliteDatabase, goal: int) -> bool:
    """Return whether the pages in use would be more than `goal` bytes even without any snapshot. Reads only."""
    excess = live_bytes(database) - goal
    return excess > 0 and excess > snapshot_bytes(database, enough=excess)


def remove_sessions(database: peewee.SqliteDatabase, session_ids: Iterable[str], pace: Pace) -> Iterator[int]:
    """Delete the snapshots of sessions and then the sessions, a hundred sessions at a time."""
    remaining = iter(session_ids)
    while some := list(islice(remaining, _SESSIONS)):
        listed = ", ".join("CAST(? AS TEXT)" for _ in some)
        ids = [_bindable(session_id) for session_id in some]
        deleted = asked = pace.size
        while deleted >= asked:
            asked = pace.size
            with pace.slice(database):
                deleted = database.execute_sql(_REMOVE.format(listed), (*ids, asked)).rowcount
            yield deleted
        with pace.slice(database):
            database.execute_sql(_FORGET.format(listed), ids)


def _bindable(session_id: str) -> str | bytes:
    """Return the id in a form that SQLite accepts: bytes if the id is not UTF-8, because then a str cannot be bound."""
    try:
        session_id.encode()
    except UnicodeEncodeError:
        return session_id.encode(errors="surrogateescape")
    return session_id
