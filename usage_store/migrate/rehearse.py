"""Run the pending migrations on a copy of the database, forward and back, and report what they did.

On PostgreSQL, they run in the database itself in a transaction that is rolled back, or on a copy that is given.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from usage_store.engines import connected, engine_of, name_of, unwrap
from usage_store.engines.interface.schema_differences import (
    Rewritten,
    State,
    TableRows,
    changed_tables,
    not_restored,
)
from usage_store.errors import ConfigurationError, Irreversible, MigrationError
from usage_store.errors.raised_by_a_run import MigrationLocked
from usage_store.migrate.files.load_file import Loader
from usage_store.migrate.runner import MigrationRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    import peewee

    from usage_store.migrate.files.migration import Direction, Migration

Place = Literal["copy", "transaction", "given"]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a migration on the copy, in one direction.

    `rows_written` is the number of rows inserted, updated and deleted, including rows of the history table.
    `bytes_written` is the number of bytes written to the -wal file or the server's log, which has those of others too.
    `disk_needed` is `bytes_written` plus the growth of the database, in bytes. `failure` is the error that was raised,
    or None; of a migration that failed in a transaction, only the time is known. `rewritten` has the tables that the
    server wrote anew; on SQLite it is empty.
    """

    seconds: float
    tables: tuple[TableRows, ...]
    rows_written: int
    bytes_written: int
    disk_needed: int
    failure: str | None
    rewritten: tuple[Rewritten, ...] = ()


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What one migration did on the copy: `up`, and `down` if it was rolled back.

    `restored` is True if `down` restored schema and rows exactly, and None if `down` did not finish. `differences` has
    one line for each thing that `down` did not restore. A difference that the `down` of a newer migration left is
    listed only there. `down` need not restore rows and column values that the migration declares in `deletes`.
    """

    migration: Migration
    up: Run
    down: Run | None
    restored: bool | None
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What the pending migrations did on a copy of `database_bytes` bytes, lowest version first.

    If a migration has no `down`, the rollback stops there, and `notice` says so. `place` says where they ran: on a copy
    that was deleted, in the database itself in a transaction that was rolled back, or on the copy that was given.
    `left_out` are the migrations that cannot run there; `notice` says why.
    """

    database_bytes: int
    migrations: tuple[Rehearsed, ...]
    notice: str | None = None
    place: Place = "copy"
    left_out: tuple[Migration, ...] = ()

    @property
    def failures(self) -> tuple[str, ...]:
        """The errors of the migrations that failed, up or down."""
        runs = [run for each in self.migrations for run in (each.up, each.down) if run is not None]
        return tuple(run.failure for run in runs if run.failure is not None)

    @property
    def ok(self) -> bool:
        """Whether nothing failed and each `down` that ran restored everything. It says nothing about `left_out`."""
        return not self.failures and all(each.restored is not False for each in self.migrations)


def rehearse(
    runner: MigrationRunner,
    target: int | None = None,
    *,
    directory: Path | None = None,
    copy: peewee.Database | peewee.DatabaseProxy | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Rehearsal:
    """Run the pending migrations on a copy of the database, and then their `down` functions, newest first.

    All pending migrations run, or those up to version `target`. Their Python runs, with `migrator.dry_run` set to True.
    The database itself is only read. The copy is one consistent state of the database. It is made in a temporary folder
    inside `directory` (default: the folder of the database, which is on the same disk). The copy is deleted afterwards,
    unless the process is killed. The first failure ends the rehearsal: it is in the result, and is not raised.
    `on_progress` is called with the number of copied pages and of all pages.

    On PostgreSQL, they run in the database itself, on a second connection, in a transaction that is rolled back. The
    tables that they change stay locked for others until the end. A migration with `atomic = False` cannot run in a
    transaction: the rehearsal stops before it, and `left_out` and `notice` say so. With `copy`, a copy that you have
    made by pg_dump, all of them run there and are committed.

    Raises the first problem of `status()`; NotEnoughDisk if less is free than three times the size of the database (for
    the copy, and for the -wal of a rebuild, which may take twice that size); CorruptDatabase; MigrationLocked if others
    are in the way on a server; and ConfigurationError for a `target` that is not pending, for a database in memory, or
    for a `copy` that is none.
    """
    with runner.connected(), ExitStack() as stack:
        copies = runner.records.engine.copies
        if not _pending(runner, target):
            return Rehearsal(copies.size(runner.database), ())
        if copy is None:
            database = stack.enter_context(copies.whole_copy(runner.database, directory, on_progress, _holding(runner)))
        else:
            database = unwrap(copy)
            stack.enter_context(connected(database))
        place: Place = "given" if copy is not None else "transaction" if database.in_transaction() else "copy"
        wait = 0 if place == "transaction" else runner.wait  # others wait for the tables that are locked already
        stage = MigrationRunner(
            database, runner.directory, runner.history.table_name, wait=wait, on_wait=runner.on_wait, backup=False
        )
        if copy is not None:
            _check_copy(runner, stage)
        stage.dry_run = True
        return _Stage(stage, place).perform(target)


def _holding(runner: MigrationRunner) -> Callable[[peewee.Database], AbstractContextManager[object]]:
    alone = runner.records.engine.migrating.alone
    return partial(alone, table=runner.history.table_name, wait=runner.wait, on_wait=runner.on_wait)


def _check_copy(runner: MigrationRunner, copy: MigrationRunner) -> None:
    engine, name = runner.records.engine, name_of(copy.database)
    if engine_of(copy.database) is not engine:
        raise ConfigurationError(f"{name}: a copy for a rehearsal must be on the same engine as the database")
    engine.copies.check_copy(runner.database, copy.database)
    ours, theirs = ([row.version for row in each.history.applied()] for each in (runner, copy))
    if ours != theirs:
        raise ConfigurationError(
            f"{name}: this is no copy of the database as it is now: other migrations are applied there; make a new one"
        )


def _pending(runner: MigrationRunner, target: int | None) -> list[Migration]:
    status = runner.status()
    if status.problems:
        raise status.problems[0]
    versions = [migration.version for migration in status.pending_migrations]
    if target is not None and target not in versions:
        raise ConfigurationError(f"version {target} is not pending; pending: {', '.join(map(str, versions)) or 'none'}")
    return [migration for migration in status.pending_migrations if target is None or migration.version <= target]


class _Stage:
    """A runner on the copy. It keeps the state of the copy after each step."""

    def __init__(self, runner: MigrationRunner, place: Place) -> None:
        self.runner = runner
        self.place = place
        self.copies = runner.records.engine.copies
        self.own = {table.lower() for table in runner.records.tables()}
        self.meter = self.copies.Meter(runner.database)
        self.state = self._read_state()

    def _read_state(self) -> State:
        state = self.copies.read_state(self.runner.database, self.own)
        # Others use the same counters during a transaction, and it does not take back what it used of them.
        return replace(state, counters={}) if self.place == "transaction" else state

    def perform(self, target: int | None) -> Rehearsal:
        total = self.copies.size(self.runner.database)
        pending = _pending(self.runner, target)
        plan, why = self._runnable(pending)
        left_out = tuple(pending[len(plan) :])
        states, ups = [self.state], list[Run]()
        for migration in plan:
            ups.append(self._step("up", migration.version))
            states.append(self.state)
            if ups[-1].failure is not None:
                return Rehearsal(total, tuple(_rehearsed(plan, ups, {})), why, self.place, left_out)
        downs, notice = self._roll_back(plan, states)
        notices = "; ".join(line for line in (why, notice) if line)
        return Rehearsal(total, tuple(_rehearsed(plan, ups, downs)), notices or None, self.place, left_out)

    def _runnable(self, plan: list[Migration]) -> tuple[list[Migration], str | None]:
        """Return the migrations before the first one that cannot run in a transaction, and a line about the others."""
        for number, migration in enumerate(plan):
            if self.place == "transaction" and not Loader().load(migration, "up").atomic:
                names = ", ".join(each.file_name for each in plan[number:])
                return plan[:number], (
                    f"not rehearsed: {names}; {migration.file_name} has atomic = False, so it cannot run in a "
                    "transaction that is rolled back: rehearse on a copy of the database, with --in"
                )
        return plan, None

    def _roll_back(
        self, plan: Sequence[Migration], states: Sequence[State]
    ) -> tuple[dict[int, tuple[Run, tuple[str, ...]]], str | None]:
        downs: dict[int, tuple[Run, tuple[str, ...]]] = {}
        said: set[str] = set()
        declared: set[str] = set()
        for migration, before in reversed(list(zip(plan, states, strict=False))):
            applied = [0, *(row.version for row in self.runner.history.applied())]
            try:
                run = self._step("down", applied[-2])
            except Irreversible as error:
                return downs, str(error)
            declared.update(Loader().load(migration, "up").deletes)
            lines = not_restored(before, self.state, declared)
            downs[migration.version] = run, tuple(line for line in lines if line not in said)
            said.update(lines)
            if run.failure is not None:
                break
        return downs, None

    def _step(self, direction: Direction, version: int) -> Run:
        before = self.state
        self.meter.start()
        started, failure = time.perf_counter(), None
        run = self.runner.migrate if direction == "up" else self.runner.rollback
        try:
            seconds = sum(step.seconds for step in run(version))
        except Irreversible:
            raise
        except MigrationError as error:
            if isinstance(error, MigrationLocked) and self.place != "copy":
                raise  # others were in the way, so it tells nothing about the migration
            seconds, failure = time.perf_counter() - started, str(error)
            if self.place == "transaction":  # which the migration may have ended, so nothing more can be read in it
                return Run(seconds, (), 0, 0, 0, failure)
        cost = self.meter.read()
        self.state = self._read_state()
        rows, anew = self.state.rows, self.meter.rewrites()
        rewritten = tuple(Rewritten(table, rows[table][0], anew[table]) for table in anew if table in rows)
        return Run(seconds, tuple(changed_tables(before, self.state)), *cost, failure, rewritten)


def _rehearsed(
    plan: Sequence[Migration], ups: Sequence[Run], downs: Mapping[int, tuple[Run, tuple[str, ...]]]
) -> Iterator[Rehearsed]:
    for migration, up in zip(plan, ups, strict=False):
        down, lines = downs.get(migration.version, (None, ()))
        ran = down is not None and down.failure is None
        yield Rehearsed(migration, up, down, not lines if ran else None, lines if ran else ())
