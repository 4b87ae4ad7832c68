"""Run the pending migrations on a copy of the database, forward and back, and report what they did."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from usage_store.engines.interface.schema_differences import State, TableRows, changed_tables, not_restored, without
from usage_store.errors import ConfigurationError, Irreversible, MigrationError
from usage_store.migrate.files.load_file import Loader
from usage_store.migrate.runner import MigrationRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from usage_store.migrate.files.migration import Direction, Migration


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a migration on the copy, in one direction.

    `rows_written` is the number of rows inserted, updated and deleted, including rows of the history table.
    `bytes_written` is the number of bytes written to the -wal file. `disk_needed` is `bytes_written` plus the growth of
    the database, in bytes. `failure` is the error that the migration raised, or None.
    """

    seconds: float
    tables: tuple[TableRows, ...]
    rows_written: int
    bytes_written: int
    disk_needed: int
    failure: str | None


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

    If a migration has no `down`, the rollback stops there, and `notice` says so.
    """

    database_bytes: int
    migrations: tuple[Rehearsed, ...]
    notice: str | None = None

    @property
    def failures(self) -> tuple[str, ...]:
        """The errors of the migrations that failed, up or down."""
        runs = [run for each in self.migrations for run in (each.up, each.down) if run is not None]
        return tuple(run.failure for run in runs if run.failure is not None)

    @property
    def ok(self) -> bool:
        """Whether nothing failed and each `down` that ran restored everything."""
        return not self.failures and all(each.restored is not False for each in self.migrations)


def rehearse(
    runner: MigrationRunner,
    target: int | None = None,
    *,
    directory: Path | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Rehearsal:
    """Run the pending migrations on a copy of the database, and then their `down` functions, newest first.

    All pending migrations run, or those up to version `target`. Their Python runs, with `migrator.dry_run` set to True.
    The database itself is only read. The copy is one consistent state of the database. It is made in a temporary folder
    inside `directory` (default: the folder of the database, which is on the same disk). The copy is deleted afterwards,
    unless the process is killed. The first failure ends the rehearsal: it is in the result, and is not raised.
    `on_progress` is called with the number of copied pages and of all pages.

    Raises the first problem of `status()`; NotEnoughDisk if less is free than three times the size of the database (for
    the copy, and for the -wal of a rebuild, which may take twice that size); CorruptDatabase; and ConfigurationError
    for a `target` that is not pending, or for a database in memory.
    """
    with runner.connected():
        copies = runner.records.engine.copies
        if not _pending(runner, target):
            return Rehearsal(copies.size(runner.database), ())
        with copies.whole_copy(runner.database, directory, on_progress) as database:
            copy = MigrationRunner(database, runner.directory, runner.history.table_name, backup=False)
            copy.dry_run = True
            return _Stage(copy).perform(target)


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

    def __init__(self, runner: MigrationRunner) -> None:
        self.runner = runner
        self.copies = runner.records.engine.copies
        self.own = {table.lower() for table in runner.records.tables()}
        self.meter = self.copies.Meter(runner.database)
        self.state = self.copies.read_state(runner.database, self.own)

    def perform(self, target: int | None) -> Rehearsal:
        total = self.copies.size(self.runner.database)
        plan = _pending(self.runner, target)
        states, ups = [self.state], []
        for migration in plan:
            ups.append(self._step("up", migration.version))
            states.append(self.state)
            if ups[-1].failure is not None:
                return Rehearsal(total, tuple(_rehearsed(plan, ups, {})))
        downs, notice = self._roll_back(plan, states)
        return Rehearsal(total, tuple(_rehearsed(plan, ups, downs)), notice)

    def _roll_back(
        self, plan: Sequence[Migration], states: Sequence[State]
    ) -> tuple[dict[int, tuple[Run, tuple[str, ...]]], str | None]:
        downs: dict[int, tuple[Run, tuple[str, ...]]] = {}
        said: set[str] = set()
        meant: set[str] = set()
        for migration, before in reversed(list(zip(plan, states, strict=False))):
            applied = [0, *(row.version for row in self.runner.history.applied())]
            try:
                run = self._step("down", applied[-2])
            except Irreversible as error:
                return downs, str(error)
            meant.update(name.lower() for name in Loader().load(migration, "up").deletes)
            lines = not_restored(without(before, meant), without(self.state, meant))
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
            seconds, failure = time.perf_counter() - started, str(error)
        cost = self.meter.read()
        self.state = self.copies.read_state(self.runner.database, self.own)
        return Run(seconds, tuple(changed_tables(before, self.state)), *cost, failure)


def _rehearsed(
    plan: Sequence[Migration], ups: Sequence[Run], downs: Mapping[int, tuple[Run, tuple[str, ...]]]
) -> Iterator[Rehearsed]:
    for migration, up in zip(plan, ups, strict=False):
        down, lines = downs.get(migration.version, (None, ()))
        ran = down is not None and down.failure is None
        yield Rehearsed(migration, up, down, not lines if ran else None, lines if ran else ())
