"""Create and drop the triggers on the host's `events` table. These triggers register and delete sessions.

The SQL of the triggers is only in the newest migration that creates them; `Triggers` returns the module of that
migration. A block of `Recording` records in the log of the migrations that the triggers were created or dropped.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import peewee

from usage_store.engines.sqlite.file.write_transaction import write_transaction
from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from types import ModuleType

    Triggers = Callable[[peewee.SqliteDatabase], ModuleType]
    Recording = Callable[[], AbstractContextManager[None]]

logger = logging.getLogger("usage_store")

NAMES = ("usage_events_inserted", "usage_events_deleted", "usage_events_moved")
_THERE = f"""
SELECT name, lower(tbl_name) = 'events' AND instr(sql, 'usage_store_state') FROM sqlite_master
WHERE type = 'trigger' AND name IN {NAMES}
UNION ALL SELECT NULL, 1 FROM sqlite_master WHERE type = 'table' AND name = 'events' COLLATE NOCASE
"""  # noqa: S608  older triggers do not use usage_store_state
_INDEXED = """
SELECT number, EXISTS (
  SELECT 1 FROM pragma_index_list('events', 'main') AS i, pragma_index_info(i.name, 'main') AS c
  WHERE NOT i.partial AND c.seqno = 0 AND c.name = 'session_id' COLLATE NOCASE)
FROM usage_store_state WHERE name = 'events_indexed'
"""
_COUNTS = "FROM usage_store_state WHERE name >= 'session:' AND name < 'session;'"


def follow(database: peewee.SqliteDatabase, triggers: Triggers, recording: Recording) -> None:
    """Create the triggers again if they are missing, on another table or of an older version, and log one line.

    If the triggers are right, or there is no usable events table, this only reads the schema and the list of indexes.
    """
    rows = database.execute_sql(_THERE).fetchall()
    if (None, 1) not in rows:
        return
    if sum(bool(right) for name, right in rows if name) == len(NAMES):
        note_index(database)
        return
    migration = triggers(database)
    if not migration.host_has_events(database):
        return
    try:
        with write_transaction(database):
            if database.execute_sql(_THERE).fetchall() != rows:
                return  # another process has created the triggers
            with recording():
                _make(database, migration)
    except peewee.OperationalError as error:
        if "readonly" not in str(error):
            raise
        logger.warning(
            "the events table is not followed, and this process cannot write the database: call init_database() as a "
            "user who can"
        )
    else:
        logger.warning(
            "the events table is followed from now on: its triggers were missing, on another table, or too old"
        )


def link(database: peewee.SqliteDatabase, triggers: Triggers, recording: Recording) -> None:
    """Create the triggers, and register the sessions of all events.

    Raises ConfigurationError without a usable events table, or if the usage tables are older than version 3.
    """
    migration = triggers(database)
    with write_transaction(database):
        if not migration.host_has_events(database):
            raise ConfigurationError("there is no events table with a session_id column to follow")
        if not database.table_exists("usage_store_state"):
            raise ConfigurationError(
                "the usage tables of version 3 are missing; `usage-store migrate --usage-tables` creates them"
            )
        with recording():
            _make(database, migration)


def register(database: peewee.SqliteDatabase, triggers: Triggers) -> None:
    """Register the sessions of the existing events, if the triggers exist. Reads all events."""
    if made(database):
        database.execute_sql(triggers(database).BACKFILL)


def unfollow(database: peewee.SqliteDatabase, recording: Recording) -> None:
    """Drop the triggers."""
    with write_transaction(database), recording():
        for name in NAMES:
            database.execute_sql(f"DROP TRIGGER IF EXISTS {name}")


def made(database: peewee.SqliteDatabase) -> bool:
    """Return whether at least one of the triggers exists, on any table. Reads only."""
    return any(name for name, _ in database.execute_sql(_THERE).fetchall())


def note_index(database: peewee.SqliteDatabase) -> None:
    """Store for the triggers whether `events` has an index on `session_id`. Writes only if that has changed."""
    noted = database.execute_sql(_INDEXED).fetchone()
    if noted is not None and noted[0] != noted[1]:
        database.execute_sql("UPDATE usage_store_state SET number = ? WHERE name = 'events_indexed'", noted[1:])


def forget_counts(database: peewee.SqliteDatabase) -> None:
    """Delete the counts that the triggers stored for one statement and that are no longer needed.

    Writes only if there are such counts.
    """
    if database.execute_sql(f"SELECT 1 {_COUNTS} LIMIT 1").fetchone():
        database.execute_sql(f"DELETE {_COUNTS}")


def _make(database: peewee.SqliteDatabase, migration: ModuleType) -> None:
    for name, sql in migration.event_triggers(database).items():
        database.execute_sql(f"DROP TRIGGER IF EXISTS {name}")
        database.execute_sql(sql)
    database.execute_sql(migration.INDEXED)
    database.execute_sql(migration.BACKFILL)
