"""Turn the plain texts of older snapshots into references to blocks, a short transaction at a time."""

from __future__ import annotations

from collections import deque
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from usage_store.models.sqlite.rows.block_format import BLOCK_BYTES, pack, reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import peewee

    from usage_store.engines.sqlite.file.short_transactions import Pace

_ROWS, _BYTES = 2000, 8 * 2**20  # read at once, and so held in memory, at most
_SLICES = 8  # are read at once, so that blocks become full where a slice has few rows of each session

_PLAIN = (
    "SELECT id, CAST(session_id AS BLOB), CAST(snapshot_data AS BLOB) "
    "FROM usage_snapshots INDEXED BY idx_usage_snapshots_plain "
    "WHERE typeof(snapshot_data) = 'text' AND timestamp < ? AND id <= ? ORDER BY timestamp LIMIT ?"
)
_INSERT = "INSERT INTO usage_snapshot_blocks (data) VALUES (?)"
# With `id = id` SQLite removes the row and inserts it again, and joins a page that is nearly empty then with its
# neighbours. Session and text are compared, since somebody may have changed or compacted the row after it was read. The
# block may be gone, if it was stored in an earlier transaction for rows that somebody has deleted since.
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
    """Compact the snapshots that are there and older than `before` (seconds, UTC); give the number, each time.

    Texts are read and deflated without a lock. Each transaction leaves whole rows, so it may be stopped anywhere, and
    another call goes on from there.
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
    """Return whether the database keeps its texts in UTF-8, as blocks do. Reads only."""
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
    """Texts of one session that share a block, each with its number. It is deflated and stored when it is needed."""

    def __init__(self, session_id: bytes) -> None:
        self.session_id = session_id
        self.texts: dict[bytes, int] = {}
        self.size = 0
        self.data = b""
        self.id = 0  # until it is stored

    def takes(self, row: _Row) -> bool:
        """Add a row's text, unless it is another session's or the block is full."""
        # The snapshots of one session are alike, and neighbours often the same.
        added = 0 if row.text in self.texts else len(row.text)
        fits = row.session_id == self.session_id and (not self.size or not added or self.size + added <= BLOCK_BYTES)
        if fits:
            self.texts.setdefault(row.text, len(self.texts))
            self.size += added
        return fits


def _dealt(rows: Sequence[_Row]) -> list[tuple[_Row, _Block]]:
    """Deal rows out to blocks, each of one session only: when that is deleted, so is every text of it.

    The rows come by id then, and not by block: pages of neighbours are joined one after the other.
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
    with pace.slice(database):
        for block in new:
            block.id = connection.execute(_INSERT, (block.data,)).lastrowid
            block.data = b""
        changes = [(reference(block.id, block.texts[row.text]), *row, block.id) for row, block in some]
        changed: int = connection.executemany(_UPDATE, changes).rowcount
        if changed < len(changes):
            connection.executemany(_UNUSED, [(block.id,) for block in new])
    return changed
