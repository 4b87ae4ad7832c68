"""Find the columns whose values a migration lost.

A column is lost if its name went, some row held a value in it that is not NULL, and no new column of the table holds
all these values. In a table that is still the same one, only DROP COLUMN takes values away: without one, a name that
went was renamed, and no row is read. A table made anew shows no more than its columns, so the values are compared; so
they are where DROP COLUMN took one that was renamed before, or that is there again. Generated columns hold nothing of
their own, and what an UPDATE writes over is no loss.

Where the state before cannot be read again (in memory, or where a long transaction has locked a file in
rollback-journal mode), columns of a table that had rows count as filled, and a table that one of the migrator's
operations made anew has lost those columns that the operation told of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.engines.sqlite.schema.edit_create_table import clauses
from usage_store.engines.sqlite.schema.sql_tokens import fold, name_of, parse_table, quoted

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterator

    from usage_store.engines.sqlite.migrating.objects_of_a_schema import Object

_GENERATED = (2, 3)  # sqlite.org/pragma.html#pragma_table_xinfo: 2 virtual, 3 stored


def may_have_lost_columns(before: Object, after: Object, dropped: Collection[str]) -> bool:
    """Tell whether a table must be looked at; `dropped` are the columns that DROP COLUMN may have taken from it."""
    return (before.row != after.row or bool(dropped)) and not (before.is_virtual or after.is_virtual)


def lost_columns(
    earlier: sqlite3.Connection | None,
    before: Object,
    now: sqlite3.Connection,
    after: Object,
    dropped: Collection[str],
    *,
    told: bool,
) -> Iterator[str]:
    """Name the columns of a table whose values are nowhere in what it became. Reads only.

    `earlier` reads the state before, and is None where nothing can; then `told` is whether `dropped`, which is as
    above, names all.
    """
    old = _columns_of(earlier, before)
    new = {fold(name): name for name in _columns(now, after)}
    gone = [name for name in old if name not in new or name in dropped]
    if (before.row == after.row or (told and earlier is None)) and set(dropped) <= set(old):
        gone = [name for name in gone if name in dropped]  # the others were renamed
    for name in gone:
        column = old[name]
        if column is None:
            continue
        there = [each for key, each in new.items() if key not in old or key == name]
        if earlier is None or (
            _holds(earlier, before, column)
            and not any(_has_all(earlier, before, column, now, after, each) for each in there)
        ):
            yield name


def _columns_of(connection: sqlite3.Connection | None, table: Object) -> dict[str, str | None]:
    """Give the columns of a table by their folded names, None for a generated one."""
    if connection is None:
        parts = {name_of(part[0]): clauses(part[1:]) for part in parse_table(table.sql or "").columns}
        made = {name for name, rules in parts.items() if any(rule.kind in ("generated", "as") for rule in rules)}
        return {fold(name): None if name in made else name for name in parts}
    sql = "SELECT name, hidden FROM pragma_table_xinfo(?, 'main')"
    rows = connection.execute(sql, (table.name,)).fetchall()
    return {fold(row[0]): None if row[1] in _GENERATED else row[0] for row in rows}


def _columns(connection: sqlite3.Connection, table: Object) -> list[str]:
    rows = connection.execute("SELECT name FROM pragma_table_xinfo(?, 'main')", (table.name,)).fetchall()
    return [row[0] for row in rows]


def _holds(connection: sqlite3.Connection, table: Object, column: str) -> bool:
    sql = f"SELECT 1 FROM main.{quoted(table.name)} WHERE {quoted(column)} IS NOT NULL LIMIT 1"  # noqa: S608
    return connection.execute(sql).fetchone() is not None


def _has_all(
    earlier: sqlite3.Connection, before: Object, column: str, now: sqlite3.Connection, after: Object, new: str
) -> bool:
    later = _values(now, after, new)
    return all(value in later for value in _values(earlier, before, column))  # both sorted: `in` goes on from the last


def _values(connection: sqlite3.Connection, table: Object, column: str) -> Iterator[tuple[str, bytes]]:
    # As blobs: text need not be UTF-8, and two collations have two orders.
    name = quoted(column)
    sql = (
        f"SELECT typeof({name}), CAST({name} AS BLOB) FROM main.{quoted(table.name)} "  # noqa: S608
        f"WHERE {name} IS NOT NULL ORDER BY 1, 2"
    )
    return ((row[0], bytes(row[1])) for row in connection.execute(sql))
