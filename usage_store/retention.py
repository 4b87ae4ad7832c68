"""Delete snapshots by age, by size or by session, a short transaction at a time.

The generators here do one transaction a step, and give how many snapshots it deleted once it is committed. Whatever
stops them, what was done stays, and another call goes on from there.
"""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING

from usage_store.rules import MAX_SECONDS
from usage_store.space import live_bytes, snapshot_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import peewee

    from usage_store.pacing import Pace

__all__ = ["evict", "out_of_reach", "prune", "remove_sessions"]

_PRUNE = """
DELETE FROM usage_snapshots WHERE id IN (
  SELECT id FROM usage_snapshots WHERE timestamp < ? ORDER BY timestamp LIMIT ?)
"""
_REMOVE = """
DELETE FROM usage_snapshots WHERE id IN (
  SELECT id FROM usage_snapshots WHERE session_id IN (SELECT value FROM json_each(?)) LIMIT ?)
"""
_FORGET = "DELETE FROM usage_sessions WHERE session_id IN (SELECT value FROM json_each(?))"
_FEW = 500  # rows, some 2 MB of plain text: by so much at most does an eviction go too far
_SESSIONS = 100  # in one transaction


def prune(database: peewee.SqliteDatabase, before: int, pace: Pace) -> Iterator[int]:
    """Delete the snapshots older than `before` (seconds, UTC), oldest first."""
    yield from _delete(database, _PRUNE, before, pace)


def evict(database: peewee.SqliteDatabase, goal: int, pace: Pace) -> Iterator[int]:
    """Delete the oldest snapshots until the pages in use are at most `goal` bytes.

    None are deleted if even without snapshots there would be more, since other tables hold them.
    """
    if out_of_reach(database, goal):
        return
    while live_bytes(database) > goal:
        with pace.slice(database):
            deleted: int = database.execute_sql(_PRUNE, (MAX_SECONDS, min(pace.size, _FEW))).rowcount
        if not deleted:
            return
        yield deleted


def out_of_reach(database: peewee.SqliteDatabase, goal: int) -> bool:
    """Tell whether the pages in use would be more than `goal` bytes even without snapshots. Reads only."""
    excess = live_bytes(database) - goal
    return excess > 0 and excess > snapshot_bytes(database)


def remove_sessions(database: peewee.SqliteDatabase, session_ids: Iterable[str], pace: Pace) -> Iterator[int]:
    """Delete sessions, a hundred at a time, after their snapshots."""
    remaining = iter(session_ids)
    while some := list(islice(remaining, _SESSIONS)):
        listed = json.dumps(some)
        yield from _delete(database, _REMOVE, listed, pace)
        with pace.slice(database):
            database.execute_sql(_FORGET, (listed,))


def _delete(database: peewee.SqliteDatabase, sql: str, which: int | str, pace: Pace) -> Iterator[int]:
    deleted = asked = pace.size
    while deleted >= asked:
        asked = pace.size
        with pace.slice(database):
            deleted = database.execute_sql(sql, (which, asked)).rowcount
        yield deleted
