"""Know the SQLite driver: which one is used, which errors it raises, and which databases are supported.

peewee uses pysqlite3 if that is installed, and an application's database may have another driver. Two SQLite libraries
in one process cancel each other's locks on a file, and can destroy the file (sqlite.org/howtocorrupt.html, 2.2). So no
other module imports a driver, and `second_connection` makes further connections to a file with the driver that opened
it.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import peewee

from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    import sqlite3
else:
    from peewee import sqlite3

__all__ = [
    "check_sqlite",
    "check_version",
    "driver_errors",
    "files_by_name",
    "frees_functions_without_lock",
    "is_in_memory",
    "is_standard",
    "main_file",
    "owns",
    "sqlite3",
]

MINIMUM_SQLITE = (3, 38)  # column defaults use unixepoch()

_DRIVERS = ("sqlite3", "pysqlite3.dbapi2", "sqlcipher3.dbapi2")
_UNSUPPORTED = {
    "playhouse.apsw_ext.APSWDatabase": "its connections are not those of Python's DB-API; use peewee.SqliteDatabase",
    "playhouse.cysqlite_ext.CySqliteDatabase": (
        "its connections are not those of Python's DB-API; use peewee.SqliteDatabase"
    ),
    "playhouse.sqliteq.SqliteQueueDatabase": (
        "it reports a row as written before it is; use peewee.SqliteDatabase, which threads may share"
    ),
    "playhouse.pwasyncio.AsyncSqliteDatabase": (
        "its connections belong to tasks; use peewee.SqliteDatabase, and asyncio.to_thread() for each call"
    ),
}


def driver_errors(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """Return the error classes of the SQLite drivers in this process, and `others`.

    They are needed because peewee translates errors of drivers, but not those that come while rows are fetched.
    """
    return (*others, *(sys.modules[name].Error for name in _DRIVERS if name in sys.modules))


def is_standard(connection: object) -> bool:
    """Return whether a connection belongs to Python's own sqlite3 module."""
    return any(kind.__module__ == "sqlite3" for kind in type(connection).__mro__)


def frees_functions_without_lock() -> bool:
    """Return whether a loaded driver may free a connection's SQL functions without holding Python's lock (the GIL).

    pysqlite3 and sqlcipher3 do this if a cursor lives longer than its connection. Python then aborts if nothing else
    refers to the function.
    """
    return any(name in sys.modules for name in _DRIVERS[1:])


def check_sqlite(version: str) -> None:
    """Raise ConfigurationError for a version of SQLite before 3.38."""
    if tuple(map(int, version.split(".")[:2])) < MINIMUM_SQLITE:
        raise ConfigurationError(
            f"SQLite {version} is too old: 3.38 or newer is needed, for unixepoch() in column defaults"
        )


def owns(kind: type[peewee.Database]) -> bool:
    """Return whether a class is one of SQLite databases. Raises ConfigurationError for a class that cannot be used."""
    if not issubclass(kind, peewee.SqliteDatabase):
        return False
    for each in kind.__mro__:  # by name, because importing these modules needs their drivers
        reason = _UNSUPPORTED.get(f"{each.__module__}.{each.__qualname__}")
        if reason is not None:
            raise ConfigurationError(f"{kind.__name__} is not supported: {reason}")
    return True


def files_by_name(database: peewee.SqliteDatabase) -> dict[str, str]:
    """Return the absolute paths of a connection's databases by name: `main`, and attached ones. Reads only.

    The path is empty for a database in memory.
    """
    connection = database.connection()
    usual, connection.text_factory = connection.text_factory, os.fsdecode  # a file's name may not be valid text
    try:
        # Not a SELECT: it would read the schema, which must not happen while a backup is written into this connection.
        return {row[1]: row[2] or "" for row in database.execute_sql("PRAGMA database_list").fetchall()}
    finally:
        connection.text_factory = usual


def main_file(database: peewee.SqliteDatabase) -> str:
    """Return the absolute path of a database, or an empty text for one in memory. Reads only."""
    return files_by_name(database)["main"]


def is_in_memory(database: peewee.SqliteDatabase) -> bool:
    """Return whether closing the database would delete it, because it is in memory. Reads only."""
    return not main_file(database)


def check_version(database: peewee.SqliteDatabase) -> None:
    """Raise ConfigurationError if an open database has a SQLite before 3.38. Reads only."""
    check_sqlite(database.execute_sql("SELECT sqlite_version()").fetchone()[0])
