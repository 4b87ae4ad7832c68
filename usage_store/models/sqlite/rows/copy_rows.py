"""Read and write whole stores for `usage_store.copy_store`: every row with its id, in short statements."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from usage_store.engines.sqlite.connection.pragma_for_a_block import pragma_set
from usage_store.engines.sqlite.file.write_transaction import write_transaction
from usage_store.models.sqlite.rows.block_format import BLOCK
from usage_store.models.sqlite.rows.insert_rows import execute_many
from usage_store.models.sqlite.rows.list_rows import SNAPSHOTS
from usage_store.models.sqlite.rows.pages_of_rows import one_page
from usage_store.models.sqlite.rows.peewee_queries import fetch

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    import peewee

WRITERS = 1
_PAGE_ROWS = 500
_PAGE = f"{SNAPSHOTS} WHERE id > ? AND id <= ? ORDER BY id LIMIT {_PAGE_ROWS}"
# The place of the timestamp has whether the text is JSON.
_TEXT = f"CASE typeof(snapshot_data) WHEN 'blob' THEN usage_json(snapshot_data, {BLOCK}) ELSE snapshot_data END"
_CHECKED = f"""
SELECT id, session_id, snapshot_data, snapshot_type, json_valid({_TEXT}), {BLOCK}
FROM usage_snapshots WHERE id > ? ORDER BY id LIMIT {_PAGE_ROWS}
"""  # noqa: S608
_SESSIONS = "SELECT session_id, created_at FROM usage_sessions ORDER BY session_id"
_PUT_SESSION = """
INSERT INTO usage_sessions (session_id, created_at) VALUES (?, ?)
ON CONFLICT (session_id) DO UPDATE SET created_at = excluded.created_at
"""
_PUT_SNAPSHOTS = "INSERT INTO usage_snapshots (id, session_id, snapshot_data, snapshot_type, timestamp) VALUES"
_VALUES = "(?, ?, ?, ?, ?)"
_PUT_ROWS = 50  # of a statement. SQLite logs the pages that a statement changes, because a trigger may undo it
_CACHE = -64 * 1024  # PRAGMA cache_size, in KiB: a transaction changes more pages than the usual cache holds
_LAST = "SELECT seq FROM sqlite_sequence WHERE name = ?"
_RAISE = "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?"
_START = (
    "INSERT INTO sqlite_sequence (name, seq) SELECT ?2, ?1 "
    "WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ?2)"
)


def doubtful(
    database: peewee.SqliteDatabase, after: int, sessions: Container[str]
) -> Iterator[tuple[int, list[tuple[Any, ...]]]]:
    """Yield the number of snapshots that were looked at, and those of them that PostgreSQL may refuse. Reads only."""
    while rows := fetch(database, _CHECKED, (after,), one_page):
        yield (
            len(rows),
            [row for row in rows if not row[4] or type(row[2]) is not str or "\0" in row[2] or row[1] not in sessions],
        )
        after = rows[-1][0]


def unfit(database: peewee.SqliteDatabase, session_id: str, text: str) -> str | None:  # noqa: ARG001
    """Return None: SQLite holds every session id and text that another engine holds. Reads only."""
    return None


def pages(database: peewee.SqliteDatabase, after: int, last: int) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the snapshots with ids above `after`, up to `last`, by id. Reads only."""
    while after < last and (rows := fetch(database, _PAGE, (after, last), one_page)):
        yield [row[:5] for row in rows]
        after = rows[-1][0]


def sessions(database: peewee.SqliteDatabase) -> dict[str, int]:
    """Return the sessions with the times of their registration (seconds, UTC). Reads only."""
    return dict(fetch(database, _SESSIONS))


def put_configurations(database: peewee.SqliteDatabase, columns: Sequence[str], rows: Sequence[Any]) -> None:
    """Replace all configurations."""
    places = ", ".join("?" * len(columns))
    with write_transaction(database):
        database.execute_sql("DELETE FROM usage_config")
        execute_many(database, f"INSERT INTO usage_config ({', '.join(columns)}) VALUES ({places})", rows)  # noqa: S608


def put_sessions(database: peewee.SqliteDatabase, rows: Mapping[str, int]) -> None:
    """Insert sessions with the times of their registration. Those that are there get these times."""
    with write_transaction(database):
        execute_many(database, _PUT_SESSION, rows.items())


def put_snapshots(database: peewee.SqliteDatabase, rows: Iterable[Sequence[Any]]) -> None:
    """Insert snapshots with their ids in one transaction. Each is stored as a plain text."""
    given = iter(rows)
    with pragma_set(database, "cache_size", _CACHE), write_transaction(database):
        while part := list(islice(given, _PUT_ROWS)):
            sql = f"{_PUT_SNAPSHOTS} {', '.join([_VALUES] * len(part))}"
            execute_many(database, sql, [tuple(chain.from_iterable(part))])


def last_ids(database: peewee.SqliteDatabase, tables: Sequence[str]) -> dict[str, int]:
    """Return the highest id that each table has ever given to a row; tables without one are left out. Reads only."""
    return {table: int(rows[0][0] or 0) for table in tables if (rows := fetch(database, _LAST, (table,)))}


def raise_ids(database: peewee.SqliteDatabase, table: str, last: int) -> None:
    """Let the next id of a table be above `last` and above the ids of all rows."""
    with write_transaction(database):
        for sql in (_RAISE, _START):
            database.execute_sql(sql, (last, table))
