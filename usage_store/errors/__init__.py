"""Every error of this package, one tree under UsageStoreError.

There are three subjects: `RejectedInput` for bad input, `DatabaseError` for a database that is locked, full, corrupt or
unreadable, and `MigrationError` for migrations. `ConfigurationError` is for a wrong call. `exit_code` is the exit code
of a command that ends with the error.
"""

from __future__ import annotations

from usage_store.errors.base import CannotFill, ConfigurationError, UsageStoreError
from usage_store.errors.database_errors import (
    CorruptDatabase,
    DamagedSnapshot,
    DatabaseError,
    DatabaseFull,
    DatabaseLocked,
    DatabaseReplaced,
    DatabaseUnreadable,
    ForkedConnection,
    NotEnoughDisk,
    ReadOnlyDatabase,
    TransactionOpen,
)
from usage_store.errors.migration_errors import (
    BackupFailed,
    ChangeRefused,
    DatabaseNewer,
    DuplicateVersion,
    EditedMigration,
    ForeignKeyViolations,
    GuardTripped,
    HistoryError,
    ImpossibleChange,
    Irreversible,
    LateMigration,
    LoadError,
    MalformedMigration,
    MigrationError,
    MigrationFailed,
    MigrationsPending,
    MissingMigration,
    RegistryError,
    RenamedMigration,
    RowsDoNotFit,
    SchemaDrift,
    UnknownColumn,
)
from usage_store.errors.raised_by_a_run import DatabaseFailed, DiskFailed, MigrationLocked
from usage_store.errors.rejected_input import (
    InvalidValue,
    NoActiveConfiguration,
    RejectedInput,
    UnknownField,
    UnknownSession,
)

__all__ = [
    "BackupFailed",
    "CannotFill",
    "ChangeRefused",
    "ConfigurationError",
    "CorruptDatabase",
    "DamagedSnapshot",
    "DatabaseError",
    "DatabaseFailed",
    "DatabaseFull",
    "DatabaseLocked",
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
    "MigrationsPending",
    "MissingMigration",
    "NoActiveConfiguration",
    "NotEnoughDisk",
    "ReadOnlyDatabase",
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

for _error in map(globals().__getitem__, __all__):
    _error.__module__ = __name__  # tracebacks show the public name
