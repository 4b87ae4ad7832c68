"""One run of migrations alone with its database, the connection set up for it."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from usage_store.engines.sqlite.connection.driver import main_file
from usage_store.engines.sqlite.connection.forks import keeping_its_connection
from usage_store.engines.sqlite.connection.open_file import refuse_readonly
from usage_store.engines.sqlite.connection.plain_connection import plain
from usage_store.engines.sqlite.file.write_transaction import in_transaction
from usage_store.engines.sqlite.migrating.migration_lock import exclusive
from usage_store.errors import ReadOnlyDatabase, TransactionOpen

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Mapping

    import peewee

_FULL = 2  # PRAGMA synchronous: a migration's COMMIT reaches the disk before it returns


class Alone(NamedTuple):
    """What a run asks for while it is alone."""

    set_up: Callable[[], None]
    check_lock: Callable[[], None]


@contextmanager
def alone(database: peewee.SqliteDatabase, table: str, wait: float, on_wait: Callable[[str], None]) -> Iterator[Alone]:
    """Hold the migration lock, with foreign keys off and synchronous FULL; put both back afterwards.

    Gives `set_up`, for after a migration that set its own pragmas or connected anew, and `check_lock`, for before each
    migration: it raises MigrationLocked once the lock file was removed. Foreign keys go off because DROP TABLE with
    them on deletes the rows of referencing tables (sqlite.org/foreignkeys.html), and off here because inside a
    transaction the pragma does nothing. All histories of a file share one lock, whatever `table` holds this one.
    Raises TransactionOpen, DatabaseUnreadable for a file that may not be written, and MigrationLocked.
    """
    del table
    if in_transaction(database):
        raise TransactionOpen("migrations need transactions of their own; commit or leave the open one first")
    file = main_file(database)
    refuse_readonly(database)
    if file and not os.access(file, os.W_OK):
        raise ReadOnlyDatabase(f"{database.database}: read-only for this user")
    # What is set on the connection holds until the end: another one would have foreign keys on.
    with (
        exclusive(file, wait, on_wait) as check_lock,
        keeping_its_connection(database),
        ExitStack() as plainly,
    ):
        settings = {
            "foreign_keys": 0,
            "synchronous": max(_FULL, database.pragma("synchronous")),
            "busy_timeout": int(wait * 1000),
        }
        were: list[tuple[sqlite3.Connection, Mapping[str, int]]] = []

        def set_up() -> None:
            connection: sqlite3.Connection = database.connection()
            if all(connection is not known for known, _ in were):
                plainly.enter_context(plain(connection))
                were.append((connection, {name: _value(connection, name) for name in settings}))
            _set(connection, settings)

        try:
            set_up()
            yield Alone(set_up, check_lock)
        finally:
            for connection, before in were:
                with suppress(connection.ProgrammingError):  # it is closed; but from a pool, it may be in use again
                    _set(connection, before)


def roll_back_if_open(database: peewee.SqliteDatabase) -> bool:
    """Roll back what a migration left open on the connection, and tell whether there was anything."""
    connection: sqlite3.Connection = database.connection()
    left_open = connection.in_transaction
    if left_open:
        connection.rollback()
    return left_open


def _value(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _set(connection: sqlite3.Connection, pragmas: Mapping[str, int]) -> None:
    for name, value in pragmas.items():
        connection.execute(f"PRAGMA {name} = {value}").fetchall()
