"""Calculate how far a database is from the goals of maintenance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.engines.sqlite.file.free_pages import can_shrink, file_bytes, free_pages, live_bytes, wal_allowance
from usage_store.models.fields.retention_limits import Forecast
from usage_store.models.sqlite.maintenance.compact_snapshots import can_compact
from usage_store.models.sqlite.maintenance.count_references import old_numbers
from usage_store.models.sqlite.maintenance.delete_snapshots import out_of_reach
from usage_store.models.sqlite.maintenance.forget_sessions import count_idle
from usage_store.models.sqlite.maintenance.snapshot_sizes import ROW_BYTES, snapshot_bytes
from usage_store.models.sqlite.rows.block_format import ITS_BLOCK, STORED_BYTES
from usage_store.models.sqlite.rows.list_rows import count

if TYPE_CHECKING:
    import peewee

    from usage_store.models.fields.retention_limits import Goals

_SAVED = 0.95  # the part of a text's bytes that compacting saves
_SNAPSHOTS = "usage_snapshots AS s"
_OLD = "s.timestamp < ?"
_PLAIN = "typeof(s.snapshot_data) = 'text' AND s.timestamp < ? AND s.timestamp >= ?"


def live_goal(database: peewee.SqliteDatabase, goals: Goals) -> int | None:
    """Return how many bytes the pages in use may have, so that file and -wal together stay within `max_bytes`.

    None: there is no `max_bytes`. The -wal is counted with its size in normal use.
    """
    return None if goals.max_bytes is None else goals.max_bytes - wal_allowance(database)


def unreachable(database: peewee.SqliteDatabase, goals: Goals) -> int | None:
    """Return how many bytes the pages in use may have, if deleting all snapshots is not enough for that; else None.

    Reads only.
    """
    goal = live_goal(database, goals)
    return goal if goal is not None and out_of_reach(database, goal) else None


def estimate(database: peewee.SqliteDatabase, goals: Goals) -> Forecast:
    """Estimate what maintenance would do. Reads only. It reads the texts of all affected snapshots."""
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
        rows = count(database, _SNAPSHOTS) - pruned
        held = min(snapshot_bytes(database) - freed, live)
        evicted = min(rows, int(rows * excess / max(held, excess)))
        live -= excess
    forgotten = 0 if goals.forget_before is None else count_idle(database, goals.forget_before, start)
    return Forecast(pruned, compacted, evicted, forgotten, live if can_shrink(database) else file_bytes(database))


def waiting(database: peewee.SqliteDatabase, goals: Goals) -> dict[str, int]:
    """Return how many snapshots are to be pruned, and how many of the others are to be compacted. Reads only."""
    start, end = goals.prune_before or 0, goals.compact_before or 0
    return {
        "pruned": count(database, f"{_SNAPSHOTS} WHERE {_OLD}", start),
        "compacted": count(database, f"{_SNAPSHOTS} WHERE {_PLAIN}", end, start),
    }


def remaining(database: peewee.SqliteDatabase, goals: Goals, *, renumber: bool = False) -> tuple[str, ...]:
    """Return one line for each thing that is left to do. Reads only."""
    lines = []
    for name, number in waiting(database, goals).items():
        why = ", but this database is not UTF-8" if name == "compacted" and not can_compact(database) else ""
        lines += _line(number, f"snapshots to be {name}{why}")
    if goals.forget_before is not None:
        lines += _line(count_idle(database, goals.forget_before), "sessions to be forgotten")
    goal = live_goal(database, goals)
    if goal is not None:
        futile = out_of_reach(database, goal)
        why = ", more than all snapshots use, so no snapshot was evicted" if futile else ""
        lines += _line(live_bytes(database) - goal, f"bytes too many{why}")
    why = "" if can_shrink(database) else ", possible only after one VACUUM of this file (--vacuum, rewrite=True)"
    lines += _line(free_pages(database) * int(database.page_size), f"bytes to give back{why}")
    return (*lines, *_line(old_numbers(database) if renumber else 0, "blocks to be renumbered"))


def _sum(database: peewee.SqliteDatabase, condition: str, *params: int) -> tuple[int, float]:
    sql = f"SELECT count(*), total({STORED_BYTES}) FROM {_SNAPSHOTS} {ITS_BLOCK} WHERE {condition}"  # noqa: S608
    rows, size = database.execute_sql(sql, params).fetchone()
    return rows, size


def _line(number: int, what: str) -> list[str]:
    return [f"{number:,} {what}"] if number > 0 else []
