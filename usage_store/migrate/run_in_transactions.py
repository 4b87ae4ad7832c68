"""Run migrations one by one, each in one transaction with its history row."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from usage_store.errors import BackupFailed, CorruptDatabase, GuardTripped, MigrationError, MigrationLocked
from usage_store.errors.raised_by_a_run import migration_errors_too
from usage_store.migrate.failure_message import Attempt
from usage_store.migrate.files.migration import Step
from usage_store.migrate.record.recorded_ddl import as_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from types import ModuleType

    from usage_store.engines.interface.watch_and_meter import Alone
    from usage_store.migrate.files.load_file import Loaded
    from usage_store.migrate.files.migration import Direction, Migration
    from usage_store.migrate.record.files_history_and_log import Records

logger = logging.getLogger("usage_store.migrate")


class Execution:
    """One run, in one direction. Create and use it inside the engine's `alone()` block, whose value is `alone`."""

    def __init__(
        self,
        records: Records,
        direction: Direction,
        alone: Alone,
        on_step: Callable[[Step], None],
        back_up: Callable[[int], None] | None = None,
        on_progress: Callable[[str, int, int], None] = lambda _what, _done, _total: None,
        wait: float = 0,
    ) -> None:
        self.records = records
        self.direction = direction
        self.on_step = on_step
        self.on_progress = on_progress
        self.done: list[Step] = []
        self._told: set[str] = set()
        self._database, self._engine = records.database, records.engine
        self._name = self._engine.name_of(self._database)
        self._alone = alone
        self._back_up = back_up
        self._wait = wait  # seconds for which a migration is repeated that was in the way of others
        self.migrator: Any = self._engine.schema.migrator_for(self._database)
        self._fingerprint = self._engine.Fingerprint(self._database)
        self._followed = False  # whether the fingerprint has read the schema as it was before this migration
        self._watch = self._engine.migrating.Watch(self._database, self._fingerprint, alone)
        self._watch.look()  # first, so that writes of others from now on are noticed later
        self.applied = records.history.applied()
        self._watch.own = records.tables()
        self._versions = {row.version for row in self.applied}
        self._brought = records.brought() or {}
        self._own = frozenset(table.lower() for table in self._watch.own)

    @property
    def violations(self) -> tuple[str, ...]:
        """The foreign-key violations that existed when the history was read."""
        return self._watch.violations

    def run(self, plan: Sequence[Loaded]) -> tuple[Step, ...]:
        """Run a plan and return the steps that were taken. An error that stops the run has them as `applied`."""
        try:
            with migration_errors_too():
                self._check_integrity()
                for loaded in plan:
                    self._step(loaded)
                self._check_integrity()
        except MigrationError as error:
            error.applied = tuple(self.done)
            raise
        return tuple(self.done)

    def _check_integrity(self) -> None:
        for found in self._engine.damage(self._database, on_unchecked=self._tell_once):
            raise CorruptDatabase(f"the database is corrupt ({found}); restore a backup before migrating")

    def _tell_once(self, line: str) -> None:
        if line not in self._told:
            logger.warning("%s", line)
            self._told.add(line)

    def _step(self, loaded: Loaded) -> None:
        started, tries = time.perf_counter(), 1
        while (pause := self._pause_before_the_next_try(loaded, started, tries)) is not None:
            time.sleep(pause)
            tries += 1

    def _pause_before_the_next_try(self, loaded: Loaded, began: float, tries: int) -> float | None:
        """Run a migration once. Return None if it is done, or the seconds to wait before the whole of it is repeated.

        It is repeated only if it was rolled back because others were in the way, and only as long as the run may wait.
        """
        started = time.perf_counter()
        attempt = Attempt(loaded.migration, self.direction, self._engine, atomic=loaded.atomic)
        try:
            with attempt.noting(self._database):
                ran = (self._inside if loaded.atomic else self._outside)(loaded, attempt, started)
        except BackupFailed:
            raise
        except (Exception, SystemExit) as error:
            first = self._watch.failed or attempt.error or error
            pause = self._engine.migrating.retry_after(first, tries) if loaded.atomic else None
            if pause is None:
                if isinstance(error, MigrationLocked):
                    raise
                raise attempt.failure(error, self.done) from (attempt.error or error)
            if time.perf_counter() - began + pause >= self._wait:
                raise attempt.in_the_way(first, self._wait, self.done) from first
            logger.info("%s was in the way of others and was rolled back; it is repeated", loaded.migration)
            self._followed = False
            self._watch.look()  # what was rolled back is not there
            return pause
        if ran:
            self._tell(Step(loaded.migration, self.direction, time.perf_counter() - started))
        return None

    def _tell(self, step: Step) -> None:
        self.done.append(step)
        verb = "applied" if self.direction == "up" else "rolled back"
        logger.info("%s %s in %.1f ms", verb, step.migration, step.seconds * 1000)
        self.on_step(step)

    def _inside(self, loaded: Loaded, attempt: Attempt, started: float) -> bool:
        with self._begin():
            self._check_lock()
            if not self._wanted(loaded.migration):
                return False
            self._follow_schema()
            self._back_up_once(loaded)
            self._watch.remember()
            try:
                with self._watch.inside():
                    self._call(loaded.module, attempt)
            finally:
                attempt.refused = self._watch.refused
            faults = self._watch.faults(loaded.deletes, loaded.drops, undoing=self.direction == "down")
            if faults:
                raise GuardTripped("; ".join(faults))
            self._finish(loaded, started, partly=self._watch.knows_changes)
        return True

    def _outside(self, loaded: Loaded, attempt: Attempt, started: float) -> bool:
        with self._begin():
            self._check_lock()
            if not self._wanted(loaded.migration):
                return False
            self._follow_schema()
            self._back_up_once(loaded)
        try:
            with self._watch.outside(loaded.deletes, undoing=self.direction == "down"):
                self._call(loaded.module, attempt)
        finally:
            attempt.refused, attempt.left = self._watch.refused, self._watch.left
            left_open = self._engine.migrating.roll_back_if_open(self._database)
            self._alone.set_up()  # the migration may have changed the settings, or connected again
        if left_open:
            raise GuardTripped("it left a transaction open, which was rolled back")
        with self._begin():
            faults = self._watch.faults_outside()
            if faults:
                raise GuardTripped("; ".join(faults))
            if not self._wanted(loaded.migration):
                raise GuardTripped("another run ended the same migration meanwhile, so it may have run twice")
            self._finish(loaded, started, partly=False)
        return True

    def _begin(self) -> AbstractContextManager[None]:
        return self._engine.migrating.transaction(self._database, self._begin_and_commit)

    @contextmanager
    def _begin_and_commit(self) -> Iterator[None]:
        """Report an error of BEGIN or COMMIT as an error of the database. Errors between them are the migration's."""
        with migration_errors_too(), self._engine.readable_errors(self._name):
            yield

    def _check_lock(self) -> None:
        with migration_errors_too():
            self._alone.check_lock()

    def _wanted(self, migration: Migration) -> bool:
        """Return whether the migration is still to be run. Reads the history again if another process wrote."""
        with migration_errors_too():
            wrote = self._watch.others_wrote()
        if wrote:
            self._watch.look()
            self._versions = {row.version for row in self.records.history.applied()}
            self._followed = False
        return (migration.version in self._versions) is (self.direction == "down")

    def _follow_schema(self) -> None:
        """Read the schema as it is before a migration, in the first transaction of that migration."""
        if not self._followed:
            self._fingerprint.read()
            self._followed = True

    def _back_up_once(self, loaded: Loaded) -> None:
        """Back up before the first step that may lose rows. The write lock is held, and nothing was written yet."""
        if self._back_up is not None and (loaded.deletes or loaded.drops or self.direction == "down"):
            self._back_up(max(self._versions, default=0))
            self._back_up = None

    def _call(self, module: ModuleType, attempt: Attempt) -> None:
        self.migrator.on_progress = lambda done, total: self.on_progress(f"rows in {attempt.migration}", done, total)
        attempt.call(module, self.migrator, self._database)

    def _finish(self, loaded: Loaded, started: float, *, partly: bool) -> None:
        records, migration = self.records, loaded.migration
        made = not self.done and not records.exist()
        if made:
            records.create()
        if self.direction == "up":
            records.history.record(migration)
            self._versions.add(migration.version)
        else:
            records.history.forget(migration)
            self._versions.discard(migration.version)
        fingerprint = self._fingerprint.read(partly=partly and not made)
        self._followed = True
        ddl = None
        if migration.version not in self._brought:
            ddl = as_text(self._fingerprint.changes.without(self._own), loaded.optional)
        seconds = time.perf_counter() - started
        records.log.append(migration, self.direction, seconds, loaded.source, fingerprint, ddl)
