"""What is known of a migration that fails, as one line: where, what, the statement, and what stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.errors import DatabaseUnreadable, DiskFailed, MigrationFailed, NotEnoughDisk
from usage_store.migrate.files import migration

if TYPE_CHECKING:
    from collections.abc import Sequence

    import peewee

    from usage_store.migrate.files.migration import Direction, Migration, Step


class Attempt:
    """One try at a migration: collects what its error message needs."""

    def __init__(self, migration: Migration, direction: Direction, *, atomic: bool) -> None:
        self.migration = migration
        self.direction = direction
        self.atomic = atomic
        self.error: BaseException | None = None
        self.refused: str | None = None
        self._failed: peewee.QueryEvent | None = None

    def note(self, event: peewee.QueryEvent) -> None:
        """Remember the statement that failed last (a peewee query hook)."""
        if event.exception is not None:
            self._failed = event

    def _statement(self) -> str | None:
        # Only if its error is the one that ended the migration, which may have handled another one.
        if self._failed is None or self._failed.exception not in (self.error, getattr(self.error, "__cause__", None)):
            return None
        return " ".join(self._failed.sql.split())

    def failure(self, error: BaseException, done: Sequence[Step]) -> MigrationFailed:
        """Make the error to raise; the first that the migration raised counts, not what came of it."""
        first = self.error or error
        line = migration.line_in(first, migration.file_name_of(self.migration))
        where = self.migration.file_name if line is None else f"{self.migration.file_name}, line {line}"
        parts = [f"{where}: {self.refused or f'{type(first).__name__}: {first}'}"]
        statement = self._statement()
        if statement is not None:
            parts.append(f"statement: {statement}")
        parts.append("rolled back" if self.atomic else "it ran with atomic = False, so its effects stay")
        verb = "applied" if self.direction == "up" else "rolled back"
        parts.append(f"{verb} before it: " + (", ".join(str(step.migration) for step in done) or "nothing"))
        kind = DiskFailed if _is_the_disk(first) else MigrationFailed
        return kind(
            "; ".join(parts), version=self.migration.version, line=line, statement=statement, applied=tuple(done)
        )


def _is_the_disk(error: BaseException) -> bool:
    code = getattr(getattr(error, "orig", error), "sqlite_errorname", "")
    known = isinstance(error, (DatabaseUnreadable, NotEnoughDisk))
    return known or code.startswith(("SQLITE_FULL", "SQLITE_IOERR"))
