"""Correct the counts of references to blocks, and give blocks of version 2 new numbers.

Each step of a generator here is one transaction. After the commit, it yields the number of rows or blocks of the
transaction. A generator can be stopped at any time: committed steps are kept, every text stays readable, and the next
call continues.
"""

from __future__ import annotations

import logging
from itertools import islice
from typing import TYPE_CHECKING

from usage_store.models.sqlite.rows.block_format import REFERS, reference
from usage_store.models.sqlite.rows.list_rows import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    import peewee

    from usage_store.engines.interface.pace import Pace

logger = logging.getLogger("usage_store")

_REFERS = REFERS.format("usage_snapshots")
_WRONG = f"""
SELECT id, refs, ifnull(counted, 0) FROM usage_snapshot_blocks LEFT JOIN (
  SELECT CAST(snapshot_data AS INTEGER) AS block, count(*) AS counted FROM usage_snapshots WHERE {_REFERS} GROUP BY 1
) ON block = id WHERE refs <> ifnull(counted, 0) ORDER BY id
"""  # noqa: S608
# The wrong count was read without a lock. It is only replaced if it is still the same, because other connections may
# have changed it in the meantime.
_COUNT_AGAIN = "UPDATE usage_snapshot_blocks SET refs = ? WHERE id = ? AND refs = ?"
_DROP = "DELETE FROM usage_snapshot_blocks WHERE id = ? AND refs = ?"

_NUMBER = "(SELECT number FROM usage_store_state WHERE name = '{}')"
_OLD = f"""
SELECT id, CAST(snapshot_data AS INTEGER), CAST(snapshot_data AS TEXT) FROM usage_snapshots
WHERE id > ? AND {_REFERS} AND CAST(snapshot_data AS INTEGER) <= {_NUMBER.format("old_blocks")}
ORDER BY id LIMIT ?
"""  # noqa: S608
_OLD_BLOCKS = f"usage_snapshot_blocks WHERE id <= {_NUMBER.format('old_blocks')}"
# An old block always gets the same new number, so a run after a killed run finds the copies that exist already.
_NEW_NUMBER = """
SELECT start.number + old.id, new.data IS old.data, new.id IS NULL
FROM usage_store_state AS start, usage_snapshot_blocks AS old
LEFT JOIN usage_snapshot_blocks AS new ON new.id = start.number + old.id
WHERE start.name = 'first_block' AND old.id = ?
"""
_COPY = "INSERT INTO usage_snapshot_blocks (id, data) SELECT ?, data FROM usage_snapshot_blocks WHERE id = ?"
_REFER = "UPDATE usage_snapshots SET snapshot_data = ? WHERE id = ? AND snapshot_data = ?"
_LEAST = -(2**63)


def wrong_refs(database: peewee.SqliteDatabase) -> Iterator[tuple[int, int, int]]:
    """Yield each block with a wrong count of references: its number, the stored count, and the right count.

    Reads only. It reads every row of the snapshots once.
    """
    yield from database.execute_sql(_WRONG)


def count_refs_again(database: peewee.SqliteDatabase, pace: Pace) -> Iterator[int]:
    """Correct wrong counts of references, and delete blocks without references whose count was not 0."""
    wrong = list(wrong_refs(database))
    if wrong:
        logger.warning("usage_snapshot_blocks: the refs of %s blocks were wrong; they are counted again", len(wrong))
    connection, remaining = database.connection(), iter(wrong)
    while some := list(islice(remaining, pace.size)):
        with pace.slice(database):
            connection.executemany(_DROP, [(block, refs) for block, refs, counted in some if not counted])
            connection.executemany(_COUNT_AGAIN, [(counted, block, refs) for block, refs, counted in some])
        yield len(some)


def old_numbers(database: peewee.SqliteDatabase) -> int:
    """Return how many blocks still have numbers of version 2. Reads only."""
    return count(database, _OLD_BLOCKS)


def renumber(database: peewee.SqliteDatabase, pace: Pace) -> Iterator[int]:
    """Copy the blocks with numbers of version 2 to numbers of this store, and let the snapshots refer to the copies.

    An old block is deleted with the last reference to it.
    """
    last = _LEAST
    while rows := database.execute_sql(_OLD, (last, pace.size)).fetchall():
        with pace.slice(database):
            moved = {block: _copied(database, block) for block in sorted({block for _, block, _ in rows})}
            changes = [
                (reference(number, int(text.partition(":")[2])), row, text.encode())
                for row, block, text in rows
                if (number := moved[block]) is not None
            ]
            database.connection().executemany(_REFER, changes)
        last = rows[-1][0]
        yield len(rows)


def _copied(database: peewee.SqliteDatabase, block: int) -> int | None:
    """Return the number of a block's copy, which is created if it is missing. None: the block does not exist."""
    row = database.execute_sql(_NEW_NUMBER, (block,)).fetchone()
    if row is None:
        return None
    number, same, free = row
    if same:
        return int(number)
    # If another block has that number, for example from another database, SQLite chooses a free number.
    return int(database.execute_sql(_COPY, (number if free else None, block)).lastrowid)
