"""Turn SQLite's errors of a broken, full or locked file into errors of this package with a message of one line."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import peewee

from usage_store.engines.sqlite.connection.driver import driver_errors
from usage_store.engines.sqlite.connection.lacking_functions import HINT, is_lacking
from usage_store.errors import (
    CorruptDatabase,
    DatabaseError,
    DatabaseFull,
    DatabaseLocked,
    DatabaseUnreadable,
    ReadOnlyDatabase,
    UsageStoreError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

CANNOT_OPEN = "cannot be opened; does its folder exist, and may this user write there?"
OPENED_TO_READ = "was opened for reading only, so nothing can be written to it"
_LOCKED = (
    "another process holds the database's lock; try again, or wait longer (--wait, or `timeout` and `wait` of "
    "init_database())"
)
_KINDS: dict[str, tuple[type[DatabaseError], str]] = {
    "SQLITE_BUSY": (DatabaseLocked, _LOCKED),
    "SQLITE_LOCKED": (DatabaseLocked, _LOCKED),
    "SQLITE_NOTADB": (DatabaseUnreadable, "not a database"),
    "SQLITE_CORRUPT": (
        CorruptDatabase,
        "the database is corrupt; restore a backup, or save what can be read (docs/troubleshooting.md)",
    ),
    "SQLITE_CANTOPEN": (DatabaseUnreadable, CANNOT_OPEN),
    "SQLITE_READONLY_ROLLBACK": (
        DatabaseUnreadable,
        "has a hot journal, of a writer that died; a user who may write must open it once",
    ),
    "SQLITE_READONLY": (ReadOnlyDatabase, "read-only for this user"),
    "SQLITE_PERM": (DatabaseUnreadable, "access denied"),
    "SQLITE_AUTH": (DatabaseUnreadable, "access denied"),
    "SQLITE_FULL": (DatabaseFull, "the disk is full"),
    "SQLITE_IOERR": (DatabaseUnreadable, "the disk failed to read or write"),
}
# A statement may also fail because of an attached file. These codes almost always concern the connection's own files.
_OF_A_STATEMENT = ("SQLITE_BUSY", "SQLITE_CORRUPT", "SQLITE_READONLY", "SQLITE_FULL", "SQLITE_IOERR")
# For a backup, other drivers than Python's own report only SQLite's text (sqlite3ErrStr in its main.c).
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
    """Turn SQLite's error of a broken or locked file into a DatabaseError, a line that begins with `name`.

    `reading` says that the block does not try to write.
    """
    try:
        yield
    # peewee leaves alone what fetching a row raises, and so does Python what SQLite quotes of a damaged schema.
    except driver_errors(peewee.DatabaseError, UnicodeDecodeError) as error:
        known = None if isinstance(error, UsageStoreError) else _translate(error, name, reading=reading)
        if known is None:
            raise
        raise known from error


def raise_of_a_statement(error: Exception, name: str, *, readonly: bool = False) -> NoReturn:
    """Raise the DatabaseError for what a statement raised, or the error itself if the database is not to blame."""
    known = _of_a_statement(error, name, readonly=readonly)
    try:
        if known is None:
            raise error
        raise known from error
    finally:
        del known, error  # else the error would keep this frame, and with it the cursor and its statement


def _of_a_statement(error: Exception, name: str, *, readonly: bool = False) -> DatabaseError | None:
    """Return the DatabaseError for what a statement raised, or None if the database is not to blame.

    `readonly` says that the connection was opened for reading only.
    """
    if isinstance(error, UsageStoreError) or not _code(error).startswith(_OF_A_STATEMENT) or is_lacking(error):
        return None
    known = _translate(error, name, reading=readonly)
    if readonly and isinstance(known, ReadOnlyDatabase):
        known.args = (f"{name}: {OPENED_TO_READ} ({error})",)
    return known


def is_disk_failure(error: BaseException) -> bool:
    """Return whether an error says that the disk is full or fails."""
    return _code(error).startswith(("SQLITE_FULL", "SQLITE_IOERR"))


def is_locked(error: BaseException) -> bool:
    """Return whether an error says that another connection holds a lock."""
    return _code(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def is_damage(error: BaseException | None) -> bool:
    """Return whether an error says that the file is no database, or a corrupt one."""
    return error is not None and _code(error).startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")) and not is_lacking(error)


def _code(error: BaseException) -> str:
    first = getattr(error, "orig", None) or error
    return getattr(first, "sqlite_errorname", None) or _SAID.get(str(first), "")


def _translate(error: Exception, name: str, *, reading: bool) -> DatabaseError | None:
    code = _code(error)
    if is_lacking(error):  # where a schema cannot be read because of it, SQLite reports SQLITE_CORRUPT
        return _with_cause(DatabaseUnreadable(f"{name}: {error}; {HINT}"), error)
    if code == "SQLITE_READONLY" and reading and os.path.exists(f"{name}-journal"):
        code = "SQLITE_READONLY_ROLLBACK"  # drivers other than the standard library's give the first half alone
    for prefix, (kind, meaning) in _KINDS.items():
        if code.startswith(prefix):
            return _with_cause(kind(f"{name}: {meaning} ({error})"), error)
    if isinstance(error, UnicodeDecodeError) or "Could not decode to UTF-8" in str(error):
        return _with_cause(DatabaseUnreadable(f"{name}: holds text that is not UTF-8 ({error})"), error)
    return None


def _with_cause(known: DatabaseError, error: Exception) -> DatabaseError:
    known.orig = getattr(error, "orig", None) or error
    return known
