"""See each statement of a connection that may write, before it runs, so that a test can end the process there."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from usage_store.engines.postgresql.migrating.watched.seen_statements import seeing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import peewee

_READS = re.compile(r"\s*(--|SELECT\b|SHOW\b|EXPLAIN\b|VALUES\b)", re.IGNORECASE)


@contextmanager
def before_each_write(database: peewee.PostgresqlDatabase, call: Callable[[str], object]) -> Iterator[None]:
    """Call a function with the SQL of each statement of this connection in the block that may write, before it runs.

    BEGIN and COMMIT are among them.
    """
    with seeing(database, before=lambda sql: None if _READS.match(sql) else call(sql)):
        yield
