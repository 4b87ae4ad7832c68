"""Find the columns whose values were lost in a migration.

A column is lost if its name is gone, at least one row had a value in it that is not NULL, and no new column of the
table has all these values.

How this is checked: only DROP COLUMN removes a column from an existing table. So a name that is gone without a DROP
COLUMN was renamed, and no row has to be read. Of a table that was made anew, only the columns are known, so the values
are compared. The values are also compared if DROP COLUMN removed a column that was renamed before, or one whose name
exists again. Generated columns have no values of their own. Values that an UPDATE overwrites do not count as lost.

Sometimes the earlier state cannot be read: in a database in memory, or where a long transaction holds the lock of a
file in rollback-journal mode. Then each column of a table that had rows counts as filled. Of a table that the migrator
rebuilt, the lost columns are then those that the rebuild reported.
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
    """Return whether a table must be checked. `dropped` are the columns that DROP COLUMN may have removed from it."""
    return (before.row != after.row or bool(dropped)) and not (before.is_virtual or after.is_virtual)


def lost_columns(
    earlier: sqlite3.Connection | None,
    before: Object,
    now: sqlite3.Connection,
    after: Object,
    dropped: Collection[str],
    *,
    reported: bool,
) -> Iterator[str]:
    """Yield the columns of the table `before` whose values are in no column of the table `after`. Reads only.

    `earlier` reads the state before the migration; it is None where that cannot be read. `dropped` is the set of
    `may_have_lost_columns()`. `reported` means that a rebuild reported all lost columns in `dropped`; it matters only
    where `earlier` is None.
    """
    old = _columns_of(earlier, before)
    new = {fold(name): name for name in _columns(now, after)}
    gone = [name for name in old if name not in new or name in dropped]
    if (before.row == after.row or (reported and earlier is None)) and set(dropped) <= set(old):
        gone = [name for name in gone if name in dropped]  # the other columns were renamed
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
    """Return the columns of a table by their folded names; the value is None for a generated column."""
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
    return all(
        value in later for value in _values(earlier, before, column)
    )  # both are sorted, so `in` continues after the last match


def _values(connection: sqlite3.Connection, table: Object, column: str) -> Iterator[tuple[str, bytes]]:
    # Compare blobs: a text may not be UTF-8, and two collations would sort it in two ways.
    name = quoted(column)
    sql = (
        f"SELECT typeof({name}), CAST({name} AS BLOB) FROM main.{quoted(table.name)} "  # noqa: S608
        f"WHERE {name} IS NOT NULL ORDER BY 1, 2"
    )
    return ((row[0], bytes(row[1])) for row in connection.execute(sql))
