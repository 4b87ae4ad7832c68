"""See each statement of a connection that may write, before it runs, so that a test can end the process there."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import peewee

_READS = re.compile(r"\s*(--|SELECT\b|PRAGMA\b|EXPLAIN\b|VALUES\b)", re.IGNORECASE)


@contextmanager
def before_each_write(database: peewee.SqliteDatabase, call: Callable[[str], object]) -> Iterator[None]:
    """Call a function with the SQL of each statement of this connection in the block that may write, before it runs.

    BEGIN and COMMIT are among them. The function is called again for each statement of a trigger. It replaces a trace
    callback that was set before.
    """
    connection = database.connection()
    connection.set_trace_callback(lambda sql: None if _READS.match(sql) else call(sql))
    try:
        yield
    finally:
        connection.set_trace_callback(None)
