"""Read one ordinary table of a SQLite database: its definition, its columns, and what uses them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import peewee

from usage_store.engines.sqlite.file.write_transaction import write_transaction
from usage_store.engines.sqlite.schema import sql_tokens
from usage_store.engines.sqlite.schema.edit_create_table import drop_own_rules
from usage_store.engines.sqlite.schema.sql_tokens import fold, quoted
from usage_store.errors import ChangeRefused, ImpossibleChange, UnknownColumn

if TYPE_CHECKING:
    from collections.abc import Iterator

_GENERATED = (2, 3)  # sqlite.org/pragma.html#pragma_table_xinfo: 2 virtual, 3 stored


@dataclass(frozen=True, slots=True)
class StoredTable:
    """A table as in sqlite_master: its name as it was written, and its CREATE TABLE."""

    name: str
    sql: str


def stored_table(database: peewee.SqliteDatabase, table: str) -> StoredTable:
    """Find a table by its name, in any case of letters. Reads only.

    Raises UnknownColumn if there is no such table. Raises another kind of ChangeRefused if it is no ordinary table: a
    view, a virtual table or its internal table, one of SQLite's own tables, a temporary table, or a table that a
    temporary table hides.
    """
    rows = database.execute_sql(
        "SELECT l.schema, l.type, l.name, m.sql FROM pragma_table_list AS l "
        "LEFT JOIN sqlite_master AS m ON m.name = l.name AND m.type = 'table' "
        "WHERE l.name = ? COLLATE NOCASE AND l.schema IN ('main', 'temp')",
        (table,),
    ).fetchall()
    if not rows:
        raise UnknownColumn(f"no table {table!r}")
    if len(rows) > 1 or rows[0][0] == "temp":
        raise ChangeRefused(
            f"{table} is a temporary table, or a temporary table hides it; only a permanent table can be changed"
        )
    _, kind, name, sql = rows[0]
    if fold(name).startswith("sqlite_"):
        raise ImpossibleChange(f"{name} is SQLite's own table; only an ordinary table can be changed")
    if kind != "table":
        what = "a view" if kind == "view" else f"a {kind} table"  # a virtual table, or its internal (shadow) table
        raise ImpossibleChange(f"{name} is {what}; only an ordinary table can be changed")
    return StoredTable(name, sql)


def columns_of(database: peewee.SqliteDatabase, table: str) -> dict[str, bool]:
    """Return for each column, by its name, whether it is generated. Reads only."""
    rows = database.execute_sql("SELECT name, hidden FROM pragma_table_xinfo(?, 'main')", (table,)).fetchall()
    return {name: hidden in _GENERATED for name, hidden in rows}


def rowid_of(database: peewee.SqliteDatabase, table: str) -> str | None:
    """Return a name that reads the rowid; None if there is no rowid, or if columns use all three names. Reads only."""
    ((without_rowid,),) = database.execute_sql(
        "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?", (table,)
    ).fetchall()
    taken = {fold(name) for name in columns_of(database, table)}
    free = [name for name in ("rowid", "oid", "_rowid_") if name not in taken]
    return free[0] if free and not without_rowid else None


def unused_name(database: peewee.SqliteDatabase, name: str) -> str:
    """Return a name that no object has and that is nowhere in the SQL of the schema. It gets underscores as needed."""
    ((texts,),) = database.execute_sql(
        "SELECT group_concat(lower(name || coalesce(sql, ''))) FROM "
        "(SELECT name, sql FROM sqlite_master UNION ALL SELECT name, sql FROM sqlite_temp_master)"
    ).fetchall()
    while fold(name) in (texts or ""):
        name += "_"
    return name


def users_of(
    database: peewee.SqliteDatabase, table: str, column: str, *, but_own_rules: bool = False
) -> tuple[str, ...]:
    """Name all that uses a column: indexes, triggers, views, other tables, and the table itself if other rules use it.

    With `but_own_rules`, a FOREIGN KEY or UNIQUE of the table over this column alone does not count.

    SQLite itself finds the uses: the column is renamed, all texts of the schema are searched for the new name, and the
    renaming is rolled back. An attempt with DROP COLUMN would not be enough, because SQLite drops a column even if a
    trigger of another table assigns to it. Raises ImpossibleChange where SQLite cannot rename the column, for example
    because the schema has a broken view.
    """
    name = stored_table(database, table).name
    new_name = unused_name(database, "column_going_away")
    with _undone(database):
        try:
            database.execute_sql(
                f"ALTER TABLE main.{quoted(name)} RENAME COLUMN {quoted(column)} TO {quoted(new_name)}"
            )
        except peewee.OperationalError as error:
            raise ImpossibleChange(f"{name}: SQLite cannot find out what uses column {column!r}: {error}") from error
        texts = database.execute_sql(
            "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL UNION ALL "
            "SELECT type, name, sql FROM sqlite_temp_master WHERE sql IS NOT NULL"
        ).fetchall()
    found = []
    for kind, user, sql in texts:
        if but_own_rules and (kind, user) == ("table", name):
            sql = drop_own_rules(sql, new_name)  # noqa: PLW2901
        mentions = {token for token in sql_tokens.tokens(sql) if sql_tokens.name_of(token) == new_name}
        if (kind, user) == ("table", name):  # the column's own definition is dropped with it
            parts = sql_tokens.parse_table(sql).columns
            mentions -= set(next(part for part in parts if sql_tokens.name_of(part[0]) == new_name))
        if mentions:
            found.append(f"{kind} {user}")
    return tuple(found)


@contextmanager
def _undone(database: peewee.SqliteDatabase) -> Iterator[None]:
    with write_transaction(database), database.savepoint() as savepoint:
        yield
        savepoint.rollback(begin=False)
