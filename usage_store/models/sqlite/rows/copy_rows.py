"""Read and write whole stores for `usage_store.copy_store`: every row with its id, in short statements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from usage_store.engines.sqlite.file.write_transaction import write_transaction
from usage_store.models.fields.snapshot_hash import snapshot_hash
from usage_store.models.sqlite.rows.insert_rows import execute_many
from usage_store.models.sqlite.rows.list_rows import SNAPSHOTS
from usage_store.models.sqlite.rows.pages_of_rows import one_page
from usage_store.models.sqlite.rows.peewee_queries import fetch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import peewee

_PAGE_ROWS = 500
_PAGE = f"{SNAPSHOTS} WHERE id > ? ORDER BY id LIMIT {_PAGE_ROWS}"
_NOT_JSON = """
SELECT id FROM usage_snapshots WHERE id > ? AND NOT coalesce(json_valid(
  CASE typeof(snapshot_data) WHEN 'text' THEN snapshot_data ELSE usage_json(snapshot_data) END), 0)
"""
_SESSIONS = "SELECT session_id, created_at FROM usage_sessions ORDER BY session_id"
_PUT_SESSION = """
INSERT INTO usage_sessions (session_id, created_at) VALUES (?, ?)
ON CONFLICT (session_id) DO UPDATE SET created_at = excluded.created_at
"""
_PUT_SNAPSHOT = (
    "INSERT INTO usage_snapshots (id, session_id, snapshot_data, snapshot_type, timestamp) VALUES (?, ?, ?, ?, ?)"
)
_LAST = "SELECT seq FROM sqlite_sequence WHERE name = ?"
_RAISE = "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?"
_START = (
    "INSERT INTO sqlite_sequence (name, seq) SELECT ?2, ?1 "
    "WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ?2)"
)


def not_json(database: peewee.SqliteDatabase, after: int) -> frozenset[int]:
    """Return the ids above `after` of snapshots whose texts are not JSON or cannot be read. Reads only."""
    return frozenset(row_id for (row_id,) in fetch(database, _NOT_JSON, (after,)))


def unfit(database: peewee.SqliteDatabase, session_id: str, text: str, *, is_json: bool) -> str | None:  # noqa: ARG001
    """Return None: SQLite holds every session id and text that another engine holds. Reads only."""
    return None


def pages(database: peewee.SqliteDatabase, after: int) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the snapshots with ids above `after` by id, in lists of rows as `recent()` returns them. Reads only."""
    while rows := fetch(database, _PAGE, (after,), one_page):
        yield [row[:5] for row in rows]
        after = rows[-1][0]


def hashes(database: peewee.SqliteDatabase) -> Iterator[list[tuple[int, str, int]]]:
    """Yield id, session id and hash of every snapshot by id, in lists. Reads only."""
    for rows in pages(database, -(2**63)):
        yield [(row[0], row[1], snapshot_hash(row)) for row in rows]


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
    with write_transaction(database):
        execute_many(database, _PUT_SNAPSHOT, rows)


def last_ids(database: peewee.SqliteDatabase, tables: Sequence[str]) -> dict[str, int]:
    """Return the highest id that each table has ever given to a row; tables without one are left out. Reads only."""
    return {table: int(rows[0][0] or 0) for table in tables if (rows := fetch(database, _LAST, (table,)))}


def raise_ids(database: peewee.SqliteDatabase, table: str, last: int) -> None:
    """Let the next id of a table be above `last` and above the ids of all rows."""
    with write_transaction(database):
        for sql in (_RAISE, _START):
            database.execute_sql(sql, (last, table))
