"""Run a block in a write transaction."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from usage_store.engines.sqlite.connection.pragma_for_a_block import pragma_set

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import peewee


def in_transaction(database: peewee.Database | peewee.DatabaseProxy) -> bool:
    """Return whether a transaction is open, no matter whether peewee or an SQL statement opened it."""
    return bool(database.in_transaction() or database.connection().in_transaction)


@contextmanager
def write_transaction(
    database: peewee.Database | peewee.DatabaseProxy, ends: Callable[[], AbstractContextManager[None]] = nullcontext
) -> Iterator[None]:
    """Take the write lock, run the block and commit; inside an open transaction, run the block as a savepoint.

    An error in the block rolls it back and is raised unchanged. This needs care: if the disk is full or fails, SQLite
    rolls back by itself, even at COMMIT, and peewee's own blocks then raise the error of their second ROLLBACK instead.
    A COMMIT that fails because the database is locked is rolled back, too. BEGIN and COMMIT each run inside a context
    manager that `ends` makes.
    """
    nested = in_transaction(database)
    step: Any = database.savepoint() if nested else database.transaction("IMMEDIATE")
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
        _undo(database, step, nested=nested)
        raise


def one_view(database: peewee.Database) -> AbstractContextManager[object]:
    """Run the block in a transaction in which all statements read the same state of the database. Takes no lock."""
    return database.atomic()


def _undo(database: peewee.Database | peewee.DatabaseProxy, step: Any, *, nested: bool) -> None:
    if not nested and not database.connection().in_transaction:
        database.begin()  # SQLite has already rolled back; peewee must still drop its callbacks for after the commit
    if database.connection().in_transaction:
        step.rollback(begin=False)
        if nested:
            step.commit(begin=False)  # RELEASE; otherwise the savepoint would stay open


def without_waiting(database: peewee.SqliteDatabase) -> AbstractContextManager[None]:
    """Let no statement in the block wait for a lock: it raises at once if the lock is taken."""
    return pragma_set(database, "busy_timeout", 0)
