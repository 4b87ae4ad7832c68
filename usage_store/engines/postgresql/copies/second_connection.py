"""Open a second connection like that of an open database."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import peewee

_SESSION = "SELECT current_setting('search_path'), current_setting('role')"
_AS_THE_FIRST = "SELECT set_config('search_path', %s, false), set_config('role', %s, false)"


@contextmanager
def second_connection(database: peewee.PostgresqlDatabase) -> Iterator[peewee.PostgresqlDatabase]:
    """Connect to the server of an open database a second time, for the block.

    The connection has the class, the parameters, the search path and the role of the first one. It is no connection of
    a pool: it is closed at the end, and whatever it has not committed is rolled back.
    """
    session = database.execute_sql(_SESSION).fetchone()
    second = _like(database)
    second.connect()
    connection = second.connection()
    try:
        second.execute_sql(_AS_THE_FIRST, session)
        yield second
    finally:
        second.dispose()  # not close(), which refuses to close an open transaction
        connection.close()


def _like(database: peewee.PostgresqlDatabase) -> peewee.PostgresqlDatabase:
    kind = type(database)
    held = vars(database)
    like = kind.__new__(kind)
    vars(like).update(
        held,
        query_hooks=[],
        _state=type(held["_state"])(),
        _connections=[],  # this and the next one belong to a pool
        _in_use={},
    )
    return like
