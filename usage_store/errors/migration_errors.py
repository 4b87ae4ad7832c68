"""Errors of migrations: their files, their history, their plan and their run."""

from __future__ import annotations

from typing import Any, Protocol

import peewee

from usage_store.errors.base import UsageStoreError


class AppliedStep(Protocol):
    """A migration that was committed before the error."""

    @property
    def migration(self) -> Any:
        """The migration."""

    @property
    def direction(self) -> str:
        """The direction in which it ran: "up" or "down"."""

    @property
    def seconds(self) -> float:
        """How long it took, in seconds."""


class MigrationError(UsageStoreError):
    """A migration could not be found, planned or run.

    `applied` holds the steps that were committed before the error, oldest first.
    """

    applied: tuple[AppliedStep, ...] = ()


class RegistryError(MigrationError):
    """The migration files cannot be used as they are."""


class DuplicateVersion(RegistryError):
    """Two files claim the same version."""


class MalformedMigration(RegistryError):
    """The name or the content of a file is not that of a migration."""


class LoadError(RegistryError):
    """Python cannot load a migration file."""


class ChangeRefused(MigrationError):
    """The database cannot change a table as asked, or the change would lose something; nothing was changed."""

    orig: Exception | None = None  # the driver's error, as peewee's errors have it


# playhouse raises OperationalError on SQLite, and ProgrammingError on PostgreSQL, for "it exists already". Code that
# catches that must not catch RowsDoNotFit.
class ImpossibleChange(ChangeRefused, peewee.OperationalError, peewee.ProgrammingError):
    """The database refuses the change: its object exists already, is in use or is not an ordinary table."""


class UnknownColumn(ImpossibleChange, ValueError):
    """The column or table to change does not exist."""


class RowsDoNotFit(ChangeRefused, peewee.IntegrityError, peewee.DataError):
    """Rows of the table do not fit the change."""


class Irreversible(MigrationError):
    """A rollback meets a migration that has no `down`."""


class HistoryError(MigrationError):
    """The history in the database and the migration files do not fit together."""

    exit_code = 3

    def __init__(self, message: str, *, version: int | None = None) -> None:
        super().__init__(message)
        self.version = version


class MissingMigration(HistoryError):
    """The file of an applied version is missing."""


class RenamedMigration(HistoryError):
    """The file of an applied version has another name now."""


class LateMigration(HistoryError):
    """A pending version is lower than one that is applied."""


class DatabaseNewer(HistoryError):
    """The database has newer migrations than the files."""

    exit_code = 5


class EditedMigration(HistoryError):
    """The file of an applied migration does something else now; `diff` shows the change as a unified diff."""

    def __init__(self, message: str, *, version: int, diff: str) -> None:
        super().__init__(message, version=version)
        self.diff = diff


class GuardTripped(MigrationError):
    """A migration did something forbidden, or lost something without declaring it."""


class SchemaDrift(MigrationError):
    """The schema is not the one that the applied migrations make."""

    exit_code = 4


class ForeignKeyViolations(SchemaDrift):
    """Rows refer to rows that do not exist."""


class MigrationsPending(MigrationError):
    """Migrations are pending, and the database was opened for reading only."""

    exit_code = 1


class BackupFailed(MigrationError):
    """The backup before a migration could not be made, so the migration was not run; `__cause__` says why."""

    exit_code = 8


class MigrationFailed(MigrationError):
    """A migration raised an error and was rolled back; `__cause__` is that error."""

    exit_code = 7

    def __init__(
        self, message: str, *, version: int, line: int | None, statement: str | None, applied: tuple[AppliedStep, ...]
    ) -> None:
        super().__init__(message)
        self.version = version
        self.line = line
        self.statement = statement
        self.applied = applied
