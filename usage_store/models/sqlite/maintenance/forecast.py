"""What maintenance is to reach, and how far a database is from there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from usage_store.engines.sqlite.file.free_pages import can_shrink, free_pages, live_bytes, measure, wal_allowance
from usage_store.models.sqlite.maintenance.compact_snapshots import can_compact
from usage_store.models.sqlite.maintenance.delete_snapshots import out_of_reach
from usage_store.models.sqlite.maintenance.disk_use import ROW_BYTES, snapshot_bytes
from usage_store.models.sqlite.maintenance.forget_sessions import count_idle
from usage_store.models.sqlite.rows.block_format import ITS_BLOCK, STORED_BYTES

if TYPE_CHECKING:
    import peewee

    from usage_store.models.fields.maintenance_goals import Goals


_SAVED = 0.95  # of a text's bytes, when it is compacted
_OLD = "s.timestamp < ?"
_PLAIN = "typeof(s.snapshot_data) = 'text' AND s.timestamp < ? AND s.timestamp >= ?"


class Forecast(NamedTuple):
    """How many snapshots would be pruned, compacted and evicted, and sessions forgotten; the bytes after that."""

    pruned: int
    compacted: int
    evicted: int
    forgotten: int
    bytes_after: int


def live_goal(database: peewee.SqliteDatabase, goals: Goals) -> int | None:
    """Give what the pages in use may take so that the file, with the -wal of ordinary use, keeps to `max_bytes`."""
    return None if goals.max_bytes is None else goals.max_bytes - wal_allowance(database)


def forecast(database: peewee.SqliteDatabase, goals: Goals) -> Forecast:
    """Estimate what maintenance would do. Reads only, the texts of all snapshots concerned."""
    start = goals.prune_before or 0
    pruned, pruned_bytes = _sum(database, _OLD, start)
    compacted, compacted_bytes = _sum(database, _PLAIN, goals.compact_before or 0, start)
    if not can_compact(database):
        compacted, compacted_bytes = 0, 0.0
    freed = pruned_bytes + pruned * ROW_BYTES + compacted_bytes * _SAVED
    live = live_bytes(database) - int(freed)
    evicted = 0
    goal = live_goal(database, goals)
    excess = 0 if goal is None else live - goal
    if goal is not None and excess > 0 and not out_of_reach(database, goal):
        rows = _count(database, "true") - pruned
        held = min(snapshot_bytes(database) - freed, live)
        evicted = min(rows, int(rows * excess / max(held, excess)))
        live -= excess
    forgotten = 0 if goals.forget_before is None else count_idle(database, goals.forget_before, start)
    return Forecast(pruned, compacted, evicted, forgotten, live if can_shrink(database) else measure(database).file)


def waiting(database: peewee.SqliteDatabase, goals: Goals) -> dict[str, int]:
    """Count the snapshots that are to be pruned, and of the others those to be compacted. Reads only."""
    start, end = goals.prune_before or 0, goals.compact_before or 0
    return {"pruned": _count(database, _OLD, start), "compacted": _count(database, _PLAIN, end, start)}


def remaining(database: peewee.SqliteDatabase, goals: Goals) -> tuple[str, ...]:
    """Say what is left to do, a line for each thing. Reads only."""
    lines = []
    for name, number in waiting(database, goals).items():
        why = ", which takes a database in UTF-8" if name == "compacted" and not can_compact(database) else ""
        lines += _line(number, f"snapshots to be {name}{why}")
    if goals.forget_before is not None:
        lines += _line(count_idle(database, goals.forget_before), "sessions to be forgotten")
    goal = live_goal(database, goals)
    if goal is not None:
        futile = out_of_reach(database, goal)
        why = ", more than the snapshots take, so none was evicted" if futile else ""
        lines += _line(live_bytes(database) - goal, f"bytes too many{why}")
    why = "" if can_shrink(database) else ", which this file can only after one VACUUM (--vacuum, rewrite=True)"
    return (*lines, *_line(free_pages(database) * int(database.page_size), f"bytes to give back{why}"))


def _sum(database: peewee.SqliteDatabase, condition: str, *params: int) -> tuple[int, float]:
    sql = f"SELECT count(*), total({STORED_BYTES}) FROM usage_snapshots AS s {ITS_BLOCK} WHERE {condition}"  # noqa: S608
    rows, size = database.execute_sql(sql, params).fetchone()
    return rows, size


def _count(database: peewee.SqliteDatabase, condition: str, *params: int) -> int:
    sql = f"SELECT count(*) FROM usage_snapshots AS s WHERE {condition}"  # noqa: S608
    (count,) = database.execute_sql(sql, params).fetchone()
    return int(count)


def _line(number: int, what: str) -> list[str]:
    return [f"{number:,} {what}"] if number > 0 else []
