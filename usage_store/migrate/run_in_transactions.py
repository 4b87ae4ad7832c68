"""Run migrations one by one, each in one transaction with its history row."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from usage_store.engines.sqlite.connection.driver import main_file
from usage_store.engines.sqlite.connection.error_messages import readable_errors
from usage_store.engines.sqlite.connection.forks import keeping_its_connection
from usage_store.engines.sqlite.file.integrity_checks import violations
from usage_store.engines.sqlite.file.schema_hash import Fingerprint
from usage_store.engines.sqlite.file.write_transaction import write_transaction
from usage_store.engines.sqlite.migrating.forbidden_statements import ROLLED_BACK, Guard
from usage_store.engines.sqlite.migrating.lost_rows import Losses
from usage_store.engines.sqlite.migrating.migration_lock import exclusive
from usage_store.engines.sqlite.schema.schema_operations import migrator_for
from usage_store.errors import (
    BackupFailed,
    CorruptDatabase,
    DatabaseUnreadable,
    GuardTripped,
    MigrationError,
    MigrationLocked,
    TransactionOpen,
)
from usage_store.migrate.failure_message import Attempt
from usage_store.migrate.files.migration import Step

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import ModuleType

    import peewee

    from usage_store.migrate.files.load_file import Loaded
    from usage_store.migrate.files.migration import Direction, Migration
    from usage_store.migrate.record.history_table import History
    from usage_store.migrate.record.log_table import Log


logger = logging.getLogger("usage_store.migrate")

_FULL = 2  # PRAGMA synchronous: a migration's COMMIT reaches the disk before it returns


class Execution:
    """One run, in one direction. Use `run()` within `alone()`."""

    def __init__(
        self,
        database: peewee.SqliteDatabase,
        history: History,
        log: Log,
        direction: Direction,
        on_step: Callable[[Step], None],
        back_up: Callable[[int], None] | None = None,
        on_progress: Callable[[str, int, int], None] = lambda _what, _done, _total: None,
    ) -> None:
        self._back_up = back_up
        self.database = database
        self.history = history
        self.log = log
        self.direction = direction
        self.on_step = on_step
        self.on_progress = on_progress
        self.done: list[Step] = []
        self._migrator = migrator_for(database)
        self._seen_version: int | None = None
        self._versions: set[int] = set()
        self._violations: Counter[str]
        self._fingerprint = Fingerprint(database)
        self._followed = False  # whether the fingerprint knows the schema as it was before this migration
        self._losses: Losses
        self._settings: dict[str, int] = {}
        self._set_up: list[tuple[sqlite3.Connection, dict[str, int]]] = []  # and what was set there before

    @contextmanager
    def alone(self, wait: float, on_wait: Callable[[str], None]) -> Iterator[None]:
        """Hold the migration lock, with foreign keys off and synchronous FULL; put both back afterwards.

        Foreign keys go off because DROP TABLE with them on deletes the rows of referencing tables
        (sqlite.org/foreignkeys.html), and off here because inside a transaction the pragma does nothing.
        """
        if self.database.in_transaction() or self._connection.in_transaction:
            raise TransactionOpen("migrations need transactions of their own; commit or leave the open one first")
        file = main_file(self.database)
        if file and not os.access(file, os.W_OK):
            raise DatabaseUnreadable(f"{self.database.database}: read-only for this user")
        self._losses = Losses(self.database)
        # What is set on the connection holds until the end: another one would have foreign keys on.
        with exclusive(file, wait, on_wait), keeping_its_connection(self.database):
            self._settings = {
                "foreign_keys": 0,
                "synchronous": max(_FULL, self.database.pragma("synchronous")),
                "busy_timeout": int(wait * 1000),
            }
            try:
                self._set()
                yield
            finally:
                self._put_back()

    def _set(self) -> None:
        """Set the connection up, and remember how one was that is seen for the first time."""
        connection = self._connection
        if all(connection is not known for known, _ in self._set_up):
            before = {name: int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in self._settings}
            self._set_up.append((connection, before))
        _set_pragmas(connection, self._settings)

    def _put_back(self) -> None:
        for connection, before in self._set_up:
            with suppress(connection.ProgrammingError):  # it is closed; but from a pool, it may be in use again
                _set_pragmas(connection, before)
        self._set_up.clear()

    def applied(self) -> tuple[Migration, ...]:
        """Read the history, and which foreign keys are violated already, which is not the migrations' fault."""
        self._seen_version = self.database.pragma("data_version")  # first: what is written meanwhile shows up later
        applied = self.history.applied()
        self._versions = {row.version for row in applied}
        self._violations = violations(self.database)
        self._followed = False
        return applied

    @property
    def violations(self) -> tuple[str, ...]:
        """The violations of foreign keys that were there when the history was read."""
        return tuple(self._violations)

    def run(self, plan: Sequence[Loaded]) -> tuple[Step, ...]:
        """Run a plan and give the steps that were taken; the error that stops it carries them too."""
        try:
            self._check_integrity()
            for loaded in plan:
                self._step(loaded)
            self._check_integrity()
        except MigrationError as error:
            error.applied = tuple(self.done)
            raise
        return tuple(self.done)

    @property
    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection = self.database.connection()
        return connection

    def _check_integrity(self) -> None:
        (found,) = self.database.execute_sql("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise CorruptDatabase(f"the database is corrupt ({found}); restore a backup before migrating")

    def _step(self, loaded: Loaded) -> None:
        started = time.perf_counter()
        attempt = Attempt(loaded.migration, self.direction, atomic=loaded.atomic)
        self.database.query_hooks.append(attempt.note)
        try:
            ran = (self._inside if loaded.atomic else self._outside)(loaded, attempt, started)
        except (MigrationLocked, BackupFailed):
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001  a migration may raise anything; it is raised on
            raise attempt.failure(error, self.done) from (attempt.error or error)
        finally:
            self.database.query_hooks.remove(attempt.note)
        if ran:
            step = Step(loaded.migration, self.direction, time.perf_counter() - started)
            self.done.append(step)
            verb = "applied" if self.direction == "up" else "rolled back"
            logger.info("%s %s in %.1f ms", verb, step.migration, step.seconds * 1000)
            self.on_step(step)

    def _inside(self, loaded: Loaded, attempt: Attempt, started: float) -> bool:
        with self._begin():
            if not self._wanted(loaded.migration):
                return False
            self._back_up_once(loaded.module)
            self._losses.start()
            watch = Guard()
            try:
                with watch.watching(self._connection):
                    self._call(loaded.module, attempt)
            finally:
                attempt.refused = watch.refused
            if watch.refused or not self._connection.in_transaction:
                raise GuardTripped(watch.refused or ROLLED_BACK)
            self._check_foreign_keys(watch)
            lost = self._losses.find(watch, loaded.module, self.direction)
            if lost:
                raise GuardTripped("; ".join(lost))
            self._finish(loaded, started, only_added=watch.only_added)
        return True

    def _outside(self, loaded: Loaded, attempt: Attempt, started: float) -> bool:
        with self._begin():
            if not self._wanted(loaded.migration):
                return False
            self._back_up_once(loaded.module)
        try:
            self._call(loaded.module, attempt)
        finally:
            left_open = self._connection.in_transaction
            if left_open:
                self._connection.rollback()
            self._set()  # it may have set its own, or connected again
        if left_open:
            raise GuardTripped("it left a transaction open, which was rolled back")
        with self._begin():
            self._check_foreign_keys(None)
            self._finish(loaded, started, only_added=False)
        return True

    @contextmanager
    def _begin(self) -> Iterator[None]:
        # What BEGIN and COMMIT raise is the database's trouble; what comes between them is the migration's.
        with write_transaction(self.database, partial(readable_errors, str(self.database.database))):
            yield

    def _wanted(self, migration: Migration) -> bool:
        """Tell whether nobody else ran the migration; the history is read again only if another process wrote."""
        if self._seen_version != self._connection.execute("PRAGMA data_version").fetchone()[0]:
            self.applied()
        return (migration.version in self._versions) is (self.direction == "down")

    def _back_up_once(self, module: ModuleType) -> None:
        """Before the first step of a run that may lose rows; the write lock is held, and nothing is written yet."""
        declared = getattr(module, "deletes", ()) or getattr(module, "drops", ())
        if self._back_up is not None and (declared or self.direction == "down"):
            self._back_up(max(self._versions, default=0))
            self._back_up = None

    def _call(self, module: ModuleType, attempt: Attempt) -> None:
        self._migrator.on_progress = partial(self.on_progress, f"rows in {attempt.migration}")
        try:
            getattr(module, self.direction)(self._migrator, self.database)
        except (Exception, SystemExit) as error:
            attempt.error = error
            raise

    def _check_foreign_keys(self, watch: Guard | None) -> None:
        if watch is not None and watch.only_added:
            new = sum((violations(self.database, table) for table in watch.created), Counter[str]())
            self._violations += new
        else:
            found = violations(self.database)
            new = found - self._violations
            self._violations = found
        if new:
            raise GuardTripped("; ".join(f"{line} ({count})" for line, count in new.items()))

    def _finish(self, loaded: Loaded, started: float, *, only_added: bool) -> None:
        if not self.done:
            self.history.create()
            self.log.create()
        migration = loaded.migration
        if self.direction == "up":
            self.history.record(migration)
            self._versions.add(migration.version)
        else:
            self.history.forget(migration)
            self._versions.discard(migration.version)
        fingerprint = self._fingerprint.read(only_added=self._followed and only_added)
        self._followed = True
        self.log.append(migration, self.direction, time.perf_counter() - started, loaded.source, fingerprint)


def _set_pragmas(connection: sqlite3.Connection, pragmas: Mapping[str, int]) -> None:
    for name, value in pragmas.items():
        connection.execute(f"PRAGMA {name} = {value}").fetchall()
