"""Replace the texts of older snapshots by references to compressed blocks, in short transactions."""

from __future__ import annotations

from collections import deque
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from usage_store.models.sqlite.rows.block_format import BLOCK_BYTES, pack, reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import peewee

    from usage_store.engines.interface.pace import Pace

_ROWS, _BYTES = 2000, 8 * 2**20  # the most rows, and the bytes, that are read at once and held in memory
_SLICES = 8  # transactions whose rows are read at once: one transaction may have too few of a session to fill a block

_PLAIN = (
    "SELECT id, CAST(session_id AS BLOB), CAST(snapshot_data AS BLOB) "
    "FROM usage_snapshots INDEXED BY idx_usage_snapshots_plain "
    "WHERE typeof(snapshot_data) = 'text' AND timestamp < ? AND id <= ? ORDER BY timestamp LIMIT ?"
)
_INSERT = "INSERT INTO usage_snapshot_blocks (data) VALUES (?)"
# With `id = id`, SQLite deletes the row and inserts it again, and merges a page that is nearly empty then with the
# pages beside it. The session and the text are compared, because another connection may have changed or compacted the
# row since it was read. The block may not exist any more, if an earlier transaction stored it and others have deleted
# all of its rows since.
_UPDATE = (
    "UPDATE usage_snapshots SET id = id, snapshot_data = ? "
    "WHERE id = ? AND CAST(session_id AS BLOB) = ? AND CAST(snapshot_data AS BLOB) = ? "
    "AND EXISTS (SELECT 1 FROM usage_snapshot_blocks AS b WHERE b.id = ?)"
)
_UNUSED = "DELETE FROM usage_snapshot_blocks WHERE id = ? AND refs = 0"


class _Row(NamedTuple):
    id: int
    session_id: bytes
    text: bytes


def compact(database: peewee.SqliteDatabase, before: int, pace: Pace) -> Iterator[int]:
    """Compact the existing snapshots that are older than `before` (seconds, UTC).

    After each transaction, yields the number of snapshots that it compacted. Texts are read and compressed without a
    lock. The generator can be stopped at any time: committed transactions are kept, and the next call continues.
    """
    if not can_compact(database):
        return
    (newest,) = database.execute_sql("SELECT coalesce(max(id), 0) FROM usage_snapshots").fetchone()
    refused: list[_Row] = []
    while (rows := _read(database, before, newest, min(_SLICES * pace.size, _ROWS))) and rows != refused:
        remaining, refused = deque(_dealt(rows)), rows
        while remaining:
            some = [remaining.popleft() for _ in range(min(pace.size, len(remaining)))]
            if changed := _write(database, some, pace):
                refused = []
            yield changed


def can_compact(database: peewee.SqliteDatabase) -> bool:
    """Return whether the database stores texts in UTF-8, which blocks need. Reads only."""
    return bool(database.pragma("encoding") == "UTF-8")


def _read(database: peewee.SqliteDatabase, before: int, newest: int, limit: int) -> list[_Row]:
    rows, size = [], 0
    for row in database.connection().execute(_PLAIN, (before, newest, limit)):
        rows.append(_Row(*row))
        size += len(row[2])
        if size >= _BYTES:
            break
    return rows


class _Block:
    """The texts of a block, all of one session, each with its number. The block is stored with its first snapshot."""

    def __init__(self, session_id: bytes) -> None:
        self.session_id = session_id
        self.texts: dict[bytes, int] = {}
        self.size = 0
        self.data = b""
        self.id = 0  # until the block is stored

    def takes(self, row: _Row) -> bool:
        """Add the text of a row and return True, or return False if the block is full or of another session."""
        # Snapshots of one session that follow each other are often equal, and equal texts are stored once.
        added = 0 if row.text in self.texts else len(row.text)
        fits = row.session_id == self.session_id and (not self.size or not added or self.size + added <= BLOCK_BYTES)
        if fits:
            self.texts.setdefault(row.text, len(self.texts))
            self.size += added
        return fits


def _dealt(rows: Sequence[_Row]) -> list[tuple[_Row, _Block]]:
    """Assign each row to a block. A block has rows of one session only, so that deleting a session frees whole blocks.

    The pairs are returned in the order of the ids, not of the blocks, so that SQLite can merge pages side by side.
    """
    found: list[tuple[_Row, _Block]] = []
    block = _Block(b"")
    for row in sorted(rows, key=itemgetter(1)):
        if not block.takes(row):
            block = _Block(row.session_id)
            block.takes(row)
        found.append((row, block))
    return sorted(found, key=lambda pair: pair[0].id)


def _write(database: peewee.SqliteDatabase, some: Sequence[tuple[_Row, _Block]], pace: Pace) -> int:
    new = {id(block): block for _, block in some if not block.id}.values()
    for block in new:
        block.data = pack(block.texts)
    connection = database.connection()
    with pace.slice(database, len(some)):
        for block in new:
            block.id = connection.execute(_INSERT, (block.data,)).lastrowid
            block.data = b""
        changes = [(reference(block.id, block.texts[row.text]), *row, block.id) for row, block in some]
        changed: int = connection.executemany(_UPDATE, changes).rowcount
        if changed < len(changes):
            connection.executemany(_UNUSED, [(block.id,) for block in new])
    return changed
