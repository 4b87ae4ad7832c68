"""Keep a usage store small: delete old snapshots, compact older ones, and return free pages to the disk.

The storage defines the steps. `HOLD` in `engines/interface/pace.py` limits for how long a transaction
of a step holds the write lock.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from usage_store.engines import connected, engine_of, unwrap
from usage_store.models.configuration import UsageConfig
from usage_store.models.fields import allowed_values
from usage_store.models.fields.retention_limits import checked_goals
from usage_store.models.storage_interface import storage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import peewee

    from usage_store.models.fields.retention_limits import Goals
    from usage_store.models.storage_rooms import Maintenance


class Maintained(NamedTuple):
    """The result of `maintain()`: what was done or, with `dry_run`, what would be done.

    `pruned` snapshots were deleted because of their age, `evicted` ones because of the size of all. `compacted`
    snapshots were compressed. `forgotten` sessions had no snapshots and no events and were deleted. `bytes_before` and
    `bytes_after` are the size of the file and its -wal, or of the usage tables on a server; with `dry_run`,
    `bytes_after` is an estimate. `longest_lock` is the longest time for which other writers were locked out, `seconds`
    the time of the whole call, both in seconds. Each line of `left` names something that is left to do.
    """

    pruned: int
    compacted: int
    evicted: int
    forgotten: int
    bytes_before: int
    bytes_after: int
    longest_lock: float
    seconds: float
    left: tuple[str, ...]


def maintain(
    database: peewee.Database | peewee.DatabaseProxy | None = None,
    *,
    retention_days: float | None = None,
    max_bytes: int | None = None,
    compact_after_days: float | None = 7,
    forget_sessions_after_days: float | None = None,
    budget: float | None = None,
    dry_run: bool = False,
    rewrite: bool = False,
    renumber: bool = False,
    on_progress: Callable[[str, int, int], None] = lambda _what, _done, _total: None,
) -> Maintained:
    """Delete snapshots older than `retention_days`, compact those older than `compact_after_days`, free disk space.

    If the file and its -wal are larger than `max_bytes`, the oldest snapshots are deleted, too. On PostgreSQL, the
    bytes of the snapshots that are there count, nothing is compacted, and the server uses free space again. Sessions
    without snapshots and events are deleted when they are `forget_sessions_after_days` old. None leaves a step out.

    The work is done in transactions of about 10 ms, and others can write between them. It ends when everything is done
    or after `budget` seconds. You may also interrupt it at any time. The next call continues.

    Files created by this package shrink by themselves. Another file keeps its size until `rewrite=True` runs VACUUM on
    it once, which blocks all other connections while it rewrites the file. On PostgreSQL, VACUUM blocks nobody.
    `dry_run=True` only reads. `renumber=True`
    gives the blocks of version 2 numbers that no other store has. Blocks whose count of references is wrong are
    corrected in any case.

    `on_progress` is called with the name of the step, how much is done, and how much there is in total. The default of
    `database` is the database that the models are bound to.

    Raises InvalidValue, TransactionOpen, ReadOnlyDatabase, DatabaseLocked, DatabaseUnreadable and, with `rewrite`,
    NotEnoughDisk.
    """
    inner = unwrap(UsageConfig._db() if database is None else database)  # noqa: SLF001  a model of ours
    seconds = math.inf if budget is None else allowed_values.checked_span("budget", budget, 1)
    with connected(inner):
        if not dry_run:
            engine_of(inner).refuse_readonly(inner)
        maintenance = storage_of(inner).maintenance
        maintenance.require_blocks(inner)
        goals = checked_goals(retention_days, max_bytes, compact_after_days, forget_sessions_after_days)
        if dry_run:
            return _preview(maintenance, inner, goals)
        if retention_days is not None and goals.prune_before is not None:
            maintenance.warn_of_step(inner, goals.prune_before, retention_days * 86_400)
        return _run(maintenance, inner, goals, seconds, on_progress, rewrite=rewrite, renumber=renumber)


def _preview(maintenance: Maintenance[Any], database: peewee.Database, goals: Goals) -> Maintained:
    started = time.monotonic()
    found, before = maintenance.estimate(database, goals), maintenance.disk_use(database)
    seconds = time.monotonic() - started
    return Maintained(*found[:4], before, found.bytes_after, 0.0, seconds, maintenance.remaining(database, goals))


def _run(
    maintenance: Maintenance[Any],
    database: peewee.Database,
    goals: Goals,
    budget: float,
    on_progress: Callable[[str, int, int], None],
    *,
    rewrite: bool,
    renumber: bool,
) -> Maintained:
    started = time.monotonic()
    before = maintenance.disk_use(database)
    steps, done = maintenance.Steps(database), Counter[str]()
    on_rows = steps.on_rows(goals)

    def drive(slices: Iterator[tuple[str, int]], totals: dict[str, int]) -> None:
        for name, number in slices:
            done[name] += number
            on_progress(name, done[name], max(done[name], totals.get(name, 0)))
            if time.monotonic() - started >= budget:
                break

    with maintenance.at_work(database):
        drive(on_rows, maintenance.waiting(database, goals))
        if time.monotonic() - started < budget:  # this step begins with a search of all rows
            drive(steps.on_references(renumber=renumber), {})
        if rewrite:
            steps.rewrite()
        drive(steps.on_pages(), {"given back": maintenance.free_pages(database)})
    left = maintenance.remaining(database, goals, renumber=renumber)
    seconds, after = time.monotonic() - started, maintenance.disk_use(database)
    pruned, compacted, evicted, forgotten = (done[name] for name in ("pruned", "compacted", "evicted", "forgotten"))
    return Maintained(pruned, compacted, evicted, forgotten, before, after, steps.longest_lock, seconds, left)
