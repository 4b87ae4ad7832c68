"""What SQLite says of a broken or locked file, in one line."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import peewee

from usage_store.engines.sqlite.connection.driver import driver_errors
from usage_store.engines.sqlite.connection.lacking_functions import HINT, is_lacking
from usage_store.errors import DatabaseUnreadable, MigrationLocked, UsageStoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

CANNOT_OPEN = "cannot be opened; does its folder exist, and may this user write there?"
_UNREADABLE = {
    "SQLITE_NOTADB": "not a database",
    "SQLITE_CORRUPT": "the database is corrupt; restore a backup, or save what can be read (README: Troubleshooting)",
    "SQLITE_CANTOPEN": CANNOT_OPEN,
    "SQLITE_READONLY_ROLLBACK": "has a hot journal, of a writer that died; a user who may write must open it once",
    "SQLITE_READONLY": "read-only for this user",
    "SQLITE_PERM": "access denied",
    "SQLITE_AUTH": "access denied",
    "SQLITE_FULL": "the disk is full",
    "SQLITE_IOERR": "the disk failed to read or write",
}
# Of a backup, drivers other than the standard library's raise SQLite's text alone (sqlite3ErrStr in its main.c).
_SAID = {
    "attempt to write a readonly database": "SQLITE_READONLY",
    "database disk image is malformed": "SQLITE_CORRUPT",
    "database is locked": "SQLITE_BUSY",
    "database or disk is full": "SQLITE_FULL",
    "database table is locked": "SQLITE_LOCKED",
    "disk I/O error": "SQLITE_IOERR",
    "file is not a database": "SQLITE_NOTADB",
}


@contextmanager
def readable_errors(name: str, *, reading: bool = False) -> Iterator[None]:
    """Turn what SQLite says of a broken or locked file into DatabaseUnreadable or MigrationLocked, in one line.

    `reading` says that the block does not try to write.
    """
    try:
        yield
    # peewee leaves alone what fetching a row raises, and so does Python what SQLite quotes of a damaged schema.
    except driver_errors(peewee.DatabaseError, UnicodeDecodeError) as error:
        known = _translate(error, name, reading=reading)
        if known is None:
            raise
        raise known from error


def is_disk_failure(error: BaseException) -> bool:
    """Tell whether an error says that the disk is full or fails."""
    return _code(error).startswith(("SQLITE_FULL", "SQLITE_IOERR"))


def is_locked(error: BaseException) -> bool:
    """Tell whether an error says that another connection holds a lock."""
    return _code(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def is_damage(error: BaseException | None) -> bool:
    """Tell whether an error says that the file is no database, or a corrupt one."""
    return error is not None and _code(error).startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")) and not is_lacking(error)


def _code(error: BaseException) -> str:
    first = getattr(error, "orig", error)
    return getattr(first, "sqlite_errorname", None) or _SAID.get(str(first), "")


def _translate(error: Exception, name: str, *, reading: bool) -> UsageStoreError | None:
    code = _code(error)
    if is_locked(error):
        return MigrationLocked(f"{name}: another process holds the database's lock; try again, or wait longer (--wait)")
    if is_lacking(error):  # of a schema that cannot be read for it, SQLite says SQLITE_CORRUPT
        return DatabaseUnreadable(f"{name}: {error}; {HINT}")
    if code == "SQLITE_READONLY" and reading and os.path.exists(f"{name}-journal"):
        code = "SQLITE_READONLY_ROLLBACK"  # drivers other than the standard library's give the first half alone
    for prefix, meaning in _UNREADABLE.items():
        if code.startswith(prefix):
            return DatabaseUnreadable(f"{name}: {meaning} ({error})")
    if isinstance(error, UnicodeDecodeError) or "Could not decode to UTF-8" in str(error):
        return DatabaseUnreadable(f"{name}: holds text that is not UTF-8 ({error})")
    return None
