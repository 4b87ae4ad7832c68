"""Read and write whole stores for `usage_store.copy_store`: every row with its id, in short statements."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import peewee

from usage_store.engines.postgresql.connection.driver import database_errors
from usage_store.engines.postgresql.connection.error_messages import raise_for
from usage_store.engines.postgresql.connection.write_transaction import write_transaction
from usage_store.errors import InvalidValue
from usage_store.models.fields import snapshot_input
from usage_store.models.postgresql.rows.fetch_rows import fetch
from usage_store.models.postgresql.rows.insert_rows import check_session_id, refused_because
from usage_store.models.postgresql.rows.list_rows import COLUMNS, snapshots

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

WRITERS = 2  # more would wait for the processors of most servers
_PAGE_ROWS, _PAGE_BYTES = 1000, 4 * 2**20  # a page ends with the row that reaches one of the two
_PAGE = f"""
SELECT {COLUMNS} FROM (SELECT {COLUMNS}, sum(octet_length(snapshot_data)) OVER (
    ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
  FROM (SELECT {COLUMNS} FROM usage_snapshots WHERE id > %s AND id <= %s ORDER BY id LIMIT {{rows}}) AS p
) AS s WHERE before IS NULL OR before < {{bytes}} ORDER BY id
"""  # noqa: S608
_REFERENCES = f"""
SELECT {COLUMNS} FROM usage_snapshots
WHERE id > %s AND octet_length(snapshot_data) < 20 AND snapshot_data ~ '^[0-9]+:[0-9]+$' ORDER BY id
"""  # noqa: S608
_SESSIONS = 'SELECT session_id, created_at FROM usage_sessions ORDER BY session_id COLLATE "C"'
_PUT_SESSIONS = """
INSERT INTO usage_sessions (session_id, created_at) SELECT * FROM unnest(%s::text[], %s::bigint[])
ON CONFLICT (session_id) DO UPDATE SET created_at = excluded.created_at
WHERE usage_sessions.created_at <> excluded.created_at
"""
_COPY = f"COPY usage_snapshots ({COLUMNS}) FROM STDIN (FORMAT BINARY)"
_TYPES = ("int8", "text", "text", "text", "int8")
_INSERT = f"INSERT INTO usage_snapshots ({COLUMNS}) VALUES (%s, %s, %s, %s, %s)"  # noqa: S608
_LAST = """
SELECT CASE WHEN has_sequence_privilege(s, 'USAGE, SELECT') THEN pg_sequence_last_value(s) END
FROM (SELECT pg_get_serial_sequence('{0}', 'id')::regclass AS s) AS q
"""
_RAISE = """
SELECT setval(pg_get_serial_sequence('{0}', 'id'), last) FROM (SELECT greatest(%s::bigint, (SELECT max(id) FROM {0}),
  pg_sequence_last_value(pg_get_serial_sequence('{0}', 'id')::regclass)) AS last) AS l WHERE last >= 1
"""


def doubtful(
    database: peewee.PostgresqlDatabase,
    after: int,
    sessions: Container[str],  # noqa: ARG001  every row has a registered one
) -> Iterator[tuple[int, list[tuple[Any, ...]]]]:
    """Yield the snapshots with ids above `after` that are references, because their texts are gone. Reads only."""
    yield 0, snapshots(database, _REFERENCES, (after,))


def unfit(database: peewee.PostgresqlDatabase, session_id: str, text: str) -> str | None:
    """Return why this server cannot hold a session id or a text, or None if it can. Reads only."""
    try:
        check_session_id(session_id)
        if "\0" in session_id:
            return "its session id has the character NUL"
        if "\0" in text:
            return "its text has the character NUL"
        snapshot_input.prove(text)
    except InvalidValue as error:
        return str(error)
    if snapshot_input.may_be_deep(text) and not refused_because(database, text, session_id)[0]:
        return "its JSON is nested too deeply for the server"
    return None


def pages(database: peewee.PostgresqlDatabase, after: int, last: int) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the snapshots with ids above `after`, up to `last`, by id. Reads only."""
    page = _PAGE.format(rows=_PAGE_ROWS, bytes=_PAGE_BYTES)
    while after < last and (rows := snapshots(database, page, (after, last))):
        yield rows
        after = rows[-1][0]


def sessions(database: peewee.PostgresqlDatabase) -> dict[str, int]:
    """Return the sessions with the times of their registration (seconds, UTC). Reads only."""
    return dict(fetch(database, _SESSIONS))


def put_configurations(database: peewee.PostgresqlDatabase, columns: Sequence[str], rows: Sequence[Any]) -> None:
    """Replace all configurations."""
    places = ", ".join(["%s"] * len(columns))
    with _writing(database):
        database.execute_sql("DELETE FROM usage_config")
        for row in rows:
            database.execute_sql(f"INSERT INTO usage_config ({', '.join(columns)}) VALUES ({places})", row)  # noqa: S608


def put_sessions(database: peewee.PostgresqlDatabase, rows: Mapping[str, int]) -> None:
    """Insert sessions with the times of their registration. Those that are there get these times."""
    with _writing(database):
        database.execute_sql(_PUT_SESSIONS, (list(rows), list(rows.values())))


def put_snapshots(database: peewee.PostgresqlDatabase, rows: Iterable[Sequence[Any]]) -> None:
    """Insert snapshots with their ids in one transaction. With psycopg 3, they are copied in while `rows` is read."""
    with _writing(database):
        cursor: Any = database.cursor()
        if not hasattr(cursor, "copy"):
            cursor.executemany(_INSERT, list(rows))
            return
        with cursor.copy(_COPY) as copy:
            copy.set_types(_TYPES)  # in binary, neither side has to look for characters to escape
            for row in rows:
                copy.write_row(row)


def last_ids(database: peewee.PostgresqlDatabase, tables: Sequence[str]) -> dict[str, int]:
    """Return the highest id that each table has ever given to a row. Reads only.

    Tables without one are left out, and those whose sequence the role has no right to see.
    """
    found = {table: fetch(database, _LAST.format(table))[0][0] for table in tables}
    return {table: last for table, last in found.items() if last is not None}


def raise_ids(database: peewee.PostgresqlDatabase, table: str, last: int) -> None:
    """Let the next id of a table be above `last` and above the ids of all rows."""
    fetch(database, _RAISE.format(table), (last,))


@contextmanager
def _writing(database: peewee.PostgresqlDatabase) -> Iterator[None]:
    """Run the block in a transaction, and raise errors of the server as one line."""
    try:
        with write_transaction(database), peewee.__exception_wrapper__:  # type: ignore[attr-defined]  # not in the stubs
            yield
    except database_errors() as error:
        raise_for(error, database)
