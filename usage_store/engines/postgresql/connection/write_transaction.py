"""Know whether a transaction is open, and run a block in a transaction."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import peewee

_IDLE = 0  # PQTRANS_IDLE, in both drivers


def in_transaction(database: peewee.PostgresqlDatabase) -> bool:
    """Return whether a transaction is open, no matter whether peewee or an SQL statement opened it."""
    if database.is_closed():
        return False
    connection: Any = database.connection()
    status = connection.info.transaction_status
    return int(status) != _IDLE


@contextmanager
def write_transaction(
    database: peewee.PostgresqlDatabase, ends: Callable[[], AbstractContextManager[None]] = nullcontext
) -> Iterator[None]:
    """Run the block in a transaction, or in a savepoint of the open one; raise the first error."""
    block = database.atomic()
    with ends():
        block.__enter__()
    try:
        yield
    except BaseException as error:
        block.__exit__(type(error), error, error.__traceback__)
        raise
    with ends():
        block.__exit__(None, None, None)
