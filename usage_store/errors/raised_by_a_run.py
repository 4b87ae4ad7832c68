"""Errors of the database that a run of migrations met: they are MigrationErrors, too.

In earlier releases a locked or corrupt database was a MigrationError. In this release `except MigrationError` around a
run still catches it. New code catches DatabaseError, which works everywhere.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from usage_store.errors import database_errors
from usage_store.errors.migration_errors import MigrationError, MigrationFailed

if TYPE_CHECKING:
    from collections.abc import Iterator


class MigrationLocked(database_errors.DatabaseLocked, MigrationError):
    """Another connection held the lock for longer than the wait."""


class DiskFailed(MigrationFailed, database_errors.DatabaseFull):
    """The disk was full or failed during a migration, which was rolled back. Free disk space, and run it again."""

    exit_code = 8


class DatabaseFailed(MigrationFailed, database_errors.DatabaseUnreadable):
    """The server refused or ended a migration: a right is missing, or the connection was lost. It was rolled back."""

    exit_code = 8


class DatabaseUnreadable(database_errors.DatabaseUnreadable, MigrationError):
    """The same error, met by a run."""


class CorruptDatabase(database_errors.CorruptDatabase, MigrationError):
    """The same error, met by a run."""


class DatabaseFull(database_errors.DatabaseFull, MigrationError):
    """The same error, met by a run."""


class NotEnoughDisk(database_errors.NotEnoughDisk, MigrationError):
    """The same error, met by a run."""


class ReadOnlyDatabase(database_errors.ReadOnlyDatabase, MigrationError):
    """The same error, met by a run."""


class DatabaseReplaced(database_errors.DatabaseReplaced, MigrationError):
    """The same error, met by a run."""


class ForkedConnection(database_errors.ForkedConnection, MigrationError):
    """The same error, met by a run."""


class TransactionOpen(database_errors.TransactionOpen, MigrationError):
    """The same error, met by a run."""


_IN_A_RUN: dict[type[database_errors.DatabaseError], type[database_errors.DatabaseError]] = {
    database_errors.DatabaseLocked: MigrationLocked,
    database_errors.DatabaseUnreadable: DatabaseUnreadable,
    database_errors.CorruptDatabase: CorruptDatabase,
    database_errors.DatabaseFull: DatabaseFull,
    database_errors.NotEnoughDisk: NotEnoughDisk,
    database_errors.ReadOnlyDatabase: ReadOnlyDatabase,
    database_errors.DatabaseReplaced: DatabaseReplaced,
    database_errors.ForkedConnection: ForkedConnection,
    database_errors.TransactionOpen: TransactionOpen,
}


@contextmanager
def migration_errors_too() -> Iterator[None]:
    """Raise a DatabaseError of the block as an error that is a MigrationError, too. Message and cause stay the same."""
    try:
        yield
    except database_errors.DatabaseError as error:
        error.__class__ = _IN_A_RUN.get(type(error), type(error))
        raise
