"""Estimate how many bytes snapshots use on disk."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from usage_store.models.sqlite.rows.block_format import ITS_BLOCK, STORED_BYTES

if TYPE_CHECKING:
    import peewee

# A text of more than half a page uses whole pages. For a smaller text, half of its size is added for free space.
_MOST = f"""
SELECT total(CASE WHEN size > {{0}} / 2 - 100 THEN (CAST(size AS INTEGER) + 100 + {{0}}) / {{0}} * {{0}}
  ELSE 1.5 * size END + 3 * length(session_id) + 120), max(id)
FROM (SELECT {STORED_BYTES} AS size, s.session_id, s.id FROM usage_snapshots AS s {ITS_BLOCK}
  WHERE s.id > ? ORDER BY s.id LIMIT ?)
"""  # noqa: S608
ROW_BYTES = 180  # bytes of a row without its text, with its index entries and a session id of 36 characters


def snapshot_bytes(database: peewee.SqliteDatabase, *, enough: float = math.inf) -> int:
    """Return an upper estimate of the bytes that the snapshots and their index entries use. Reads only.

    Stops reading when the sum reaches `enough` bytes.
    """
    sql = _MOST.format(int(database.page_size))
    total, last, rows = 0.0, -(2**63), 1000
    while last is not None and total < enough:
        size, last = database.execute_sql(sql, (last, rows)).fetchone()
        total, rows = total + size, 4 * rows
    return int(total)
