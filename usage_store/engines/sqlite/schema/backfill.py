"""Change the rows of a large table in short transactions.

Other connections can write in between, and a backfill that was killed can be continued.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from usage_store.engines.sqlite.file.write_transaction import in_transaction, write_transaction
from usage_store.engines.sqlite.schema.sql_tokens import quoted
from usage_store.engines.sqlite.schema.table_definition import stored_table
from usage_store.errors import ChangeRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import peewee

_LONGEST = 0.02  # seconds: a batch should not hold the write lock longer
_LARGEST = 100_000  # rows in a batch
_LAST = 2**63 - 1  # SQLite's largest rowid


def backfill(
    database: peewee.SqliteDatabase,
    table: str,
    assignments: str,
    where: str,
    params: Sequence[Any],
    on_progress: Callable[[int, int], None],
) -> int:
    """Run `UPDATE table SET assignments WHERE where` on the whole table in batches. Returns the number of changed rows.

    The rows are changed in the order of their rowids. Each batch is a transaction of about 20 ms. After each batch the
    write lock stays free for half of the time that the batch took, because SQLite's lock has no queue. The last batch
    includes all rows that were added meanwhile. `params` are the values of the `?`. `on_progress` gets the rows seen so
    far and the rows in all. Raises ChangeRefused inside a transaction, and for a table without rowids.
    """
    stored = stored_table(database, table)
    if in_transaction(database):
        raise ChangeRefused(f"{stored.name}: a backfill commits in batches; write atomic = False in its migration")
    _require_rowid(database, stored.name)
    name = quoted(stored.name)
    # NOT INDEXED makes SQLite search by the rowid. With an index for `where`, each batch would read all rows that are
    # done or still to do.
    update = f"UPDATE {name} NOT INDEXED SET {assignments} WHERE ({where}) AND _rowid_ > ? AND _rowid_ <= ?"  # noqa: S608
    batch = f"SELECT max(i), count(*) FROM (SELECT _rowid_ AS i FROM {name} WHERE _rowid_ > ? ORDER BY i LIMIT ?)"  # noqa: S608
    first, total = database.execute_sql(f"SELECT min(_rowid_), count(*) FROM {name}").fetchone()  # noqa: S608
    position = first - 1 if total else 0
    changed: int = 0
    seen, size = 0, 100
    while True:
        last, rows = database.execute_sql(batch, (position, size)).fetchone()
        whole = rows == size
        started = time.monotonic()
        with write_transaction(database):
            changed += database.execute_sql(update, (*params, position, last if whole else _LAST)).rowcount
        seconds = time.monotonic() - started
        position, seen = last, seen + rows
        on_progress(seen, max(total, seen))
        if not whole:
            return changed
        size = max(1, size // 2) if seconds > _LONGEST else min(_LARGEST, size * 2 if seconds < _LONGEST / 2 else size)
        time.sleep(seconds / 2)


def _require_rowid(database: peewee.SqliteDatabase, name: str) -> None:
    without = database.execute_sql(
        "SELECT 1 FROM pragma_table_list WHERE schema = 'main' AND name = ? AND wr "
        "UNION ALL SELECT 1 FROM pragma_table_xinfo(?, 'main') WHERE name = '_rowid_' COLLATE NOCASE",
        (name, name),
    ).fetchone()
    if without:
        raise ChangeRefused(
            f"{name}: a backfill needs rowids, which this table does not have; write the batches by hand"
        )
