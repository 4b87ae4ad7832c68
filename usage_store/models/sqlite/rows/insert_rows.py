"""Insert snapshots and sessions by fixed SQL. Peewee would need longer to build a query than SQLite to run it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import peewee

from usage_store.engines.sqlite.connection.error_messages import raise_of_a_statement
from usage_store.engines.sqlite.file.write_transaction import write_transaction
from usage_store.models.sqlite.rows.peewee_queries import fetch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from usage_store.models.fields.snapshot_input import Row

# An unknown session and a text that is not JSON become NULL, and the columns refuse NULL. This also works on
# connections that do not check foreign keys. INSERT ... SELECT would be slower: the table has triggers, so SQLite would
# first copy each row to a temporary table.
_INSERT = (
    "INSERT INTO usage_snapshots (session_id, snapshot_data, snapshot_type, timestamp) "
    "VALUES ((SELECT session_id FROM usage_sessions WHERE session_id = ?), iif(json_valid(?), ?, NULL), ?, ?)"
)
_REFUSALS = tuple(f"NOT NULL constraint failed: usage_snapshots.{column}" for column in ("session_id", "snapshot_data"))
_WHY = "SELECT json_valid(?), EXISTS (SELECT 1 FROM usage_sessions WHERE session_id = ?)"
_REGISTER = "INSERT INTO usage_sessions (session_id) VALUES (?) ON CONFLICT DO NOTHING"


def insert(database: peewee.SqliteDatabase, row: Row) -> int | None:
    """Insert a snapshot and return its id.

    If the text is not JSON, or the session is unknown, nothing is inserted, and the result is None. It is 0 if a
    trigger of the host leaves the row out.
    """
    try:
        cursor = database.execute_sql(_INSERT, row)
    except peewee.IntegrityError as error:
        if str(error) in _REFUSALS:
            return None
        raise
    return cursor.lastrowid if cursor.rowcount == 1 else 0


def insert_many(database: peewee.SqliteDatabase, rows: Sequence[Row]) -> int:
    """Insert snapshots and return their number. Raises IntegrityError at the first row that `insert` would refuse."""
    return execute_many(database, _INSERT, rows)


def refused_because(database: peewee.SqliteDatabase, text: str, session_id: str) -> tuple[bool, bool]:
    """Return whether the database accepts a text as JSON, and whether a session is registered. Reads only."""
    ((valid, known),) = fetch(database, _WHY, (text, session_id))
    return bool(valid), bool(known)


def register(database: peewee.SqliteDatabase, session_ids: Iterable[str]) -> int:
    """Register sessions, all or none, and return how many were not registered before."""
    rows = [(session_id,) for session_id in session_ids]
    with write_transaction(database):
        return max(0, execute_many(database, _REGISTER, rows))


def check_session_id(session_id: str) -> None:
    """Do nothing: SQLite stores ids of any length."""


def execute_many(database: peewee.SqliteDatabase, sql: str, rows: Iterable[Sequence[Any]]) -> int:
    """Run a statement once for each row of values, and return the number of changed rows."""
    cursor = database.cursor()
    try:
        with peewee.__exception_wrapper__:  # type: ignore[attr-defined]  # not in peewee's stubs
            cursor.executemany(sql, rows)
    except peewee.DatabaseError as error:
        raise_of_a_statement(error, str(database.database))
    return int(cursor.rowcount)
