"""Open a database by its URL, or use an application's own database."""

from __future__ import annotations

import os
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import peewee

from usage_store.engines.postgresql.connection.check_server import is_pooled
from usage_store.engines.postgresql.connection.driver import driver_errors
from usage_store.engines.postgresql.connection.error_messages import NO_WRITES, OPENED_TO_READ, raise_of_connecting
from usage_store.engines.postgresql.connection.names import name_of
from usage_store.engines.postgresql.connection.our_connections import OurServer
from usage_store.engines.postgresql.connection.read_url import read_url
from usage_store.engines.postgresql.connection.write_transaction import in_transaction
from usage_store.errors import ConfigurationError, ReadOnlyDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from usage_store.engines.interface.engine import Missing

_READ_ONLY = "default_transaction_read_only"
_MAY_WRITE = "SELECT current_setting('transaction_read_only'), pg_is_in_recovery()"


def open_database(
    target: str | os.PathLike[str],
    *,
    readonly: bool = False,
    missing: Missing = "create",  # noqa: ARG001  a server's databases are created by its own tools
    timeout: float = 5,
    mode: int | None = None,
) -> OurServer:
    """Open a database by its URL, connected on this thread.

    Neither the database nor the schema is created. `timeout` is how many seconds a statement waits for a lock. With
    `readonly` the server refuses to write. Raises ConfigurationError for a URL or server that cannot be used, for a
    missing driver and for a `mode`, and DatabaseUnreadable for a server, database or schema that is out of reach.
    """
    if mode is not None:
        raise ConfigurationError("mode is for a file that is created; a database on a server has no file of yours")
    database = OurServer(read_url(os.fspath(target)), readonly=readonly, timeout=timeout)
    database.connect()
    return database


@contextmanager
def lent(
    database: peewee.PostgresqlDatabase,
    *,
    readonly: bool = False,
    missing: Missing = "create",  # noqa: ARG001  as above
    mode: int | None = None,  # noqa: ARG001  there is no file
) -> Iterator[peewee.PostgresqlDatabase]:
    """Connect an application's own database for the block, with its own driver and settings.

    With `readonly`, the server refuses to write through this connection, unless a pooler stands before it or a
    transaction is open. After the block the database is closed again if it was closed.
    """
    try:
        opened = database.connect(reuse_if_open=True)
    except driver_errors(peewee.DatabaseError) as error:
        raise_of_connecting(error, name_of(database))
    try:
        with _reading_only(database) if readonly else nullcontext():
            yield database
    finally:
        if opened and not database.is_closed():
            database.close()


@contextmanager
def _reading_only(database: peewee.PostgresqlDatabase) -> Iterator[None]:
    before = None
    with plain_connection(database):
        if not in_transaction(database) and not is_pooled(database):
            (before,) = database.execute_sql("SELECT current_setting(%s)", (_READ_ONLY,)).fetchone()
    if before is None:
        yield
        return
    database.execute_sql("SELECT set_config(%s, 'on', false)", (_READ_ONLY,))
    try:
        yield
    finally:
        if not database.is_closed():
            database.execute_sql("SELECT set_config(%s, %s, false)", (_READ_ONLY, before))


@contextmanager
def plain_connection(database: peewee.PostgresqlDatabase) -> Iterator[None]:
    """Read rows as tuples in the block, whatever kind of rows an application has set on its connection."""
    connection: Any = database.connection()
    kept = {name: getattr(connection, name) for name in ("cursor_factory", "row_factory") if hasattr(connection, name)}
    cursor = None
    if "row_factory" in kept:
        from psycopg import Cursor, rows  # noqa: PLC0415  the connection's driver is psycopg 3

        connection.row_factory, cursor = rows.tuple_row, Cursor
    if not getattr(kept["cursor_factory"], "sees_statements", False):  # those of this package stay
        connection.cursor_factory = cursor
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(connection, name, value)


def hear_signals(database: peewee.PostgresqlDatabase) -> None:
    """Do nothing: psycopg lets Python handle signals while it waits for the server."""


def close_all(database: peewee.PostgresqlDatabase) -> None:
    """Close the connection of this thread, and those of other threads and pools that can be closed from here.

    For a database that `open_database` opened, these are all connections that are not in use or in a transaction. For
    an application's own database, they are the connection of this thread and the idle ones of its pool.
    """
    if isinstance(database, OurServer):
        database.close_all()
    else:
        database.close()
        getattr(database, "close_idle", lambda: None)()


def refuse_readonly(database: peewee.PostgresqlDatabase) -> None:
    """Raise ReadOnlyDatabase if the connection may only read, as on a standby. Reads only."""
    readonly, standby = _may_write(database)
    if readonly == "on":
        by_us = getattr(database, "readonly", False) and not standby
        raise ReadOnlyDatabase(f"{name_of(database)}: {OPENED_TO_READ if by_us else NO_WRITES}")


def _may_write(database: peewee.PostgresqlDatabase) -> tuple[str, bool]:
    with plain_connection(database):
        readonly, standby = database.execute_sql(_MAY_WRITE).fetchone()
    return readonly, standby


def refuse_standby(database: peewee.PostgresqlDatabase) -> None:
    """Raise ReadOnlyDatabase if the server is a standby, which makes not even temporary tables. Reads only."""
    _, standby = _may_write(database)
    if standby:
        raise ReadOnlyDatabase(f"{name_of(database)}: {NO_WRITES}")


def file_of(database: str | os.PathLike[str] | peewee.PostgresqlDatabase) -> str:  # noqa: ARG001  the interface's
    """Return an empty text: a server has no file that belongs to the caller."""
    return ""
