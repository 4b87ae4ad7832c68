"""The database engines: which one a database belongs to, and what is asked of each."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import peewee

from usage_store.engines.sqlite.connection.driver import check_sqlite, main_file, require_supported
from usage_store.engines.sqlite.connection.error_messages import readable_errors
from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator


def unwrap(database: peewee.Database | peewee.DatabaseProxy) -> peewee.SqliteDatabase:
    """Give the SQLite database behind a Database or an initialised DatabaseProxy, or raise ConfigurationError."""
    inner = database.obj if isinstance(database, peewee.DatabaseProxy) else database
    if inner is None:
        raise ConfigurationError("the DatabaseProxy is not initialised; call its initialize(database) first")
    return require_supported(inner)


@contextmanager
def connected(database: peewee.SqliteDatabase) -> Iterator[None]:
    """Be connected for the block, with one-line errors for a database that is broken, locked or too old.

    A closed database is closed again afterwards, but not one in memory, which would be gone.
    """
    opened = in_memory = False
    try:
        with readable_errors(str(database.database)):
            opened = database.connect(reuse_if_open=True)
            in_memory = not main_file(database)
            check_sqlite(database.execute_sql("SELECT sqlite_version()").fetchone()[0])
            yield
    finally:
        if opened and not in_memory:
            database.close()
