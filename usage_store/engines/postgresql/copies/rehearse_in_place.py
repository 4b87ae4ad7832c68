"""Rehearse migrations inside the database itself, in a transaction that is rolled back, or on a copy of the user's."""

from __future__ import annotations

import logging
import secrets
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from usage_store.engines.postgresql.connection.names import name_of
from usage_store.engines.postgresql.connection.open_server import refuse_standby
from usage_store.engines.postgresql.copies.nothing_lasts import nothing_lasts
from usage_store.engines.postgresql.copies.second_connection import second_connection
from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    import peewee

logger = logging.getLogger("usage_store.migrate")

_SETTING = "SET default_transaction_{} = {}"
# A standby has the server's number of its primary. A lock that both connections see shows that the server is the same.
_WHERE = "SELECT current_schema(), pg_is_in_recovery()"
_SYSTEM = "SELECT system_identifier FROM pg_catalog.pg_control_system()"
_LOCK = "SELECT pg_catalog.pg_advisory_lock({}, {})"
_UNLOCK = "SELECT pg_catalog.pg_advisory_unlock({}, {})"
_IS_LOCKED = """
SELECT EXISTS (
  SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND classid = {} AND objid = {} AND objsubid = 2
  AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
)
"""


@contextmanager
def whole_copy(
    database: peewee.PostgresqlDatabase,
    directory: Path | None,  # noqa: ARG001  the interface's signature
    on_progress: Callable[[int, int], None] | None,  # noqa: ARG001
    hold: Callable[[peewee.PostgresqlDatabase], AbstractContextManager[object]] = nullcontext,
) -> Iterator[peewee.PostgresqlDatabase]:
    """Provide a second connection for the block, in a transaction that the server can only roll back.

    There is no copy: the block works on the tables themselves. What it changes stays locked for others until its end,
    and a warning says so. The block does not see what others commit meanwhile. Values that sequences give are not
    taken back. `hold` makes the context manager that holds the migration lock of the second connection.
    """
    refuse_standby(database)
    logger.warning(
        "rehearsing inside %s: nothing is committed, but others wait until the end for each table that a migration "
        "changes",
        name_of(database),
    )
    with second_connection(database) as second:
        second.execute_sql(_SETTING.format("read_only", "off"))  # the first connection may be opened for reading only
        with hold(second):
            second.execute_sql(_SETTING.format("isolation", "'repeatable read'"))
            try:
                with nothing_lasts(second):
                    yield second
            finally:
                if not second.is_closed():
                    second.execute_sql(_SETTING.format("read_only", "off"))  # so that the lock can be given up


def check_copy(database: peewee.PostgresqlDatabase, copy: peewee.PostgresqlDatabase) -> None:
    """Raise ConfigurationError if both are the same schema of the same database, or one is a standby. Reads only."""
    schema, is_standby = _asked(database, _WHERE)
    other, copy_is_standby = _asked(copy, _WHERE)
    if is_standby or copy_is_standby:
        same = _asked(database, _SYSTEM) == _asked(copy, _SYSTEM)
    else:
        same = schema == other and _on_one_server(database, copy)
    if same:
        raise ConfigurationError(
            f"{name_of(copy)}: this is the database itself, and migrations would stay in it; name a copy of it, or "
            "leave --in out"
        )


def _on_one_server(database: peewee.PostgresqlDatabase, copy: peewee.PostgresqlDatabase) -> bool:
    """Return whether two connections are to the same database of the same server."""
    key = secrets.randbelow(2**31), secrets.randbelow(2**31)
    _asked(database, _LOCK.format(*key))
    try:
        return bool(_asked(copy, _IS_LOCKED.format(*key))[0])
    finally:
        _asked(database, _UNLOCK.format(*key))


def _asked(database: peewee.PostgresqlDatabase, sql: str) -> tuple[Any, ...]:
    row: tuple[Any, ...] = database.execute_sql(sql).fetchone()
    return row
