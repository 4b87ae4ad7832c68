"""Run migrations one by one, each in one transaction with its history row."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import peewee
from playhouse.migrate import SchemaMigrator

from usage_store.connection import readable_errors
from usage_store.errors import (
    CorruptDatabase,
    ForeignKeyViolations,
    MigrationError,
    MigrationFailed,
    MigrationLocked,
    TransactionOpen,
)
from usage_store.migrate import registry
from usage_store.migrate.guard import Guard, violations
from usage_store.migrate.locking import exclusive
from usage_store.migrate.registry import Step

if TYPE_CHECKING:
    import sqlite3
    from collections import Counter
    from collections.abc import Callable, Iterator, Sequence
    from types import ModuleType

    from usage_store.migrate.history import History
    from usage_store.migrate.registry import Direction, Migration

__all__ = ["Execution"]

logger = logging.getLogger("usage_store.migrate")

_FULL = 2  # PRAGMA synchronous: a migration's COMMIT reaches the disk before it returns


class Execution:
    """One run, in one direction. Use `run()` within `alone()`."""

    def __init__(
        self,
        database: peewee.SqliteDatabase,
        history: History,
        direction: Direction,
        on_step: Callable[[Step], None],
    ) -> None:
        self.database = database
        self.history = history
        self.direction = direction
        self.on_step = on_step
        self.done: list[Step] = []
        self._migrator = SchemaMigrator.from_database(database)
        self._seen_version: int | None = None
        self._versions: set[int] = set()
        self._violations: Counter[str]

    @contextmanager
    def alone(self, wait: float, on_wait: Callable[[str], None]) -> Iterator[None]:
        """Hold the migration lock, with foreign keys off and synchronous FULL; put both back afterwards.

        Foreign keys go off because DROP TABLE with them on deletes the rows of referencing tables
        (sqlite.org/foreignkeys.html), and off here because inside a transaction the pragma does nothing.
        """
        if self.database.in_transaction() or self._connection.in_transaction:
            raise TransactionOpen("migrations need transactions of their own; commit or leave the open one first")
        file = next(row[2] for row in self.database.execute_sql("PRAGMA database_list") if row[1] == "main")
        with exclusive(file, wait, on_wait):
            settings = {
                "foreign_keys": 0,
                "synchronous": max(_FULL, self.database.pragma("synchronous")),
                "busy_timeout": int(wait * 1000),
            }
            before = {name: self.database.pragma(name) for name in settings}
            try:
                for name, value in settings.items():
                    self.database.pragma(name, value)
                yield
            finally:
                for name, value in before.items():
                    self.database.pragma(name, value)

    def run(self, plan: Sequence[Migration]) -> tuple[Step, ...]:
        """Load all of a plan, then run it, and give the steps that were taken."""
        modules = [registry.load(migration, self.direction) for migration in plan]
        try:
            self._check_integrity()
            for migration, module in zip(plan, modules, strict=True):
                self._step(migration, module)
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

    def _step(self, migration: Migration, module: ModuleType) -> None:
        started = time.perf_counter()
        attempt = _Attempt()
        self.database.query_hooks.append(attempt.note)
        try:
            if getattr(module, "atomic", True):
                ran = self._in_transaction(migration, module, attempt)
            else:
                ran = self._outside_transaction(migration, module, attempt)
        except MigrationLocked:
            raise
        except Exception as error:  # noqa: BLE001  a migration may raise anything; it is raised on, with its place
            failure = attempt.failure(migration, module, self.done, error)
            logger.warning("rolled back %s: %s", migration, failure)
            raise failure from (attempt.error or error)
        finally:
            self.database.query_hooks.remove(attempt.note)
        if ran:
            step = Step(migration, self.direction, time.perf_counter() - started)
            self.done.append(step)
            verb = "applied" if self.direction == "up" else "rolled back"
            logger.info("%s %s in %.1f ms", verb, migration, step.seconds * 1000)
            self.on_step(step)

    def _in_transaction(self, migration: Migration, module: ModuleType, attempt: _Attempt) -> bool:
        with self._begin():
            if not self._wanted(migration):
                return False
            watch = Guard()
            try:
                with watch.watching(self._connection):
                    self._call(module, attempt)
            finally:
                attempt.refused = watch.refused
            if watch.refused:
                raise MigrationError(watch.refused)
            self._check_foreign_keys()
            self._write_history(migration)
        return True

    def _outside_transaction(self, migration: Migration, module: ModuleType, attempt: _Attempt) -> bool:
        with self._begin():
            if not self._wanted(migration):
                return False
        self._call(module, attempt)
        if self._connection.in_transaction:
            self._connection.rollback()
            raise MigrationError("left a transaction open, which was rolled back")
        with self._begin():
            self._check_foreign_keys()
            self._write_history(migration)
        return True

    @contextmanager
    def _begin(self) -> Iterator[None]:
        # IMMEDIATE: a deferred transaction that reads and then writes fails at once when another one has written.
        transaction = self.database.atomic("IMMEDIATE")
        with readable_errors(str(self.database.database)):
            transaction.__enter__()
        try:
            yield
        except BaseException as error:
            try:
                transaction.__exit__(type(error), error, error.__traceback__)
            except peewee.OperationalError:
                # SQLite has rolled back by itself, as it does on a full disk: the first error is the one to tell.
                if self._connection.in_transaction:
                    raise
            raise
        transaction.__exit__(None, None, None)

    def _wanted(self, migration: Migration) -> bool:
        """Tell whether nobody else ran the migration; the history is read again only if another process wrote."""
        seen = self.database.pragma("data_version")
        if seen != self._seen_version:
            self._versions = {row.version for row in self.history.applied()}
            self._violations = violations(self.database)
            for line in self._violations:
                logger.warning("before %s: %s", migration, line)
            self._seen_version = seen
        return (migration.version in self._versions) is (self.direction == "down")

    def _call(self, module: ModuleType, attempt: _Attempt) -> None:
        try:
            getattr(module, self.direction)(self._migrator, self.database)
        except Exception as error:
            attempt.error = error
            raise

    def _check_foreign_keys(self) -> None:
        after = violations(self.database)
        new = after - self._violations
        if new:
            raise ForeignKeyViolations("; ".join(f"{line} ({count})" for line, count in new.items()))
        self._violations = after

    def _write_history(self, migration: Migration) -> None:
        if self.direction == "up":
            if not self.done:
                self.history.create()
            self.history.record(migration)
            self._versions.add(migration.version)
        else:
            self.history.forget(migration)
            self._versions.discard(migration.version)


class _Attempt:
    """What is known of a migration that fails: the first error, the statement, what the guard refused."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.refused: str | None = None
        self.statement: str | None = None

    def note(self, event: peewee.QueryEvent) -> None:
        if event.exception is not None:
            self.statement = event.sql

    def failure(
        self, migration: Migration, module: ModuleType, done: Sequence[Step], error: Exception
    ) -> MigrationFailed:
        error = self.error or error
        line = registry.line_in(error, migration.path) if migration.path else None
        where = f"{migration}.py" if line is None else f"{migration}.py, line {line}"
        what = self.refused or f"{type(error).__name__}: {error}"
        statement = self.statement if self.error is not None else None
        parts = [f"{where}: {what}"]
        if statement is not None:
            parts.append(f"statement: {' '.join(statement.split())}")
        atomic = getattr(module, "atomic", True)
        parts.append("rolled back" if atomic else "it ran outside a transaction (atomic = False), so its effects stay")
        parts.append("applied before it: " + (", ".join(str(step.migration) for step in done) or "nothing"))
        return MigrationFailed(
            "; ".join(parts), version=migration.version, line=line, statement=statement, applied=tuple(done)
        )
