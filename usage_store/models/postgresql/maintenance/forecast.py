"""Calculate how far a database is from the goals of maintenance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.models.fields.retention_limits import Forecast
from usage_store.models.postgresql.maintenance.forget_sessions import count_ended, count_idle
from usage_store.models.postgresql.maintenance.snapshot_sizes import BYTES, disk_use, measured, snapshots_on_disk

if TYPE_CHECKING:
    import peewee

    from usage_store.models.fields.retention_limits import Goals

_OLD = "SELECT count(*) FROM usage_snapshots WHERE timestamp < %s"
# The oldest of those that are not pruned, up to the row that frees enough.
_EVICTED = f"""
SELECT count(*) FROM (
  SELECT sum({BYTES.format("s")}) OVER newest_first AS kept FROM usage_snapshots AS s WHERE timestamp >= %s
  WINDOW newest_first AS (ORDER BY timestamp DESC, id DESC ROWS UNBOUNDED PRECEDING)
) AS sums WHERE kept > %s
"""  # noqa: S608
_ROWS = 50_000  # in one statement


def unreachable(database: peewee.PostgresqlDatabase, goals: Goals) -> int | None:  # noqa: ARG001  the interface's signature
    """Return None: `max_bytes` counts only snapshots, so deleting snapshots always reaches it."""
    return None


def estimate(database: peewee.PostgresqlDatabase, goals: Goals) -> Forecast:
    """Calculate what maintenance would do. Reads only. With `max_bytes`, it reads all snapshots.

    The size on disk stays the same, because the server keeps the space of deleted rows for new ones.
    """
    start = goals.prune_before or 0
    evicted = 0
    if _is_too_large(database, goals):
        (evicted,) = database.execute_sql(_EVICTED, (start, goals.max_bytes)).fetchone()
    forgotten = 0 if goals.forget_before is None else count_idle(database, goals.forget_before, start)
    return Forecast(waiting(database, goals)["pruned"], 0, evicted, forgotten, disk_use(database))


def waiting(database: peewee.PostgresqlDatabase, goals: Goals) -> dict[str, int]:
    """Return how many snapshots are to be pruned. None is to be compacted on this engine. Reads only."""
    (old,) = database.execute_sql(_OLD, (goals.prune_before or 0,)).fetchone()
    return {"pruned": old, "compacted": 0}


def remaining(database: peewee.PostgresqlDatabase, goals: Goals, *, renumber: bool = False) -> tuple[str, ...]:  # noqa: ARG001
    """Return one line for each thing that is left to do. Reads only."""
    lines = _line(waiting(database, goals)["pruned"], "snapshots to be pruned")
    lines += _line(count_ended(database), "sessions without events to be deleted, which other connections use")
    if goals.forget_before is not None:
        lines += _line(count_idle(database, goals.forget_before), "sessions to be forgotten")
    if goals.max_bytes is not None and _is_too_large(database, goals):
        lines += _line(sum(measured(database, _ROWS)) - goals.max_bytes, "bytes too many")
    return tuple(lines)


def _is_too_large(database: peewee.PostgresqlDatabase, goals: Goals) -> bool:
    return goals.max_bytes is not None and snapshots_on_disk(database) > goals.max_bytes


def _line(number: int, what: str) -> list[str]:
    return [f"{number:,} {what}"] if number > 0 else []
