"""Run the steps of maintenance in their order, in short transactions."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from usage_store.engines.interface.pace import Pace
from usage_store.engines.sqlite.file import free_pages, short_transactions
from usage_store.engines.sqlite.file.short_transactions import PassingTurns, Turns
from usage_store.engines.sqlite.file.write_transaction import in_transaction
from usage_store.errors import ConfigurationError, TransactionOpen
from usage_store.models.sqlite.maintenance import count_references, delete_snapshots
from usage_store.models.sqlite.maintenance.compact_snapshots import compact
from usage_store.models.sqlite.maintenance.forecast import live_goal
from usage_store.models.sqlite.maintenance.forget_sessions import forget_idle
from usage_store.models.sqlite.rows import follow_events

if TYPE_CHECKING:
    from collections.abc import Iterator

    import peewee

    from usage_store.models.fields.retention_limits import Goals

# SQLite searches the whole list of free pages for each page at the end of the file, so the list must stay short.
_MANY_PAGES = 10_000
_COMPACTED_FIRST = 40  # rows in the first transaction: with fewer, a block would have only few rows of a session


class Steps:
    """The steps of maintenance on a database, in short transactions. With `passing`, they run between inserts."""

    def __init__(self, database: peewee.SqliteDatabase, *, passing: bool = False) -> None:
        self._database = database
        self._turns = turns = PassingTurns() if passing else Turns()
        self._deleting, self._forgetting = Pace(turns), Pace(turns)
        self._compacting = Pace(turns, _COMPACTED_FIRST)

    @property
    def longest_lock(self) -> float:
        """The longest time for which other writers were locked out, in seconds."""
        return self._turns.longest

    def on_rows(self, goals: Goals) -> Iterator[tuple[str, int]]:
        """Prune, compact and evict snapshots, and forget sessions.

        After each transaction, yields the name of the step and the number of rows. Call this before automatic
        checkpoints are switched off: the size limit takes account of how large the -wal becomes with them.
        """
        return self._on_rows(goals, live_goal(self._database, goals))

    def _on_rows(self, goals: Goals, size: int | None) -> Iterator[tuple[str, int]]:
        database = self._database
        if goals.prune_before is not None:
            yield from self._step("pruned", delete_snapshots.prune(database, goals.prune_before, self._deleting))
        if goals.compact_before is not None:
            yield from self._step("compacted", compact(database, goals.compact_before, self._compacting))
        if size is not None:
            yield from self._step("evicted", delete_snapshots.evict(database, size, self._deleting))
        if goals.forget_before is not None:
            yield from self._step("forgotten", forget_idle(database, goals.forget_before, self._forgetting))

    def on_references(self, *, renumber: bool) -> Iterator[tuple[str, int]]:
        """Correct wrong counts of references. With `renumber`, give blocks of version 2 new numbers.

        After each transaction, yields the name of the step and the number of rows.
        """
        follow_events.note_index(self._database)
        follow_events.forget_counts(self._database)
        yield from self._step("counted again", count_references.count_refs_again(self._database, self._deleting))
        if renumber:
            yield from self._step("renumbered", count_references.renumber(self._database, self._compacting))

    def on_pages(self) -> Iterator[tuple[str, int]]:
        """Return free pages to the disk. After each transaction, yields the step's name and the number of pages."""
        for pages in free_pages.give_back(self._database, self._turns):
            yield "given back", pages

    def in_passing(self, goals: Goals) -> Iterator[tuple[str, int]]:
        """Do the steps on rows and pages, and then shorten the file by the pages that were returned."""
        yield from self.on_rows(goals)
        yield from self.on_pages()
        free_pages.copy_wal_to_shorten(self._database)

    def rewrite(self) -> None:
        """Rewrite a file that cannot shrink, so that it can. Blocks all other connections. Raises NotEnoughDisk."""
        if not free_pages.can_shrink(self._database):
            began = time.monotonic()
            free_pages.vacuum(self._database)
            self._turns.longest = max(self._turns.longest, time.monotonic() - began)

    def _step(self, name: str, slices: Iterator[int]) -> Iterator[tuple[str, int]]:
        for rows in slices:
            yield name, rows
            if free_pages.can_shrink(self._database) and free_pages.free_pages(self._database) > _MANY_PAGES:
                for _ in self.on_pages():
                    yield name, 0


@contextmanager
def at_work(database: peewee.SqliteDatabase) -> Iterator[None]:
    """Set up the connection for long work inside the block, and empty the -wal at the end of the block."""
    with short_transactions.without_automatic_checkpoints(database), free_pages.wide_cache(database):
        yield
        short_transactions.truncate_wal(database)


def require_blocks(database: peewee.SqliteDatabase) -> None:
    """Raise TransactionOpen inside a transaction, and ConfigurationError if tables or triggers are missing."""
    if in_transaction(database):
        raise TransactionOpen("maintenance uses its own transactions; commit or roll back the open transaction first")
    # Only these triggers count the references to a block.
    (triggers,) = database.execute_sql(
        "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name IN "
        "('usage_snapshots_inserted', 'usage_snapshots_updated', 'usage_snapshots_deleted')"
    ).fetchone()
    if triggers < 3:  # noqa: PLR2004
        raise ConfigurationError(
            "usage tables or triggers of version 2 are missing; `usage-store migrate --usage-tables` runs pending "
            "migrations, and `usage-store migrate validate --usage-tables` lists what is missing"
        )
