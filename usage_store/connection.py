"""A path or URL becomes an open Peewee database: pragmas, version checks, one-line errors, redaction."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import peewee

from usage_store.errors import ConfigurationError, DatabaseUnreadable, MigrationLocked, UsageStoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "SqliteFile",
    "check_sqlite",
    "default_target",
    "file_name",
    "file_uri",
    "open_database",
    "readable_errors",
    "redact",
    "unwrap",
]

MINIMUM_SQLITE = (3, 38, 0)  # unixepoch() stands in the column defaults

_UNREADABLE = {
    "SQLITE_NOTADB": "not a database",
    "SQLITE_CORRUPT": "the database is corrupt; restore a backup, or save what `sqlite3 FILE .recover` can read",
    "SQLITE_CANTOPEN": "cannot be opened; does its folder exist, and may this user write there?",
    "SQLITE_READONLY": "read-only for this user",
    "SQLITE_PERM": "access denied",
    "SQLITE_AUTH": "access denied",
    "SQLITE_FULL": "the disk is full",
    "SQLITE_IOERR": "the disk failed to read or write",
}


class SqliteFile(peewee.SqliteDatabase):
    """A SQLite database with WAL, foreign keys on and synchronous NORMAL on every connection.

    Opened `readonly` it changes nothing and creates nothing, and asks for no WAL.
    """

    def __init__(self, database: str, *, readonly: bool = False, timeout: float = 5, **options: Any) -> None:
        self._readonly = readonly
        super().__init__(database, timeout=timeout, **options)

    def _add_conn_hooks(self, conn: sqlite3.Connection) -> None:
        conn.execute("PRAGMA foreign_keys = ON")
        if self._readonly:
            conn.execute("PRAGMA query_only = ON")
        else:
            if conn.execute("PRAGMA page_count").fetchone() == (0,):
                # Only a file that holds nothing yet takes it: its free pages can be given back to the disk.
                conn.execute("PRAGMA auto_vacuum = INCREMENTAL")
            self._switch_to_wal(conn)
            conn.execute("PRAGMA synchronous = NORMAL")
        super()._add_conn_hooks(conn)  # type: ignore[misc]  # private in peewee, so not in its stubs

    def _switch_to_wal(self, conn: sqlite3.Connection) -> None:
        # The switch ignores the busy handler: of processes that open a fresh file at once, some fail.
        deadline = time.monotonic() + self.timeout
        while True:
            try:
                conn.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
                if not busy or time.monotonic() >= deadline:
                    raise
                time.sleep(0.01)
            else:
                return


def default_target() -> str:
    """Give `$USAGE_STORE_DATABASE`, or `usage.db` in the current folder."""
    return os.environ.get("USAGE_STORE_DATABASE") or "usage.db"


def open_database(target: str | os.PathLike[str], *, readonly: bool = False, timeout: float = 5) -> SqliteFile:
    """Open a SQLite file by path or `sqlite:///` URL, connected on this thread.

    A missing file is created, but not its folder, and not with `readonly`. `timeout` is how many seconds a
    statement waits for another process's lock. Raises ConfigurationError for a target or a SQLite that cannot be
    used and DatabaseUnreadable for a file that cannot.
    """
    check_sqlite()
    name = file_name(os.fspath(target))
    if name == ":memory:":
        database = SqliteFile(name, timeout=timeout)
    elif readonly:
        database = _readonly_file(name, timeout)
    else:
        if not os.path.isdir(os.path.dirname(os.path.abspath(name))):
            raise DatabaseUnreadable(f"{name}: its folder does not exist; create it first")
        database = SqliteFile(name, timeout=timeout)
    with readable_errors(name):
        database.connect()
        try:
            database.get_tables()
        except BaseException:
            database.close()
            raise
    return database


def _readonly_file(name: str, timeout: float) -> SqliteFile:
    path = os.path.abspath(name)
    if not os.path.isfile(path):
        raise DatabaseUnreadable(f"{name}: no such database; `python -m usage_store.migrate` creates it")
    # mode=ro would leave a -wal and a -shm behind; a writable handle with query_only takes them away again.
    mode = "rw" if os.access(path, os.W_OK) and os.access(os.path.dirname(path), os.W_OK) else "ro"
    if mode == "ro" and not os.path.exists(f"{path}-wal"):
        mode = "ro&immutable=1"  # without a -shm that it may write, SQLite reads a WAL database in no other way
    return SqliteFile(file_uri(path, mode), readonly=True, timeout=timeout, uri=True)


def file_uri(path: str, mode: str) -> str:
    """Give SQLite's URI for a file, opened in a mode: `rw`, or `ro` (sqlite.org/uri.html)."""
    path = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return f"file:{path}?mode={mode}"


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


def check_sqlite() -> None:
    """Raise ConfigurationError if this Python's SQLite is older than 3.38."""
    if sqlite3.sqlite_version_info < MINIMUM_SQLITE:
        raise ConfigurationError(
            f"SQLite {sqlite3.sqlite_version} is too old: 3.38 or newer is needed, for unixepoch() in column defaults"
        )


def unwrap(database: peewee.Database | peewee.DatabaseProxy) -> peewee.SqliteDatabase:
    """Give the SQLite database behind a Database or an initialised DatabaseProxy, or raise ConfigurationError."""
    inner = database.obj if isinstance(database, peewee.DatabaseProxy) else database
    if inner is None:
        raise ConfigurationError("the DatabaseProxy is not initialised; call its initialize(database) first")
    if not isinstance(inner, peewee.SqliteDatabase):
        raise ConfigurationError(f"{type(inner).__name__} is not supported: this version stores in SQLite")
    if inner.deferred:
        raise ConfigurationError("the database is deferred; call its init(path) first")
    check_sqlite()
    return inner


@contextmanager
def readable_errors(name: str) -> Iterator[None]:
    """Turn what SQLite says of a broken or locked file into DatabaseUnreadable or MigrationLocked, in one line."""
    try:
        yield
    # peewee leaves alone what fetching a row raises, and so does Python what SQLite quotes of a damaged schema.
    except (peewee.DatabaseError, sqlite3.DatabaseError, UnicodeDecodeError) as error:
        known = _translate(error, name)
        if known is None:
            raise
        raise known from error


def _translate(error: Exception, name: str) -> UsageStoreError | None:
    code: str = getattr(getattr(error, "orig", error), "sqlite_errorname", "")
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return MigrationLocked(f"{name}: another process holds the database's lock; try again, or wait longer (--wait)")
    for prefix, meaning in _UNREADABLE.items():
        if code.startswith(prefix):
            return DatabaseUnreadable(f"{name}: {meaning} ({error})")
    if isinstance(error, UnicodeDecodeError) or "Could not decode to UTF-8" in str(error):
        return DatabaseUnreadable(f"{name}: holds text that is not UTF-8 ({error})")
    return None
