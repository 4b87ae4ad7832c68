"""Look up tables and views by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.engines.sqlite.connection.pragma_for_a_block import pragma_set

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import peewee


def kind_of(database: peewee.SqliteDatabase, name: str) -> str | None:
    """Return what a name belongs to, in any case of letters: "table", "view" or None. Reads only."""
    sql = "SELECT type FROM sqlite_master WHERE type IN ('table', 'view') AND name = ? COLLATE NOCASE"
    row = database.execute_sql(sql, (name,)).fetchone()
    return None if row is None else str(row[0])


def hidden(database: peewee.SqliteDatabase, tables: Iterable[str]) -> list[str]:
    """List those of `tables` that a temporary table or view hides, or that a temporary trigger changes. Reads only."""
    sql = (
        "SELECT 1 FROM sqlite_temp_master "
        "WHERE type <> 'index' AND (name = ? COLLATE NOCASE OR tbl_name = ? COLLATE NOCASE)"
    )
    connection = database.connection()
    return [table for table in tables if connection.execute(sql, (table, table)).fetchone()]


def has_columns(database: peewee.SqliteDatabase, table: str, columns: Mapping[str, str]) -> bool:
    """Return whether a table has these columns, in any case of letters. Any of them may hold any value. Reads only."""
    return columns.keys() <= {column.name.lower() for column in database.get_columns(table)}


def tables_having(database: peewee.SqliteDatabase, *wanted: Mapping[str, str]) -> tuple[frozenset[str], ...]:
    """Return for each of `wanted` the tables that have these columns, as `has_columns` says. Reads only."""
    tables = own_tables(database)
    return tuple(frozenset(table for table in tables if has_columns(database, table, each)) for each in wanted)


def tables_with(database: peewee.SqliteDatabase, column: str) -> list[str]:
    """List the tables whose CREATE TABLE contains the text `column`: all that have such a column, maybe others.

    Reads only.
    """
    sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE ?"
    return [name for (name,) in database.execute_sql(sql, (f"CREATE TABLE%{column}%",)).fetchall()]


def rename_table(database: peewee.SqliteDatabase, table: str, name: str) -> None:
    """Rename a table that nothing refers to. Works also where the schema has a broken view."""
    with pragma_set(database, "legacy_alter_table", 1):
        database.execute_sql(f'ALTER TABLE "{table}" RENAME TO "{name}"')


def own_tables(database: peewee.SqliteDatabase) -> list[str]:
    """List the tables that users created: not SQLite's own, and not the internal tables of virtual tables.

    Reads only.
    """
    sql = (
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual') "
        "AND name NOT LIKE 'sqlite^_%' ESCAPE '^' ORDER BY name"
    )
    return [name for (name,) in database.execute_sql(sql).fetchall()]
