"""Every error of this package, one tree under UsageStoreError.

`exit_code` is what `python -m usage_store.migrate` exits with when the error reaches it.
"""

from __future__ import annotations

import copyreg
from typing import Any, ClassVar, Protocol

import peewee

__all__ = [
    "BackupFailed",
    "ChangeRefused",
    "ConfigurationError",
    "CorruptDatabase",
    "DamagedSnapshot",
    "DatabaseNewer",
    "DatabaseReplaced",
    "DatabaseUnreadable",
    "DiskFailed",
    "DuplicateVersion",
    "EditedMigration",
    "ForeignKeyViolations",
    "ForkedConnection",
    "GuardTripped",
    "HistoryError",
    "ImpossibleChange",
    "InvalidValue",
    "Irreversible",
    "LateMigration",
    "LoadError",
    "MalformedMigration",
    "MigrationError",
    "MigrationFailed",
    "MigrationLocked",
    "MissingMigration",
    "NoActiveConfiguration",
    "NotEnoughDisk",
    "RegistryError",
    "RejectedInput",
    "RenamedMigration",
    "RowsDoNotFit",
    "SchemaDrift",
    "TransactionOpen",
    "UnknownColumn",
    "UnknownField",
    "UnknownSession",
    "UsageStoreError",
]


class UsageStoreError(Exception):
    """Anything that usage_store raises on purpose."""

    exit_code: ClassVar[int] = 2

    def __reduce__(self) -> tuple[Any, ...]:
        """Let it be copied and sent to another process, whatever its class is made from."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]  # as pickle does


class ConfigurationError(UsageStoreError):
    """A path, URL, option or engine that cannot be used."""


class DatabaseUnreadable(UsageStoreError):
    """The database is missing, not a database, read-only, full or out of reach."""

    exit_code = 8


class DatabaseReplaced(UsageStoreError):
    """The file that was opened is not at its path any more: what would be written to it, nobody would find."""

    exit_code = 8


class ForkedConnection(UsageStoreError):
    """A database file that was open when this process was forked, which SQLite's locks do not survive."""

    exit_code = 8


class DamagedSnapshot(UsageStoreError):
    """A compacted snapshot whose block is gone or broken."""

    exit_code = 8


class RejectedInput(UsageStoreError):
    """Input that was refused; nothing was written."""


class InvalidValue(RejectedInput):
    """A value that its field does not allow."""

    def __init__(self, field: str, value: Any, allowed: str) -> None:
        self.field = field
        self.value = value
        self.allowed = allowed
        super().__init__(f"{field}: {_shown(value)} is not allowed; allowed: {allowed}")


def _shown(value: Any) -> str:
    try:
        shown = repr(value)
    except (RecursionError, ValueError):  # nested too deeply, or an int of more digits than Python prints
        return f"a value of type {type(value).__name__}"
    if len(shown) > 80:  # noqa: PLR2004  one line, whatever the payload
        shown = f"{shown[:60]}... ({type(value).__name__}, {len(shown)} characters)"
    return shown


class UnknownField(RejectedInput):
    """A field that does not exist or is not the caller's to set."""

    def __init__(self, field: object, allowed: tuple[str, ...]) -> None:
        self.field = field
        self.allowed = allowed
        super().__init__(f"{field!r} is not a field that can be set; allowed: {', '.join(allowed)}")


class UnknownSession(RejectedInput):
    """A snapshot for a session that is not registered."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        super().__init__(f"session {session_id!r} is unknown; register_session() makes it known")


class NoActiveConfiguration(RejectedInput):
    """No configuration row is active."""

    def __init__(self) -> None:
        super().__init__("no configuration is active; reset_usage_config() makes one active, with the defaults")


class AppliedStep(Protocol):
    """A migration that was committed before an error: which, in which direction, in how many seconds."""

    @property
    def migration(self) -> Any:
        """The migration."""

    @property
    def direction(self) -> str:
        """Either "up" or "down"."""

    @property
    def seconds(self) -> float:
        """How long it took."""


class MigrationError(UsageStoreError):
    """A migration could not be found, planned or run.

    `applied` holds the steps that were committed before the error, oldest first.
    """

    applied: tuple[AppliedStep, ...] = ()


class RegistryError(MigrationError):
    """The migration files are not usable as they are."""


class DuplicateVersion(RegistryError):
    """Two files claim the same version."""


class MalformedMigration(RegistryError):
    """A file whose name or content is not a migration's."""


class LoadError(RegistryError):
    """A migration file that Python cannot load."""


class ChangeRefused(MigrationError):
    """A change of a table that SQLite cannot make or that would lose something; nothing was changed."""

    orig: Exception | None = None  # the driver's error, as peewee's errors have it


# An `except OperationalError` that means "it is there already", as playhouse raises it, must not catch RowsDoNotFit.
class ImpossibleChange(ChangeRefused, peewee.OperationalError):
    """A change that SQLite does not accept, or of what is there already, in use or not an ordinary table."""


class UnknownColumn(ImpossibleChange, ValueError):
    """A change of a column or table that does not exist."""


class RowsDoNotFit(ChangeRefused, peewee.IntegrityError):
    """A change that rows of the table do not fit."""


class Irreversible(MigrationError):
    """A rollback through a migration that has no `down`."""


class TransactionOpen(MigrationError):
    """Migrations asked for inside an open transaction."""


class HistoryError(MigrationError):
    """What the database says was applied does not fit the files."""

    exit_code = 3

    def __init__(self, message: str, *, version: int | None = None) -> None:
        super().__init__(message)
        self.version = version


class MissingMigration(HistoryError):
    """An applied version whose file is gone."""


class RenamedMigration(HistoryError):
    """An applied version whose file has another name."""


class LateMigration(HistoryError):
    """A pending version below one that is applied."""


class DatabaseNewer(HistoryError):
    """The database is ahead of the migration files."""

    exit_code = 5


class EditedMigration(HistoryError):
    """An applied migration whose file means something else now; `diff` shows what, as a unified diff."""

    def __init__(self, message: str, *, version: int, diff: str) -> None:
        super().__init__(message, version=version)
        self.diff = diff


class GuardTripped(MigrationError):
    """A migration did what no migration may do, or lost what it does not declare."""


class SchemaDrift(MigrationError):
    """The schema is not what the applied migrations make."""

    exit_code = 4


class ForeignKeyViolations(SchemaDrift):
    """Rows that point at rows that do not exist."""


class CorruptDatabase(MigrationError):
    """SQLite's own integrity check found damage."""

    exit_code = 8


class NotEnoughDisk(MigrationError):
    """The disk has less room than the work may need; nothing was written."""

    exit_code = 8


class BackupFailed(MigrationError):
    """The backup before a migration could not be made, so the migration was not run; `__cause__` says why."""

    exit_code = 8


class MigrationLocked(MigrationError):
    """Another process held the lock for longer than the wait."""

    exit_code = 6


class MigrationFailed(MigrationError):
    """A migration raised, and was rolled back; `__cause__` is what it raised."""

    exit_code = 7

    def __init__(
        self, message: str, *, version: int, line: int | None, statement: str | None, applied: tuple[AppliedStep, ...]
    ) -> None:
        super().__init__(message)
        self.version = version
        self.line = line
        self.statement = statement
        self.applied = applied


class DiskFailed(MigrationFailed):
    """A migration met a disk that is full or fails, and was rolled back; with room, the next run goes on from there."""

    exit_code = 8
