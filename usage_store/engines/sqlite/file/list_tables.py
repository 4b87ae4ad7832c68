"""What is in a schema, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import peewee


def kind_of(database: peewee.SqliteDatabase, name: str) -> str | None:
    """Tell what has a name, in any case of letters: "table", "view" or None. Reads only."""
    sql = "SELECT type FROM sqlite_master WHERE type IN ('table', 'view') AND name = ? COLLATE NOCASE"
    row = database.execute_sql(sql, (name,)).fetchone()
    return None if row is None else str(row[0])


def tables_with(database: peewee.SqliteDatabase, column: str) -> list[str]:
    """Name the tables whose definitions speak of a column. Reads only."""
    sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE ?"
    return [name for (name,) in database.execute_sql(sql, (f"CREATE TABLE%{column}%",)).fetchall()]


def own_tables(database: peewee.SqliteDatabase) -> list[str]:
    """Name the tables that somebody made: not SQLite's own, and not the shadows of virtual ones. Reads only."""
    sql = (
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual') "
        "AND name NOT LIKE 'sqlite^_%' ESCAPE '^' ORDER BY name"
    )
    return [name for (name,) in database.execute_sql(sql).fetchall()]
