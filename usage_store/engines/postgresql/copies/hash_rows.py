"""Read the whole content of a schema of the server, definitions and rows, so that two states can be compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from usage_store.engines.interface.schema_differences import Catalog, State
from usage_store.engines.interface.schema_objects import quoted
from usage_store.engines.postgresql import schema
from usage_store.engines.postgresql.copies.key_counters import read_counters

if TYPE_CHECKING:
    from collections.abc import Collection

    import peewee

# Ordinary tables, partitions too, and the columns that are stored, in the order of their names.
_TABLES = """
SELECT c.relname::text, array(
  SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> 'v'
  ORDER BY a.attname::text COLLATE "C")
FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relkind = 'r'
ORDER BY c.relname::text COLLATE "C"
"""
_SIZE = """
SELECT coalesce(sum(pg_catalog.pg_total_relation_size(c.oid)), 0)::bigint FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relkind IN ('r', 'm')
"""


def read_state(database: peewee.PostgresqlDatabase, ignore: Collection[str], *, only_rows: bool = False) -> State:
    """Read the definitions and the hashed rows of a schema, without the tables in `ignore` (lower case). Reads only.

    With `only_rows`, the definitions are left out. The server makes the hashes, so that no row is sent. Rows are
    compared by their values. The order of rows and of columns does not matter.
    """
    rows = {
        table: _hash_rows(database, table, columns)
        for table, columns in _tables(database).items()
        if table.lower() not in ignore
    }
    catalog = Catalog({}, {}) if only_rows else _without(ignore, schema.read_catalog(database))
    counters = {table: value for table, value in read_counters(database).items() if table in rows}
    return State(catalog, rows, counters)


def read_rows(database: peewee.PostgresqlDatabase, table: str) -> list[dict[str, Any]]:
    """Return all rows of a table by the names of their columns, without virtual columns. Reads only."""
    columns = _tables(database)[table]
    rows = database.execute_sql(_escaped(f"SELECT {_listed(columns)} FROM {quoted(table)}")).fetchall()  # noqa: S608
    return [dict(zip(columns, row, strict=True)) for row in rows]


def size(database: peewee.PostgresqlDatabase) -> int:
    """Return how many bytes the tables and indexes of the schema use on the server's disk. Reads only."""
    return int(database.execute_sql(_SIZE).fetchone()[0])


def _tables(database: peewee.PostgresqlDatabase) -> dict[str, list[str]]:
    return dict(database.execute_sql(_TABLES).fetchall())


def _hash_rows(database: peewee.PostgresqlDatabase, table: str, columns: list[str]) -> tuple[int, int]:
    # ROW(...)::text has the exact text of each value, and tells NULL from an empty text.
    sql = (
        f'SELECT count(*), coalesce(sum(hashtextextended(ROW({_listed(columns)})::text COLLATE "C", 0)), 0) '  # noqa: S608
        f"FROM ONLY {quoted(table)}"
    )
    count, total = database.execute_sql(_escaped(sql)).fetchone()
    return int(count), int(total)


def _listed(columns: list[str]) -> str:
    return ", ".join(map(quoted, columns))


def _escaped(sql: str) -> str:
    return sql.replace("%", "%%")  # a name may have this character, and peewee takes it for a parameter


def _without(ignore: Collection[str], catalog: Catalog) -> Catalog:
    return Catalog(
        {name: table for name, table in catalog.tables.items() if name.lower() not in ignore},
        {name: other for name, other in catalog.others.items() if other[1].lower() not in ignore},
        catalog.strings,
    )
