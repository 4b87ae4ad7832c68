"""Delete snapshots by age, by size or by session, a short transaction at a time.

The generators here do one transaction a step, and give how many snapshots it deleted once it is committed. Whatever
stops them, what was done stays, and another call goes on from there.
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

    from usage_store.engines.sqlite.file.short_transactions import Pace

# Those that others store meanwhile, too old already, are another call's: or this one might never end.
_OLD = "FROM usage_snapshots WHERE timestamp < ? AND id <= ?"
_PRUNE = f"DELETE FROM usage_snapshots WHERE id IN (SELECT id {_OLD} ORDER BY timestamp LIMIT ?)"  # noqa: S608
_EVICT = "DELETE FROM usage_snapshots WHERE id IN (SELECT id FROM usage_snapshots ORDER BY timestamp LIMIT ?)"
_REMOVE = """
DELETE FROM usage_snapshots WHERE id IN (SELECT id FROM usage_snapshots WHERE session_id IN ({}) LIMIT ?)
"""
_FORGET = "DELETE FROM usage_sessions WHERE session_id IN ({})"
_FEW = 500  # rows, some 2 MB of plain text: by so much at most does an eviction go too far
_SESSIONS = 100  # in one transaction


def delete_older(database: peewee.SqliteDatabase, before: int) -> int:
    """Prune to the end, in short transactions or within the one that is open; give the number of snapshots."""
    return finish(database, lambda pace: prune(database, before, pace))


def delete_sessions(database: peewee.SqliteDatabase, session_ids: Iterable[str]) -> int:
    """Delete sessions in the same way, and give the number of their snapshots."""
    return finish(database, lambda pace: remove_sessions(database, session_ids, pace))


def prune(database: peewee.SqliteDatabase, before: int, pace: Pace) -> Iterator[int]:
    """Delete the snapshots that are there and older than `before` (seconds, UTC), oldest first."""
    (newest,) = database.execute_sql("SELECT coalesce(max(id), 0) FROM usage_snapshots").fetchone()
    # Looked for without a lock, which is not taken where there is nothing to do.
    while database.execute_sql(f"SELECT 1 {_OLD} LIMIT 1", (before, newest)).fetchone():
        with pace.slice(database):
            deleted: int = database.execute_sql(_PRUNE, (before, newest, pace.size)).rowcount
        if not deleted:
            return  # a trigger keeps them
        yield deleted


def evict(database: peewee.SqliteDatabase, goal: int, pace: Pace) -> Iterator[int]:
    """Delete the oldest snapshots until the pages in use are at most `goal` bytes.

    None are deleted if even without snapshots there would be more, since other tables hold them.
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
    """Tell whether the pages in use would be more than `goal` bytes even without snapshots. Reads only."""
    excess = live_bytes(database) - goal
    return excess > 0 and excess > snapshot_bytes(database, enough=excess)


def remove_sessions(database: peewee.SqliteDatabase, session_ids: Iterable[str], pace: Pace) -> Iterator[int]:
    """Delete sessions, a hundred at a time, after their snapshots."""
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
    """Give the bytes of an id that others stored as no UTF-8, which no text of Python's can be bound for."""
    try:
        session_id.encode()
    except UnicodeEncodeError:
        return session_id.encode(errors="surrogateescape")
    return session_id
