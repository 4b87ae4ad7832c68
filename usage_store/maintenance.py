"""Keep a usage store small: delete what is old, compact what is not new, give the pages back to the disk."""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from usage_store import events, references, rules
from usage_store.clock import warn_of_step
from usage_store.compaction import compact
from usage_store.connection import connected, unwrap
from usage_store.errors import ConfigurationError, TransactionOpen
from usage_store.goals import checked_goals, forecast, live_goal, remaining, waiting
from usage_store.idle_sessions import forget_idle
from usage_store.pacing import Pace, Turns, in_transaction, without_automatic_checkpoints
from usage_store.retention import evict, prune
from usage_store.space import can_shrink, free_pages, give_back, measure, truncate_wal, vacuum, wide_cache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import peewee

    from usage_store.goals import Goals

__all__ = ["Maintained", "Work", "maintain", "require_blocks"]

# SQLite looks for a page at the file's end in the whole list of free pages, so it must not become long.
_MANY_PAGES = 10_000
_COMPACTED_FIRST = 40  # rows in the first slice: of fewer, each session has few in a block


class Maintained(NamedTuple):
    """What `maintain()` did, or with `dry_run` would do.

    `pruned` and `evicted` snapshots were deleted for their age and for the size, `compacted` ones were made small;
    `forgotten` sessions had nothing and were deleted.
    `bytes_before` and `bytes_after` are those of the file and its -wal; with `dry_run` the latter is an estimate.
    `longest_lock` and `seconds` are seconds. `left` are lines on what remains to be done; empty means all is done.
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
    """Delete snapshots older than `retention_days`, compact those older than `compact_after_days`, free the disk.

    Above `max_bytes` (file and -wal) the oldest snapshots go, too. Sessions that have no snapshots and no events go
    once they are `forget_sessions_after_days` old. None leaves a step out. Everything happens in
    transactions of about 10 ms, between which others write; it ends after `budget` seconds, or whenever it is stopped,
    and the next call goes on. Pages go back to the disk where the file allows that: one that this package made does,
    another one once `rewrite` has run VACUUM on it, which locks others out meanwhile. `dry_run` only reads.
    `renumber` gives blocks of version 2 numbers that no other store has; blocks that count their references wrongly
    are set right in any case.
    `on_progress` is told what is being done, how much is, and of how much. The database is the models' own by default.

    Raises InvalidValue, TransactionOpen, MigrationLocked, DatabaseUnreadable and, for `rewrite`, NotEnoughDisk.
    """
    if database is None:
        from usage_store.database import bound_database

        database = bound_database()
    inner = unwrap(database)
    seconds = math.inf if budget is None else rules.checked_span("budget", budget, 1)
    with connected(inner):
        require_blocks(inner)
        goals = checked_goals(retention_days, max_bytes, compact_after_days, forget_sessions_after_days)
        if dry_run:
            return _preview(inner, goals)
        if retention_days is not None and goals.prune_before is not None:
            warn_of_step(inner, goals.prune_before, retention_days * 86_400)
        return _run(inner, goals, seconds, on_progress, rewrite=rewrite, renumber=renumber)


class Work:
    """The work on some goals, a short transaction at a time; `longest_lock` is the longest so far, in seconds."""

    def __init__(self, database: peewee.SqliteDatabase, turns: Turns) -> None:
        self._database = database
        self._turns = turns
        self._deleting, self._forgetting = Pace(turns), Pace(turns)
        self._compacting = Pace(turns, _COMPACTED_FIRST)

    @property
    def longest_lock(self) -> float:
        """How long others were locked out, in seconds."""
        return self._turns.longest

    def on_rows(self, goals: Goals) -> Iterator[tuple[str, int]]:
        """Prune, compact, evict and forget; after each transaction give the name of the step and a number of rows.

        Call it before automatic checkpoints are switched off: how large the -wal may become depends on them.
        """
        return self._on_rows(goals, live_goal(self._database, goals))

    def _on_rows(self, goals: Goals, size: int | None) -> Iterator[tuple[str, int]]:
        database = self._database
        if goals.prune_before is not None:
            yield from self._step("pruned", prune(database, goals.prune_before, self._deleting))
        if goals.compact_before is not None:
            yield from self._step("compacted", compact(database, goals.compact_before, self._compacting))
        if size is not None:
            yield from self._step("evicted", evict(database, size, self._deleting))
        if goals.forget_before is not None:
            yield from self._step("forgotten", forget_idle(database, goals.forget_before, self._forgetting))

    def on_references(self, *, renumber: bool) -> Iterator[tuple[str, int]]:
        """Count references again where that is wrong, and renumber; give the same after each transaction."""
        events.note_index(self._database)
        events.forget_counts(self._database)
        yield from self._step("counted again", references.count_refs_again(self._database, self._deleting))
        if renumber:
            yield from self._step("renumbered", references.renumber(self._database, self._compacting))

    def on_pages(self) -> Iterator[tuple[str, int]]:
        """Give pages back, and after each transaction give the name of the step and a number of pages."""
        for pages in give_back(self._database, self._turns):
            yield "given back", pages

    def _step(self, name: str, slices: Iterator[int]) -> Iterator[tuple[str, int]]:
        for rows in slices:
            yield name, rows
            if can_shrink(self._database) and free_pages(self._database) > _MANY_PAGES:
                for _ in self.on_pages():
                    yield name, 0


def require_blocks(database: peewee.SqliteDatabase) -> None:
    """Raise TransactionOpen in a transaction, and ConfigurationError without the blocks or what counts for them."""
    if in_transaction(database):
        raise TransactionOpen("maintenance commits as it goes; commit or leave the open transaction first")
    # Without the triggers, nothing counts the references to a block.
    (triggers,) = database.execute_sql(
        "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name IN "
        "('usage_snapshots_inserted', 'usage_snapshots_updated', 'usage_snapshots_deleted')"
    ).fetchone()
    if triggers < 3:  # noqa: PLR2004
        raise ConfigurationError(
            "the usage tables of version 2 are not here, or not all of their triggers; "
            "`python -m usage_store.migrate` makes them, `validate` says what is missing"
        )


def _preview(database: peewee.SqliteDatabase, goals: Goals) -> Maintained:
    started = time.monotonic()
    found, before = forecast(database, goals), measure(database).total
    seconds = time.monotonic() - started
    return Maintained(*found[:4], before, found.bytes_after, 0.0, seconds, remaining(database, goals))


def _run(
    database: peewee.SqliteDatabase,
    goals: Goals,
    budget: float,
    on_progress: Callable[[str, int, int], None],
    *,
    rewrite: bool,
    renumber: bool,
) -> Maintained:
    started = time.monotonic()
    before = measure(database).total
    work, done, longest = Work(database, Turns()), Counter[str](), 0.0
    on_rows = work.on_rows(goals)

    def drive(slices: Iterator[tuple[str, int]], totals: dict[str, int]) -> None:
        for name, number in slices:
            done[name] += number
            on_progress(name, done[name], max(done[name], totals.get(name, 0)))
            if time.monotonic() - started >= budget:
                break

    with without_automatic_checkpoints(database), wide_cache(database):
        drive(on_rows, waiting(database, goals))
        if time.monotonic() - started < budget:  # it begins with a pass over all rows
            drive(work.on_references(renumber=renumber), {})
        if rewrite and not can_shrink(database):
            began = time.monotonic()
            vacuum(database)
            longest = time.monotonic() - began
        drive(work.on_pages(), {"given back": free_pages(database)})
        truncate_wal(database)
    left = remaining(database, goals)
    if renumber and (old := references.old_numbers(database)):
        left += (f"{old:,} blocks to be renumbered",)
    seconds, after = time.monotonic() - started, measure(database).total
    return Maintained(
        done["pruned"],
        done["compacted"],
        done["evicted"],
        done["forgotten"],
        before,
        after,
        max(longest, work.longest_lock),
        seconds,
        left,
    )
