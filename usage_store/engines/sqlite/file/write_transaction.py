"""Take the write lock for a block, and commit."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from usage_store.engines.sqlite.connection.pragma_for_a_block import pragma_set

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import peewee


def in_transaction(database: peewee.Database | peewee.DatabaseProxy) -> bool:
    """Tell whether a transaction is open, by peewee's means or by a statement."""
    return bool(database.in_transaction() or database.connection().in_transaction)


@contextmanager
def write_transaction(
    database: peewee.Database | peewee.DatabaseProxy, ends: Callable[[], AbstractContextManager[None]] = nullcontext
) -> Iterator[None]:
    """Take the write lock for the block and commit, or be a savepoint of the transaction that is open already.

    The first error is the one that is raised: where the disk is full or fails, SQLite rolls back by itself, at COMMIT
    too, and peewee's own blocks then raise what their ROLLBACK says to that. A COMMIT that finds the database locked is
    rolled back. BEGIN and COMMIT each run in a block that `ends` makes.
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
                database.pop_transaction()  # before the commit, as peewee does: what that calls back may open another
        with ends():
            step.commit(begin=False)
    except BaseException:
        _undo(database, step, nested=nested)
        raise


def _undo(database: peewee.Database | peewee.DatabaseProxy, step: Any, *, nested: bool) -> None:
    if not nested and not database.connection().in_transaction:
        database.begin()  # SQLite has rolled back; peewee has still to forget what it was to call after the commit
    if database.connection().in_transaction:
        step.rollback(begin=False)
        if nested:
            step.commit(begin=False)  # RELEASE; without it the savepoint would stay open


def without_waiting(database: peewee.SqliteDatabase) -> AbstractContextManager[None]:
    """Let nothing in the block wait for a lock: what is locked raises at once."""
    return pragma_set(database, "busy_timeout", 0)
