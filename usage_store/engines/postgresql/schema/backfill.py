"""Change the rows of a large table in short transactions.

Other connections wait for a batch at most, and a backfill that was killed can be continued.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from usage_store.engines.postgresql.connection.write_transaction import in_transaction, write_transaction
from usage_store.engines.postgresql.schema.find_table import table_of
from usage_store.engines.postgresql.schema.write_values import named
from usage_store.errors import ChangeRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import peewee

    from usage_store.engines.postgresql.schema.find_table import FoundTable

_LONGEST = 0.1  # seconds: others should not wait longer for a row
_LARGEST = 100_000  # rows in a batch
_KEY = """
SELECT a.attname FROM pg_constraint AS k CROSS JOIN unnest(k.conkey) WITH ORDINALITY AS n (number, place)
JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = n.number
WHERE k.conrelid = %s AND k.contype = 'p' ORDER BY n.place
"""


def backfill(
    database: peewee.PostgresqlDatabase,
    table: str,
    assignments: str,
    where: str,
    params: Sequence[Any],
    on_progress: Callable[[int, int], None],
) -> int:
    """Run `UPDATE table SET assignments WHERE where` on the whole table in batches. Returns the number of changed rows.

    The rows are changed in the order of their primary keys. Each batch is a transaction of at most about 100 ms. The
    last batch includes all rows that were added meanwhile. `params` are the values of the `%s`. `on_progress` gets the
    rows seen so far and the rows in all. Raises ChangeRefused inside a transaction, and for a table without a primary
    key.
    """
    found = table_of(database, table)
    if in_transaction(database):
        raise ChangeRefused(f"{found.name}: a backfill commits in batches; write atomic = False in its migration")
    name, keys = named(found.name), _key_of(database, found)
    key, places = f"({', '.join(keys)})", f"({', '.join(['%s'] * len(keys))})"
    order = ", ".join(f"{column} DESC" for column in keys)
    ((total,),) = database.execute_sql(f"SELECT count(*) FROM {name}").fetchall()  # noqa: S608
    position: Sequence[Any] = ()
    changed: int = 0
    seen, size = 0, 100
    while True:
        after = f"{key} > {places}" if position else "true"
        batch = f"SELECT {', '.join(keys)} FROM {name} WHERE {after} ORDER BY {', '.join(keys)} LIMIT {size}"  # noqa: S608
        last = f"SELECT *, count(*) OVER () FROM ({batch}) AS batch ORDER BY {order} LIMIT 1"  # noqa: S608
        *reached, rows = database.execute_sql(last, position).fetchone() or (0,)
        whole = rows == size
        until = f"{key} <= {places}" if whole else "true"
        update = f"UPDATE {name} SET {assignments} WHERE ({where}) AND {after} AND {until}"  # noqa: S608
        started = time.monotonic()
        with write_transaction(database):
            values = (*params, *position, *(reached if whole else ()))
            changed += database.execute_sql(update, values).rowcount
        seconds = time.monotonic() - started
        position, seen = reached, seen + rows
        on_progress(seen, max(total, seen))
        if not whole:
            return changed
        size = max(1, size // 2) if seconds > _LONGEST else min(_LARGEST, size * 2 if seconds < _LONGEST / 2 else size)


def _key_of(database: peewee.PostgresqlDatabase, table: FoundTable) -> list[str]:
    """Return the columns of the primary key as SQL."""
    keys = [named(name) for (name,) in database.execute_sql(_KEY, (table.oid,)).fetchall()]
    if not keys:
        raise ChangeRefused(
            f"{table.name}: a backfill needs a primary key, which this table does not have; write the batches by hand"
        )
    return keys
