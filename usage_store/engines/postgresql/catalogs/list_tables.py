"""List tables and their columns in the first schema of the search path, and ask what a name belongs to.

The server keeps the case of letters in names, so names match exactly. It cuts longer names than 63 bytes in silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.engines.interface.schema_objects import quoted
from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import peewee

_MOST_BYTES = 63  # postgresql.org/docs/current/limits.html: identifier length
_KIND = """
SELECT CASE WHEN c.relkind IN ('v', 'm') THEN 'view' ELSE 'table' END
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = current_schema() AND c.relname = %s AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
"""
_TABLES = """
SELECT c.relname FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'f') AND NOT EXISTS (
  SELECT 1 FROM pg_catalog.pg_depend AS d
  WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
"""
_WITH_COLUMN = """
 AND EXISTS (
  SELECT 1 FROM pg_catalog.pg_attribute AS a
  WHERE a.attrelid = c.oid AND a.attname = %s AND a.attnum > 0 AND NOT a.attisdropped)
"""
_HIDDEN = """
SELECT relname FROM pg_catalog.pg_class
WHERE relnamespace = pg_catalog.pg_my_temp_schema() AND relkind IN ('r', 'p', 'v', 'S')
"""


def kind_of(database: peewee.PostgresqlDatabase, name: str) -> str | None:
    """Return what a name belongs to: "table", "view" (also a materialised one) or None. Reads only.

    Raises ConfigurationError for a longer name than the server can keep.
    """
    if len(name.encode()) > _MOST_BYTES:
        raise ConfigurationError(
            f"{name}: the name of this table has {len(name.encode())} bytes, and PostgreSQL cuts names after "
            f"{_MOST_BYTES} bytes; choose a shorter name"
        )
    row = database.execute_sql(_KIND, (name,)).fetchone()
    return None if row is None else str(row[0])


def own_tables(database: peewee.PostgresqlDatabase) -> list[str]:
    """List the tables that users created, partitions included, in alphabetical order. Reads only."""
    return sorted(name for (name,) in database.execute_sql(_TABLES).fetchall())


def hidden(database: peewee.PostgresqlDatabase, tables: Iterable[str]) -> list[str]:
    """List those of `tables` that a temporary table or view of the connection hides. Reads only."""
    temporary = {name for (name,) in database.execute_sql(_HIDDEN).fetchall()}
    return [table for table in tables if table in temporary]


def tables_with(database: peewee.PostgresqlDatabase, column: str) -> list[str]:
    """List the tables that have a column, in alphabetical order. Reads only."""
    return sorted(name for (name,) in database.execute_sql(_TABLES + _WITH_COLUMN, (column,)).fetchall())


def rename_table(database: peewee.PostgresqlDatabase, table: str, name: str) -> None:
    """Rename a table."""
    database.execute_sql(f"ALTER TABLE {quoted(table)} RENAME TO {quoted(name)}")
