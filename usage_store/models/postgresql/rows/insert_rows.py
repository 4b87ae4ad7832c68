"""Insert snapshots and sessions by fixed SQL. Peewee would need longer to build a query than the server to run it."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import chain
from typing import TYPE_CHECKING, Any

import peewee

from usage_store.engines.postgresql.connection.driver import database_errors
from usage_store.engines.postgresql.connection.error_messages import raise_for, sqlstate
from usage_store.engines.postgresql.connection.write_transaction import has_failed, in_transaction, write_transaction
from usage_store.errors import InvalidValue
from usage_store.models.fields import snapshot_input
from usage_store.models.postgresql.rows.fetch_rows import fetch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from usage_store.models.fields.snapshot_input import Row

_COLUMNS = "usage_snapshots (session_id, snapshot_data, snapshot_type, timestamp)"
# An unknown session gives no row. An error, as of the foreign key, would end the transaction of the host.
_INSERT = f"""
INSERT INTO {_COLUMNS} SELECT session_id, %s, %s, %s FROM usage_sessions WHERE session_id = %s{{}} RETURNING id
"""  # noqa: S608
_ALONE = _INSERT.format("")
# Without the lock, the foreign key raises an error if another connection is deleting the session. The lock needs the
# right to update the session, so it is taken only where an error would do harm.
_IN_TRANSACTION = _INSERT.format(" FOR KEY SHARE")
_COPY = f"COPY {_COLUMNS} FROM STDIN (FORMAT BINARY)"
_TYPES = ("text", "text", "text", "int8")
_VALUES, _VALUES_ROWS = "(%s, %s, %s, %s)", 100
_KNOWN = "SELECT 1 FROM usage_sessions WHERE session_id = %s"
_IS_JSON = "SELECT %s::json IS NOT NULL"
# Two connections that register the same sessions wait for each other in one direction only, because of the order.
_REGISTER = """
INSERT INTO usage_sessions (session_id) SELECT id FROM unnest(%s::text[]) AS id ORDER BY id COLLATE "C"
ON CONFLICT DO NOTHING
"""
_NOT_JSON = ("22P02", "54001")  # invalid_text_representation; statement_too_complex, for JSON that is nested too deeply
_REFUSALS = (*_NOT_JSON, "23503")  # foreign_key_violation
_LONGEST_ID = 1000  # bytes, as in the table's CHECK
_SHORT = 20  # bytes; the table's CHECK lets shorter texts be references to blocks


def insert(database: peewee.PostgresqlDatabase, row: Row) -> int | None:
    """Insert a snapshot and return its id.

    If the text is not JSON, or the session is unknown, nothing is inserted, and the result is None. It is 0 if a
    trigger of the host leaves the row out. A transaction of the host goes on. Raises InvalidValue for a session id of
    more than 1,000 bytes, and for a text that is known not to be JSON before it is sent.
    """
    session, text, _, kind, seconds = row
    check_session_id(session)
    if len(text) < _SHORT:
        snapshot_input.prove(text)
    values = (text, kind, seconds, session)
    try:
        if not in_transaction(database):
            return _inserted(database, _ALONE, values)
        snapshot_input.prove(text)
        # Python may read JSON that is nested too deeply for the server.
        with write_transaction(database) if snapshot_input.may_be_deep(text) else nullcontext():
            return _inserted(database, _IN_TRANSACTION, values)
    except database_errors() as error:
        if sqlstate(error) not in _REFUSALS or has_failed(database) or all(refused_because(database, text, session)):
            raise
        return None


def _inserted(database: peewee.PostgresqlDatabase, sql: str, values: Sequence[Any]) -> int | None:
    for _ in range(2):  # again if the session was registered after the first statement
        if rows := _ids(database.execute_sql(sql, values)):
            return rows[0]
        if not fetch(database, _KNOWN, values[-1:]):
            return None
    return 0


def _ids(cursor: Any) -> list[int]:
    return [row["id"] if isinstance(row, dict) else row[0] for row in cursor.fetchall()]


def insert_many(database: peewee.PostgresqlDatabase, rows: Sequence[Row]) -> int:
    """Insert snapshots and return their number. Raises IntegrityError if `insert` would refuse a row of them.

    Then nothing is inserted, and the transaction goes on. psycopg 3 copies the rows in; psycopg2 inserts them.
    """
    for session, text, *_ in rows:
        if not _is_short_enough(session) or (len(text) < _SHORT and not _is_json(text)):
            raise peewee.IntegrityError("a session id is too long, or a text is not JSON")
    try:
        with write_transaction(database), peewee.__exception_wrapper__:  # type: ignore[attr-defined]  # not in the stubs
            cursor: Any = database.cursor()
            return _copy(cursor, rows) if hasattr(cursor, "copy") else _insert_in_parts(cursor, rows)
    except database_errors() as error:
        if sqlstate(error) in _NOT_JSON:
            raise peewee.IntegrityError(str(error)) from error
        raise_for(error, database)


def _copy(cursor: Any, rows: Sequence[Row]) -> int:
    with cursor.copy(_COPY) as copy:
        copy.set_types(_TYPES)  # in binary, neither side has to look for characters to escape
        for session, text, _, kind, seconds in rows:
            copy.write_row((session, text, kind, seconds))
    return int(cursor.rowcount)


def _insert_in_parts(cursor: Any, rows: Sequence[Row]) -> int:
    total = 0
    for first in range(0, len(rows), _VALUES_ROWS):
        part = rows[first : first + _VALUES_ROWS]
        values = chain.from_iterable((row[0], row[1], row[3], row[4]) for row in part)
        cursor.execute(f"INSERT INTO {_COLUMNS} VALUES {', '.join([_VALUES] * len(part))}", tuple(values))  # noqa: S608
        total += cursor.rowcount
    return total


def refused_because(database: peewee.PostgresqlDatabase, text: str, session_id: str) -> tuple[bool, bool]:
    """Return whether the server accepts a text as JSON, and whether a session is registered. Reads only.

    A transaction of the host goes on. Raises InvalidValue for a session id of more than 1,000 bytes.
    """
    check_session_id(session_id)
    if not _is_json(text):
        return False, True
    try:
        with write_transaction(database):
            database.execute_sql(_IS_JSON, (text,))
    except database_errors() as error:
        if sqlstate(error) in _NOT_JSON:
            return False, True
        raise_for(error, database)
    return True, bool(fetch(database, _KNOWN, (session_id,)))


def _is_json(text: str) -> bool:
    try:
        snapshot_input.prove(text)
    except InvalidValue:
        return False
    return True


def register(database: peewee.PostgresqlDatabase, session_ids: Iterable[str]) -> int:
    """Register sessions, all or none, and return how many were not registered before.

    Raises InvalidValue for a session id of more than 1,000 bytes.
    """
    given = list(session_ids)
    for session_id in given:
        check_session_id(session_id)
    try:
        cursor = database.execute_sql(_REGISTER, (given,))
    except database_errors() as error:
        raise_for(error, database)
    return max(0, int(cursor.rowcount))


def check_session_id(session_id: str) -> None:
    """Raise InvalidValue for a session id of more than 1,000 bytes. The server has no index entries for long texts."""
    if not _is_short_enough(session_id):
        raise InvalidValue("session_id", session_id, f"a text of at most {_LONGEST_ID:,} bytes on PostgreSQL")


def _is_short_enough(session_id: str) -> bool:
    return len(session_id) <= _LONGEST_ID // 4 or len(session_id.encode()) <= _LONGEST_ID
