"""Run the steps of maintenance in their order, in short transactions."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from usage_store.engines.interface.pace import Pace
from usage_store.engines.postgresql.connection.open_server import plain_connection
from usage_store.engines.postgresql.connection.write_transaction import in_transaction
from usage_store.errors import ConfigurationError, TransactionOpen
from usage_store.models.postgresql.maintenance import delete_snapshots, forget_sessions
from usage_store.models.postgresql.maintenance.short_transactions import PassingTurns, Turns, patiently

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import peewee

    from usage_store.models.fields.retention_limits import Goals

_ROWS, _PASSING_ROWS = 50_000, 5_000  # that one statement measures; the second takes about 2 ms
_TABLES = ["usage_snapshots", "usage_sessions", "usage_sessions_ended"]
_THERE = "SELECT count(to_regclass(quote_ident(current_schema()) || '.' || name)) FROM unnest(%s::text[]) AS name"


class Steps:
    """The steps of maintenance on a database, in short transactions. With `passing`, they run between inserts."""

    def __init__(self, database: peewee.PostgresqlDatabase, *, passing: bool = False) -> None:
        self._database = database
        self._passing = passing
        self._turns = turns = PassingTurns() if passing else Turns()
        self._deleting, self._forgetting = Pace(turns), Pace(turns)

    @property
    def longest_lock(self) -> float:
        """The time of the longest transaction, in seconds. Only writers of the same rows had to wait for it."""
        return self._turns.longest

    def on_rows(self, goals: Goals) -> Iterator[tuple[str, int]]:
        """Prune and evict snapshots, remove sessions that have ended, and forget sessions. Nothing is compacted.

        After each transaction, yields the name of the step and the number of rows.
        """
        database, rows = self._database, _PASSING_ROWS if self._passing else _ROWS
        yield from self._step("ended", self._forgetting, lambda pace: forget_sessions.settle_ended(database, pace))
        if (before := goals.prune_before) is not None:
            yield from self._step("pruned", self._deleting, lambda pace: delete_snapshots.prune(database, before, pace))
        if (size := goals.max_bytes) is not None:
            yield from self._step(
                "evicted", self._deleting, lambda pace: delete_snapshots.evict(database, size, pace, rows)
            )
        if (created := goals.forget_before) is not None:
            yield from self._step(
                "forgotten", self._forgetting, lambda pace: forget_sessions.forget_idle(database, created, pace)
            )

    def on_references(self, *, renumber: bool) -> Iterator[tuple[str, int]]:  # noqa: ARG002  the interface's signature
        """Do nothing: there are no blocks on this engine."""
        yield from ()

    def on_pages(self) -> Iterator[tuple[str, int]]:
        """Do nothing: the server reuses free space by itself (autovacuum)."""
        yield from ()

    def in_passing(self, goals: Goals) -> Iterator[tuple[str, int]]:
        """Do the steps on rows."""
        yield from self.on_rows(goals)

    def rewrite(self) -> None:
        """Make the space of deleted rows free for new ones, and count again for the planner: VACUUM (ANALYZE).

        Blocks nobody. The space is not returned to the disk, except at the end of a table: only VACUUM FULL does that,
        which blocks all who use the table.
        """
        for table in _TABLES:
            self._database.execute_sql(f"VACUUM (ANALYZE) {table}")

    def _step(self, name: str, pace: Pace, work: Callable[[Pace], Iterator[int]]) -> Iterator[tuple[str, int]]:
        for rows in work(pace) if self._passing else patiently(work, pace):
            yield name, rows


@contextmanager
def at_work(database: peewee.PostgresqlDatabase) -> Iterator[None]:  # noqa: ARG001  the interface's signature
    """Run the block: the connection needs no settings."""
    yield


def without_waiting(database: peewee.PostgresqlDatabase) -> AbstractContextManager[None]:
    """Read rows as tuples in the block. The steps between inserts set the limit of their waiting themselves."""
    return plain_connection(database)


def require_blocks(database: peewee.PostgresqlDatabase) -> None:
    """Raise TransactionOpen inside a transaction, and ConfigurationError if tables are missing."""
    if in_transaction(database):
        raise TransactionOpen("maintenance uses its own transactions; commit or roll back the open transaction first")
    if database.execute_sql(_THERE, (_TABLES,)).fetchone()[0] < len(_TABLES):
        raise ConfigurationError(
            "usage tables of version 3 are missing; `usage-store migrate --usage-tables` runs pending "
            "migrations, and `usage-store migrate validate --usage-tables` lists what is missing"
        )
