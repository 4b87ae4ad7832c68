"""Create and drop the triggers on the host's `events` table. These triggers register and delete sessions.

The SQL of the triggers is only in the newest migration that creates them; `Triggers` returns the module of that
migration. A block of `Recording` records in the log of the migrations that the triggers were created or dropped.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

import peewee

from usage_store.engines.postgresql.connection.error_messages import sqlstate
from usage_store.engines.postgresql.connection.open_server import plain_connection
from usage_store.engines.postgresql.connection.write_transaction import in_transaction, write_transaction
from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from types import ModuleType

    Triggers = Callable[[peewee.PostgresqlDatabase], ModuleType]
    Recording = Callable[[], AbstractContextManager[None]]

logger = logging.getLogger("usage_store")

NAMES = (
    "usage_events_inserted",
    "usage_events_deleted",
    "usage_events_moved",
    "usage_events_truncated",
    "usage_sessions_settled",
)
# The functions name the schemas, so they are wrong after a schema was renamed. The name of `events` stands there in a
# string, with each quote doubled.
_THERE = """
SELECT g.tgname::text, g.tgenabled <> 'D' AND g.tgrelid IN (e.oid, to_regclass('usage_sessions_ended'))
  AND (p.proname = 'usage_events_inserted' OR strpos(replace(p.prosrc, '''''', ''''), e.name) > 0)
  AND strpos(p.prosrc, quote_ident(current_schema()) || '.usage_sessions') > 0
FROM (
  SELECT c.oid, quote_ident(n.nspname) || '.events' AS name
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
  WHERE c.relname = 'events' AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname = ANY (current_schemas(false))
  ORDER BY array_position(current_schemas(false), n.nspname) LIMIT 1
) AS e FULL JOIN (
  pg_trigger AS g JOIN pg_proc AS p ON p.oid = g.tgfoid AND p.proname = ANY (%s) AND g.tgparentid = 0
    AND p.pronamespace = quote_ident(current_schema())::regnamespace
) ON true
"""
_MADE = """
SELECT quote_ident(g.tgname), g.tgrelid::regclass::text FROM pg_trigger AS g JOIN pg_proc AS p ON p.oid = g.tgfoid
WHERE p.proname = ANY (%s) AND p.pronamespace = quote_ident(current_schema())::regnamespace AND g.tgparentid = 0
"""
_REFUSED = ("42501", "25006")  # insufficient_privilege; read_only_sql_transaction


def follow(database: peewee.PostgresqlDatabase, triggers: Triggers, recording: Recording) -> None:
    """Create the triggers again if they are missing, on another table or of an older version, and log one line.

    If the triggers are right, or there is no usable events table, this only reads the catalogs.
    """
    if _are_right(_there(database)):
        return
    migration = triggers(database)
    if not migration.host_has_events(database):
        return
    try:
        with _read_committed(database):
            if _are_right(_there(database)):
                return  # another process has created the triggers
            with recording():
                migration.link_events(database)
    except peewee.DatabaseError as error:
        if sqlstate(error) not in _REFUSED:
            raise
        logger.warning(
            "the events table is not followed, and this process cannot write the database: call init_database() as a "
            "user who can"
        )
    else:
        logger.warning(
            "the events table is followed from now on: its triggers were missing, on another table, or too old"
        )


def link(database: peewee.PostgresqlDatabase, triggers: Triggers, recording: Recording) -> None:
    """Create the triggers, and register the sessions of all events.

    Raises ConfigurationError without a usable events table, or if the usage tables are older than version 3.
    """
    migration = triggers(database)
    with plain_connection(database), _read_committed(database):
        if not migration.host_has_events(database):
            raise ConfigurationError(
                "there is no events table with a session_id column to follow, or this role may not follow it; "
                "`usage-store migrate status` says which"
            )
        if database.execute_sql("SELECT to_regclass('usage_sessions_ended')").fetchone()[0] is None:
            raise ConfigurationError(
                "the usage tables of version 3 are missing; `usage-store migrate --usage-tables` creates them"
            )
        with recording():
            migration.link_events(database)


def register(database: peewee.PostgresqlDatabase, triggers: Triggers) -> None:
    """Register the sessions of the existing events, if the triggers exist. Reads all events."""
    if made(database):
        triggers(database).register_events(database)


def unfollow(database: peewee.PostgresqlDatabase, recording: Recording) -> None:
    """Drop the triggers."""
    with _read_committed(database), recording():
        # The functions cannot stay without the triggers, and the notes mean nothing without the functions.
        for trigger, table in database.execute_sql(_MADE, (list(NAMES),)).fetchall():
            database.execute_sql(f"DROP TRIGGER {trigger} ON {table}".replace("%", "%%"))
        for name in NAMES:
            database.execute_sql(f"DROP FUNCTION IF EXISTS {name}()")
        database.execute_sql("DELETE FROM usage_sessions_ended")


def made(database: peewee.PostgresqlDatabase) -> bool:
    """Return whether at least one of the triggers exists, on any table. Reads only."""
    return database.execute_sql(_MADE, (list(NAMES),)).fetchone() is not None


def _there(database: peewee.PostgresqlDatabase) -> list[tuple[str | None, bool | None]]:
    """Return the name of each trigger and whether it is right; one row without a name if there are no triggers.

    There are no rows, or only triggers that are not right, if there is no events table.
    """
    rows: list[tuple[str | None, bool | None]] = database.execute_sql(_THERE, (list(NAMES),)).fetchall()
    return rows


def _are_right(there: list[tuple[str | None, bool | None]]) -> bool:
    return not there or sum(bool(right) for name, right in there if name) == len(NAMES)


@contextmanager
def _read_committed(database: peewee.PostgresqlDatabase) -> Iterator[None]:
    """Run the block in a transaction that sees what others commit, or in a savepoint of the open transaction."""
    nested = in_transaction(database)
    with write_transaction(database):
        if not nested:  # events that are inserted while this waits for the table are to be registered too
            database.execute_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        yield
