"""Give a run of migrations its lock and its connection settings."""

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

_FULL = 2  # PRAGMA synchronous: COMMIT returns after the data is on the disk


class Alone(NamedTuple):
    """Two functions for a run that holds the migration lock: `set_up` and `check_lock`."""

    set_up: Callable[[], None]
    check_lock: Callable[[], None]


@contextmanager
def alone(database: peewee.SqliteDatabase, table: str, wait: float, on_wait: Callable[[str], None]) -> Iterator[Alone]:
    """Hold the migration lock in the block, with foreign keys off and synchronous FULL; restore both settings after it.

    Gives two functions. `set_up` makes these settings again, after a migration that changed them or connected anew.
    `check_lock`, called before each migration, raises DatabaseLocked if the lock file was removed.

    Foreign keys are off because with them DROP TABLE deletes the rows of other tables that refer to it
    (sqlite.org/foreignkeys.html). They are switched off here because the pragma does nothing inside a transaction. All
    histories of a file share one lock, so `table`, the history table, is not used. Raises TransactionOpen,
    DatabaseLocked, and DatabaseUnreadable for a file that this user may not write to.
    """
    del table
    if in_transaction(database):
        raise TransactionOpen(
            "a transaction is open, and migrations need transactions of their own; commit it or roll it back first"
        )
    file = main_file(database)
    refuse_readonly(database)
    if file and not os.access(file, os.W_OK):
        raise ReadOnlyDatabase(f"{database.database}: read-only for this user; migrations must write to the file")
    # Keep this connection until the end: another connection would have foreign keys on.
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
                with suppress(connection.ProgrammingError):  # it is closed; one from a pool may be in use again
                    _set(connection, before)


def roll_back_if_open(database: peewee.SqliteDatabase) -> bool:
    """Roll back the transaction that a migration left open, and return whether there was one."""
    connection: sqlite3.Connection = database.connection()
    left_open = connection.in_transaction
    if left_open:
        connection.rollback()
    return left_open


def retry_after(error: BaseException, tries: int) -> float | None:  # noqa: ARG001  the interface's signature
    """Return None: a transaction has the write lock from its beginning, so nobody can get in its way."""
    return None


def _value(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _set(connection: sqlite3.Connection, pragmas: Mapping[str, int]) -> None:
    for name, value in pragmas.items():
        connection.execute(f"PRAGMA {name} = {value}").fetchall()
