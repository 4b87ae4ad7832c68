"""Turn the plain texts of older snapshots into references to blocks, a short transaction at a time."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from usage_store.models.sqlite.rows.block_format import BLOCK_BYTES, pack, reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import peewee

    from usage_store.engines.sqlite.file.short_transactions import Pace

_ROWS, _BYTES = 2000, 8 * 2**20  # read at once, and so held in memory, at most

_PLAIN = (
    "SELECT id, CAST(session_id AS BLOB), CAST(snapshot_data AS BLOB) "
    "FROM usage_snapshots INDEXED BY idx_usage_snapshots_plain "
    "WHERE typeof(snapshot_data) = 'text' AND timestamp < ? AND id <= ? ORDER BY timestamp LIMIT ?"
)
_INSERT = "INSERT INTO usage_snapshot_blocks (data) VALUES (?)"
# With the id in it, the row is removed and inserted, and SQLite joins b-tree pages that it left nearly empty. Session
# and text are in it for who has changed or compacted the row since it was read.
_UPDATE = (
    "UPDATE usage_snapshots SET id = id, snapshot_data = ? "
    "WHERE id = ? AND CAST(session_id AS BLOB) = ? AND CAST(snapshot_data AS BLOB) = ?"
)
_UNUSED = "DELETE FROM usage_snapshot_blocks WHERE id > ? AND refs = 0"


class _Row(NamedTuple):
    id: int
    session_id: bytes
    text: bytes


def compact(database: peewee.SqliteDatabase, before: int, pace: Pace) -> Iterator[int]:
    """Compact the snapshots that are there and older than `before` (seconds, UTC); give the number, each time.

    Texts are read and deflated without a lock. Each transaction leaves whole rows, so it may be stopped anywhere, and
    another call goes on from there.
    """
    if not can_compact(database):
        return
    (newest,) = database.execute_sql("SELECT coalesce(max(id), 0) FROM usage_snapshots").fetchone()
    refused: list[_Row] = []
    while (rows := _read(database, before, newest, min(pace.size, _ROWS))) and rows != refused:
        changed = _write(database, list(_blocks(rows)), pace)
        refused = [] if changed else rows
        yield changed


def can_compact(database: peewee.SqliteDatabase) -> bool:
    """Tell whether the database keeps its texts in UTF-8, as blocks do. Reads only."""
    return bool(database.pragma("encoding") == "UTF-8")


def _read(database: peewee.SqliteDatabase, before: int, newest: int, limit: int) -> list[_Row]:
    rows, size = [], 0
    for row in database.connection().execute(_PLAIN, (before, newest, limit)):
        rows.append(_Row(*row))
        size += len(row[2])
        if size >= _BYTES:
            break
    return rows


class _Block(NamedTuple):
    """A packed block, and the rows whose texts are in it, each with its text's number."""

    data: bytes
    rows: Sequence[tuple[_Row, int]]


def _blocks(rows: Sequence[_Row]) -> Iterator[_Block]:
    """Deal rows out to blocks, each of one session only: when that is deleted, so is every text of it."""
    texts: dict[bytes, int] = {}
    members: list[tuple[_Row, int]] = []
    size = 0
    for row in sorted(rows, key=itemgetter(1)):
        # The snapshots of one session are alike, and its neighbours often the same.
        new = row.text not in texts
        if members and (row.session_id != members[0][0].session_id or (new and size + len(row.text) > BLOCK_BYTES)):
            yield _Block(pack(texts), members)
            texts, members, size = {}, [], 0
        if row.text not in texts:
            texts[row.text] = len(texts)
            size += len(row.text)
        members.append((row, texts[row.text]))
    yield _Block(pack(texts), members)


def _write(database: peewee.SqliteDatabase, blocks: Sequence[_Block], pace: Pace) -> int:
    connection = database.connection()
    with pace.slice(database):
        changes = []
        for data, members in blocks:
            block = connection.execute(_INSERT, (data,)).lastrowid
            changes += [(reference(block, number), *row) for row, number in members]
        # By id: pages that were full of one row each are joined one after the other.
        changes.sort(key=itemgetter(1))
        changed: int = connection.executemany(_UPDATE, changes).rowcount
        if changed < len(changes):
            connection.execute(_UNUSED, (block - len(blocks),))
    return changed
