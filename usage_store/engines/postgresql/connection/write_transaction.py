"""Know whether a transaction is open, and run a block in a transaction."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

import peewee

from usage_store.engines.postgresql.connection.driver import driver_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

_IDLE, _FAILED = 0, 3  # PQTRANS_IDLE and PQTRANS_INERROR, in both drivers
_READING = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_OPEN = (1, 2, 3)  # a lost connection (4) is in no transaction any more


def in_transaction(database: peewee.PostgresqlDatabase) -> bool:
    """Return whether a transaction is open, no matter whether peewee or an SQL statement opened it."""
    return not database.is_closed() and _status(database) in _OPEN


def is_idle(database: peewee.PostgresqlDatabase) -> bool:
    """Return whether the open connection is in no transaction. Asks the driver, not the server."""
    return _status(database) == _IDLE


def has_failed(database: peewee.PostgresqlDatabase) -> bool:
    """Return whether a statement failed in the open transaction, so that the server only takes a ROLLBACK."""
    return _status(database) == _FAILED


def _status(database: peewee.PostgresqlDatabase) -> int:
    connection: Any = database.connection()
    # psycopg 3 would make an object for each look at `info`, and each insert looks.
    known = getattr(connection, "pgconn", None) or connection.info
    return int(known.transaction_status)


@contextmanager
def write_transaction(
    database: peewee.PostgresqlDatabase, ends: Callable[[], AbstractContextManager[None]] = nullcontext
) -> Iterator[None]:
    """Run the block in a transaction and commit; inside an open transaction, run the block as a savepoint.

    An error in the block rolls it back and is raised unchanged, also if the connection is lost and cannot roll back.
    BEGIN and COMMIT each run inside a context manager that `ends` makes.
    """
    nested = in_transaction(database)
    step: Any = database.savepoint() if nested else database.transaction()
    with ends():
        step.__enter__()
    try:
        try:
            yield
        finally:
            if not nested:
                database.pop_transaction()  # before the commit, as peewee does: its callbacks may open a transaction
        with ends():
            step.commit(begin=False)
    except BaseException:
        with suppress(peewee.PeeweeException, *driver_errors()):  # a lost connection has nothing to roll back
            step.rollback(begin=False)
            if nested:
                step.commit(begin=False)  # RELEASE; otherwise the savepoint would stay open
        raise


@contextmanager
def one_view(database: peewee.PostgresqlDatabase) -> Iterator[None]:
    """Run the block in a transaction in which all statements read the same state of the database, and none writes.

    Inside an open transaction, the block reads as that one does.
    """
    nested = in_transaction(database)
    with write_transaction(database):
        if not nested:
            database.execute_sql(_READING)
        yield
