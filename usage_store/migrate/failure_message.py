"""Describe a failed migration in one line: the place, the error, the statement, and what was kept."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Coroutine, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from usage_store.errors import (
    DatabaseError,
    DatabaseFailed,
    DatabaseLocked,
    DatabaseUnreadable,
    DiskFailed,
    GuardTripped,
    MigrationFailed,
)
from usage_store.errors.raised_by_a_run import MigrationLocked
from usage_store.migrate.files.migration import file_name_of, line_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

    import peewee
    from playhouse.migrate import SchemaMigrator

    from usage_store.engines.interface.engine import Engine
    from usage_store.migrate.files.migration import Direction, Migration, Step


class Attempt:
    """One attempt to run a migration. It collects the parts of the error message."""

    def __init__(self, migration: Migration, direction: Direction, engine: Engine[Any], *, atomic: bool) -> None:
        self.migration = migration
        self.direction = direction
        self.engine = engine
        self.atomic = atomic
        self.error: BaseException | None = None
        self.refused: str | None = None
        self.left: tuple[str, ...] = ()  # what it left behind, although it failed
        self._failed: peewee.QueryEvent | None = None
        self._database: peewee.Database | None = None

    @contextmanager
    def noting(self, database: peewee.Database) -> Iterator[None]:
        """Remember the last statement that fails in the block."""
        self._database = database
        database.query_hooks.append(self._note)
        try:
            yield
        finally:
            database.query_hooks.remove(self._note)

    def _note(self, event: peewee.QueryEvent) -> None:
        if event.exception is not None:
            self._failed = event

    def call(self, module: ModuleType, migrator: SchemaMigrator, database: peewee.Database) -> None:
        """Call the `up` or `down` of the migration, and remember the error that it raises.

        Raises GuardTripped if the function returns a coroutine or a generator, because its code would never run.
        """
        try:
            result = getattr(module, self.direction)(migrator, database)
            if result is not None and isinstance(result, (Awaitable, AsyncGenerator, Generator)):
                _discard(result)
                kind = type(result).__name__
                said = f"{self.direction} returned a {kind}, which never runs; use a plain def without yield"
                raise GuardTripped(said)  # noqa: TRY301
        except (Exception, SystemExit) as error:
            self.error = error
            raise

    def _statement(self) -> str | None:
        # The statement is shown only if its error ended the migration: a migration may handle other errors itself.
        if self._failed is None or self._failed.exception not in (self.error, getattr(self.error, "__cause__", None)):
            return None
        return " ".join(self._failed.sql.split())

    def in_the_way(self, error: BaseException, wait: float, done: Sequence[Step]) -> MigrationLocked:
        """Return the error to raise if others were in the way for as long as the run may wait."""
        said = f"{type(error).__name__}: {_line(error)}"
        parts = [f"{self.migration.file_name}: others were in its way for {wait:g} s ({said})"]
        if self._failed is not None:
            parts.append(f"statement: {' '.join(self._failed.sql.split())}")
        parts += ["rolled back", self._done_before(done)]
        return MigrationLocked("; ".join(parts))

    def _done_before(self, done: Sequence[Step]) -> str:
        verb = "applied" if self.direction == "up" else "rolled back"
        return f"{verb} before it: " + (", ".join(str(step.migration) for step in done) or "nothing")

    def failure(self, error: BaseException, done: Sequence[Step]) -> MigrationFailed:
        """Return the error to raise. If the migration raised an error, that error is shown, not a later one."""
        first = self.error or error
        line = line_in(first, file_name_of(self.migration))
        where = self.migration.file_name if line is None else f"{self.migration.file_name}, line {line}"
        blamed = None if self.refused else self._of_the_server(first)
        told = blamed or first
        parts = [f"{where}: {self.refused or f'{type(told).__name__}: {_line(told)}'}"]
        statement = self._statement()
        if statement is not None:
            parts.append(f"statement: {statement}")
        parts.append("rolled back" if self.atomic else "it ran with atomic = False, so its effects stay")
        parts += self.left
        parts.append(self._done_before(done))
        if self.direction == "up" and "already exists" in str(first).partition("\n")[0]:
            stamp = f"`usage-store migrate stamp {self.migration.version}`"
            parts.append(f"if the database has it since before its first migration, {stamp} records it as applied")
        kind = DiskFailed if self._is_the_disk(first) else DatabaseFailed if blamed else MigrationFailed
        return kind(
            "; ".join(parts), version=self.migration.version, line=line, statement=statement, applied=tuple(done)
        )

    def _of_the_server(self, error: BaseException) -> DatabaseError | None:
        """Return the error of a server that is to blame for an error of a statement, or None."""
        if not self.engine.ON_A_SERVER or self._database is None:
            return None
        if isinstance(error, Exception) and getattr(error, "orig", None) is not None:
            try:
                self.engine.raise_of_a_statement(error, self.engine.name_of(self._database))
            except DatabaseLocked:
                return None
            except DatabaseError as known:
                return known
            except Exception as same:
                if same is not error:
                    raise
        return None

    def _is_the_disk(self, error: BaseException) -> bool:
        if self.error is not None and getattr(error, "orig", None) is not None:
            return self.engine.is_disk_failure(error)  # a statement of the migration raised it
        return isinstance(error, DatabaseUnreadable) or self.engine.is_disk_failure(error)


def _line(error: BaseException) -> str:
    """Return the text of an error; of one of a server, whose further lines repeat the statement, the first line."""
    return str(error).partition("\n")[0] if getattr(error, "orig", None) is not None else str(error)


def _discard(result: object) -> None:
    if isinstance(result, Coroutine):
        result.close()  # without this, Python warns that the coroutine was never awaited
