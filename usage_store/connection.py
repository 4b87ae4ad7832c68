"""A path or URL becomes an open Peewee database: pragmas, version checks, one-line errors, redaction."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import peewee

from usage_store.database_file import absolute, checked_mode, make
from usage_store.driver import check_sqlite, driver_errors, main_file, require_supported, sqlite3
from usage_store.errors import ConfigurationError, DatabaseUnreadable, MigrationLocked, UsageStoreError
from usage_store.quiet_file import QuietFile, is_quiet
from usage_store.sqlite_file import SqliteFile

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "connected",
    "default_target",
    "file_name",
    "open_database",
    "readable_errors",
    "redact",
    "unwrap",
]

_UNREADABLE = {
    "SQLITE_NOTADB": "not a database",
    "SQLITE_CORRUPT": "the database is corrupt; restore a backup, or save what can be read (README: Troubleshooting)",
    "SQLITE_CANTOPEN": "cannot be opened; does its folder exist, and may this user write there?",
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


def default_target() -> str:
    """Give `$USAGE_STORE_DATABASE`, or `usage.db` in the current folder."""
    return os.environ.get("USAGE_STORE_DATABASE") or "usage.db"


def open_database(
    target: str | os.PathLike[str], *, readonly: bool = False, timeout: float = 5, mode: int | None = None
) -> SqliteFile:
    """Open a SQLite file by path or `sqlite:///` URL, connected on this thread.

    A missing file is created, but not its folder, and not with `readonly`; `mode` are its permissions then. `timeout`
    is how many seconds a statement waits for another process's lock. Raises ConfigurationError for a target or a
    SQLite that cannot be used, InvalidValue for a mode, and DatabaseUnreadable for a file that cannot.
    """
    check_sqlite(sqlite3.sqlite_version)
    checked_mode(mode)
    name = file_name(os.fspath(target))
    if name == ":memory:":
        database = SqliteFile(name, timeout=timeout)
    elif readonly:
        database = _readonly_file(name, timeout)
    else:
        _make_if_missing(name, mode)
        database = SqliteFile(name, timeout=timeout)
    with readable_errors(name, reading=True):
        database.connect()
        try:
            database.get_tables()
        except BaseException:
            database.close()
            raise
    return database


def _make_if_missing(name: str, mode: int | None) -> None:
    path = absolute(name)
    if not os.path.isdir(os.path.dirname(path)):
        raise DatabaseUnreadable(f"{name}: its folder does not exist; create it first")
    try:
        make(path, mode)
    except OSError as error:
        raise DatabaseUnreadable(f"{name}: {_UNREADABLE['SQLITE_CANTOPEN']} ({error.strerror})") from error


def _readonly_file(name: str, timeout: float) -> SqliteFile:
    path = absolute(name)
    if not os.path.isfile(path):
        raise DatabaseUnreadable(f"{name}: no such database; `python -m usage_store.migrate` creates it")
    if os.access(path, os.W_OK) and os.access(os.path.dirname(path), os.W_OK):
        # mode=ro would leave a -wal and a -shm behind; a writable handle with query_only takes them away again.
        return SqliteFile(name, readonly=True, access="rw", timeout=timeout)
    if is_quiet(path):
        return QuietFile(name, timeout)
    # A -shm that this user made would keep those out who may write the database.
    return SqliteFile(name, readonly=True, access="ro&readonly_shm=1", timeout=timeout)


def file_name(target: str) -> str:
    """Give the file that a path or `sqlite:///` URL names, which may be `:memory:`, or raise ConfigurationError."""
    if not target:
        raise ConfigurationError("the database is an empty string; give a path or a sqlite:/// URL")
    if "://" not in target:
        return target
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(target)
    if parts.scheme != "sqlite":
        raise ConfigurationError(f"{redact(target)}: this version stores in SQLite; give a path or a sqlite:/// URL")
    if parts.netloc or parts.query or parts.fragment:
        raise ConfigurationError(
            f"{redact(target)}: a SQLite URL is sqlite:/// and a path (sqlite:///usage.db, sqlite:////var/lib/usage.db)"
        )
    return unquote(parts.path[1:]) or ":memory:"


def redact(target: str) -> str:
    """Replace the password in a URL, wherever it stands, by `***`."""
    # Greedy up to the last @, since a password may hold any character that its author forgot to quote.
    target = re.sub(r"(?<=://)([^\s:/@]*):\S*@", r"\1:***@", target)
    return re.sub(
        r"(?i)([?&][^\s=&]*(?:password|passwd|secret|token)[^\s=&]*=)[^\s&']*?(?=[\s&']|:?(?:\s|$))", r"\1***", target
    )


def unwrap(database: peewee.Database | peewee.DatabaseProxy) -> peewee.SqliteDatabase:
    """Give the SQLite database behind a Database or an initialised DatabaseProxy, or raise ConfigurationError."""
    inner = database.obj if isinstance(database, peewee.DatabaseProxy) else database
    if inner is None:
        raise ConfigurationError("the DatabaseProxy is not initialised; call its initialize(database) first")
    return require_supported(inner)


@contextmanager
def connected(database: peewee.SqliteDatabase) -> Iterator[None]:
    """Be connected for the block, with one-line errors for a database that is broken, locked or too old.

    A closed database is closed again afterwards, but not one in memory, which would be gone.
    """
    opened = in_memory = False
    try:
        with readable_errors(str(database.database)):
            opened = database.connect(reuse_if_open=True)
            in_memory = not main_file(database)
            check_sqlite(database.execute_sql("SELECT sqlite_version()").fetchone()[0])
            yield
    finally:
        if opened and not in_memory:
            database.close()


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


def _translate(error: Exception, name: str, *, reading: bool) -> UsageStoreError | None:
    first = getattr(error, "orig", error)
    code: str = getattr(first, "sqlite_errorname", None) or _SAID.get(str(first), "")
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return MigrationLocked(f"{name}: another process holds the database's lock; try again, or wait longer (--wait)")
    if code == "SQLITE_READONLY" and reading and os.path.exists(f"{name}-journal"):
        code = "SQLITE_READONLY_ROLLBACK"  # drivers other than the standard library's give the first half alone
    for prefix, meaning in _UNREADABLE.items():
        if code.startswith(prefix):
            return DatabaseUnreadable(f"{name}: {meaning} ({error})")
    if isinstance(error, UnicodeDecodeError) or "Could not decode to UTF-8" in str(error):
        return DatabaseUnreadable(f"{name}: holds text that is not UTF-8 ({error})")
    return None
