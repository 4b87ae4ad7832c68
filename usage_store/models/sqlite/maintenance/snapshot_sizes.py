"""What snapshots take on disk."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from usage_store.models.sqlite.rows.block_format import ITS_BLOCK, STORED_BYTES

if TYPE_CHECKING:
    import peewee

# Of the texts, those that fill more than half a page take whole ones, and others share theirs with free space.
_MOST = f"""
SELECT total(CASE WHEN size > {{0}} / 2 - 100 THEN (CAST(size AS INTEGER) + 100 + {{0}}) / {{0}} * {{0}}
  ELSE 1.5 * size END + 3 * length(session_id) + 120), max(id)
FROM (SELECT {STORED_BYTES} AS size, s.session_id, s.id FROM usage_snapshots AS s {ITS_BLOCK}
  WHERE s.id > ? ORDER BY s.id LIMIT ?)
"""  # noqa: S608
ROW_BYTES = 180  # bytes of a row beside its text, and of its index entries, with session ids of 36 characters


def snapshot_bytes(database: peewee.SqliteDatabase, *, enough: float = math.inf) -> int:
    """Give what the snapshots take with their index entries, at most. Reads only, as many as take `enough` bytes."""
    sql = _MOST.format(int(database.page_size))
    total, last, rows = 0.0, -(2**63), 1000
    while last is not None and total < enough:
        size, last = database.execute_sql(sql, (last, rows)).fetchone()
        total, rows = total + size, 4 * rows
    return int(total)
