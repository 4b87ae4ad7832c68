"""Open a database by its path or URL, or use an application's own database. Errors are one line without passwords."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from usage_store.engines.interface.paths_and_urls import checked_mode, redact
from usage_store.engines.sqlite.connection.driver import check_sqlite, main_file, sqlite3
from usage_store.engines.sqlite.connection.error_messages import CANNOT_OPEN, OPENED_TO_READ, readable_errors
from usage_store.engines.sqlite.connection.path_and_inode import absolute, make
from usage_store.engines.sqlite.connection.pragma_for_a_block import pragma_set
from usage_store.engines.sqlite.connection.pragmas_of_our_files import SqliteFile
from usage_store.engines.sqlite.connection.read_only_wal import QuietFile, is_quiet
from usage_store.errors import ConfigurationError, DatabaseUnreadable, ReadOnlyDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator

    import peewee

    from usage_store.engines.interface.engine import Missing

_INSTRUCTIONS = 100_000  # of SQLite's virtual machine between two calls: some milliseconds


def open_database(
    target: str | os.PathLike[str],
    *,
    readonly: bool = False,
    missing: Missing = "create",
    timeout: float = 5,
    mode: int | None = None,
) -> SqliteFile:
    """Open a SQLite file by path or `sqlite:///` URL, connected on this thread.

    A missing file is created with the permissions `mode`. Its folder is not created, and with `readonly` nothing is.
    With `missing` "refuse", nothing is created, and nothing is written to a file that cannot be read. With "empty", a
    path without a file is an empty database in memory. `timeout` is how many seconds a statement waits for another
    process's lock. Raises ConfigurationError for a target or a SQLite that cannot be used, InvalidValue for a mode, and
    DatabaseUnreadable for a file that cannot be used.
    """
    check_sqlite(sqlite3.sqlite_version)
    checked_mode(mode)
    name = file_name(os.fspath(target))
    if missing == "empty" and name != ":memory:" and not _is_there(name):
        name = ":memory:"
    if missing == "refuse" and not readonly:
        open_database(target, readonly=True, timeout=timeout).close()
    if name == ":memory:":
        database = SqliteFile(name, timeout=timeout)
    elif readonly:
        database = _readonly_file(name, timeout)
    else:
        database = SqliteFile(name, timeout=timeout, make=partial(_make_if_missing, name, mode))
    with readable_errors(name, reading=True):
        database.connect()
        try:
            database.get_tables()
        except BaseException:
            database.close()
            raise
    return database


@contextmanager
def lent(
    database: peewee.SqliteDatabase, *, readonly: bool = False, missing: Missing = "create", mode: int | None = None
) -> Iterator[peewee.SqliteDatabase]:
    """Connect an application's own database for the block, with its own driver, functions and pragmas.

    A missing file is treated as by `open_database`, and the same errors are raised. With `readonly`, SQLite refuses to
    write through this connection. After the block the database is closed again if it was closed.
    """
    name = _own_file(database)
    if name and not _is_there(name):
        if missing == "empty":
            from usage_store.engines.sqlite.connection.second_connection import opened_like  # noqa: PLC0415  urllib

            with opened_like(database, ":memory:", {}) as empty:
                yield empty
            return
        if readonly or missing == "refuse":
            raise _no_database(name)
        _make_if_missing(name, mode)
    with readable_errors(name or ":memory:", reading=readonly):
        opened = database.connect(reuse_if_open=True)
        database.get_tables()
    try:
        with pragma_set(database, "query_only", 1) if readonly else nullcontext():
            yield database
    finally:
        if opened and not database.is_closed():
            database.close()


def hear_signals(database: peewee.SqliteDatabase) -> None:
    """Let Python handle signals during a long statement, too: an error that a signal handler raises interrupts it."""
    database.connection().set_progress_handler(lambda: 0, _INSTRUCTIONS)


def close_all(database: peewee.SqliteDatabase) -> None:
    """Close the connection of this thread, and those of other threads and pools that can be closed from here.

    For a database that `open_database` opened, these are all connections, unless another thread is in a transaction.
    For an application's own database, they are the connection of this thread and the idle ones of its pool.
    """
    if isinstance(database, SqliteFile):
        database.close_all()
    else:
        database.close()
        getattr(database, "close_idle", lambda: None)()


def refuse_readonly(database: peewee.SqliteDatabase) -> None:
    """Raise ReadOnlyDatabase if the connection was opened for reading only. Reads only."""
    if database.pragma("query_only"):
        raise ReadOnlyDatabase(f"{database.database}: {OPENED_TO_READ}")


def _own_file(database: peewee.SqliteDatabase) -> str:
    """Return the file that an application's database names, also while it is closed; empty for one in memory."""
    if not database.is_closed():
        return main_file(database)
    name = os.fspath(database.database)
    if database.connect_params.get("uri") and name.startswith("file:"):
        from urllib.parse import parse_qs, unquote, urlsplit  # noqa: PLC0415  6 % of what `check` takes

        parts = urlsplit(name)
        name = "" if parse_qs(parts.query).get("mode") == ["memory"] else unquote(parts.path)
    return "" if name == ":memory:" else name


def file_of(database: str | os.PathLike[str] | peewee.SqliteDatabase) -> str:
    """Return the absolute path of the file of a path, URL or database; it is empty for one in memory. Reads only."""
    name = file_name(os.fspath(database)) if isinstance(database, (str, os.PathLike)) else _own_file(database)
    return "" if name in ("", ":memory:") else absolute(name)


def name_of(database: str | os.PathLike[str] | peewee.SqliteDatabase) -> str:
    """Return the path of a path, URL or database as it was given, for a message. Reads only."""
    return file_name(os.fspath(database)) if isinstance(database, (str, os.PathLike)) else str(database.database)


def _no_database(name: str) -> DatabaseUnreadable:
    import shlex  # noqa: PLC0415  only this message needs it

    first = "" if os.path.isdir(os.path.dirname(absolute(name))) else "create its folder first, then "
    migrate = f"`usage-store migrate --database {shlex.quote(name)} --usage-tables`"
    return DatabaseUnreadable(f"{name}: no such database; {first}{migrate} creates it")


def _is_there(name: str) -> bool:
    """Return whether a file is at a path. Raises DatabaseUnreadable for a loop of links, a folder, a pipe."""
    try:
        found = os.stat(absolute(name))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise DatabaseUnreadable(f"{name}: {CANNOT_OPEN} ({error.strerror})") from error
    if stat.S_ISDIR(found.st_mode):
        raise DatabaseUnreadable(f"{name}: cannot be opened: it is a folder; give the path of a file")
    if not stat.S_ISREG(found.st_mode):
        raise DatabaseUnreadable(f"{name}: cannot be opened: it is not a file")
    return True


def _make_if_missing(name: str, mode: int | None) -> None:
    path = absolute(name)
    if _is_there(name):
        return
    if not os.path.isdir(os.path.dirname(path)):
        raise DatabaseUnreadable(f"{name}: its folder does not exist; create it first")
    try:
        make(path, mode)
    except OSError as error:
        raise DatabaseUnreadable(f"{name}: {CANNOT_OPEN} ({error.strerror})") from error


def _readonly_file(name: str, timeout: float) -> SqliteFile:
    path = absolute(name)
    if not _is_there(name):
        raise _no_database(name)
    if os.access(path, os.W_OK) and os.access(os.path.dirname(path), os.W_OK):
        # With mode=ro, SQLite leaves a -wal and a -shm file behind. A writable handle with query_only removes them.
        return SqliteFile(name, readonly=True, access="rw", timeout=timeout)
    if is_quiet(path):
        return QuietFile(name, timeout)
    # A -shm file of this user would lock out those who may write to the database.
    return SqliteFile(name, readonly=True, access="ro&readonly_shm=1", timeout=timeout)


def file_name(target: str) -> str:
    """Return the file that a path or `sqlite:///` URL names, which may be `:memory:`. Raises ConfigurationError.

    In a path, a leading `~/` or `~user/` is that user's home folder; in a URL it is not.
    """
    if not target:
        raise ConfigurationError("the database is an empty string; give a path or a sqlite:/// URL")
    name = _file_of_url(target) if "://" in target else _expanded(target)
    if "\0" in name:
        raise ConfigurationError(f"{redact(target)!r} holds a NUL character, which no path can")
    try:
        os.fsencode(name)
    except UnicodeEncodeError as error:
        raise ConfigurationError(f"{redact(target)!a}: holds a character that no path can ({error.reason})") from error
    return name


def _expanded(path: str) -> str:
    """Replace a leading `~/` or `~user/` by that user's home folder; a file may be called `~a.db`."""
    if not path.startswith("~") or os.sep not in path:
        return path
    expanded = os.path.expanduser(path)
    if expanded == path:
        raise ConfigurationError(f"{path}: {path.partition(os.sep)[0]} has no home folder here; give an absolute path")
    return expanded


def _file_of_url(target: str) -> str:
    from urllib.parse import unquote, urlsplit  # noqa: PLC0415  6 % of what `check` takes to start

    try:
        parts = urlsplit(target)
    except ValueError as error:  # [ without ]
        raise ConfigurationError(f"{redact(target)}: not a URL ({error})") from error
    if parts.scheme != "sqlite":
        raise ConfigurationError(
            f"{redact(target)}: this package stores in SQLite and PostgreSQL; give a path, a sqlite:/// URL or a "
            "postgresql:// URL"
        )
    if parts.netloc or parts.query or parts.fragment:
        raise ConfigurationError(
            f"{redact(target)}: a SQLite URL is sqlite:/// and a path (sqlite:///usage.db, sqlite:////var/lib/usage.db)"
        )
    return unquote(parts.path[1:]) or ":memory:"
