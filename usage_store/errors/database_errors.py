"""Errors of the database itself: locked, full, corrupt, read-only, unreadable, replaced.

Those that the database reports are peewee's errors, too: `except peewee.OperationalError` catches them.
"""

from __future__ import annotations

import peewee

from usage_store.errors.base import UsageStoreError


class DatabaseError(UsageStoreError):
    """The database cannot do what was asked, whatever the input."""

    exit_code = 8
    orig: Exception | None = None  # the driver's error, as peewee's errors have it


class _DatabaseError(DatabaseError):
    """The first base of the others. peewee would replace an error whose first base is called DatabaseError."""


class DatabaseUnreadable(_DatabaseError, peewee.OperationalError):
    """The database cannot be used: it is missing, not a database, or out of reach.

    A database that is corrupt, full or read-only raises a subclass of this error.
    """


class CorruptDatabase(DatabaseUnreadable):
    """SQLite or the server found damage in its files."""


class DatabaseFull(DatabaseUnreadable):
    """The disk is full, or the database has reached its largest size. The statement wrote nothing."""


class NotEnoughDisk(DatabaseFull):
    """The disk has less free space than the work may need. The work was not begun."""


class ReadOnlyDatabase(DatabaseUnreadable):
    """The database was opened only to read, this user may not write the file, or the server accepts no writes.

    Nothing was written.
    """


class DatabaseLocked(_DatabaseError, peewee.OperationalError):
    """Another connection held a lock for longer than the timeout. The statement wrote nothing; try again."""

    exit_code = 6


class DatabaseReplaced(_DatabaseError):
    """The file that was opened is no longer at its path, so nobody would find what is written to it."""


class ForkedConnection(_DatabaseError):
    """The file was open when this process was forked, or the connection to the server was in a transaction.

    SQLite's locks do not survive a fork, and the server's session belongs to the parent process.
    """


class DamagedSnapshot(_DatabaseError):
    """The text of a snapshot cannot be read: its block is missing or broken, or the text is not UTF-8."""


class TransactionOpen(_DatabaseError):
    """The work needs transactions of its own, and a transaction is open on this connection."""

    exit_code = 2
