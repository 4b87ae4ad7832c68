"""Ask whether a table has columns that hold values of certain types."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import peewee

_COLUMNS = """
SELECT a.attname::text, t.typname::text
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relname = %s
  AND a.attnum > 0 AND NOT a.attisdropped
"""
_OF_ALL = """
SELECT c.relname::text, array_agg(a.attname::text), array_agg(t.typname::text)
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relkind IN ('r', 'p', 'f')
  AND a.attname = ANY (%s)
  AND NOT a.attisdropped
GROUP BY c.oid, c.relname HAVING count(*) >= %s
"""
_HOLDS = {
    "int": {"int8", "int4", "int2"},
    "text": {"text", "varchar"},
    "bytes": {"bytea"},
    "float": {"float8", "float4"},
}


def has_columns(database: peewee.PostgresqlDatabase, table: str, columns: Mapping[str, str]) -> bool:
    """Return whether a table has these columns, each of a type for `int`, `text`, `bytes` or `float`. Reads only.

    The server compares values of other types with an error, so a table with such columns cannot be used.
    """
    found = dict(database.execute_sql(_COLUMNS, (table,)).fetchall())
    return _has(found, columns)


def tables_having(database: peewee.PostgresqlDatabase, *wanted: Mapping[str, str]) -> tuple[frozenset[str], ...]:
    """Return for each of `wanted` the tables that have these columns, as `has_columns` says, by one query."""
    names = list({name for columns in wanted for name in columns})
    rows = database.execute_sql(_OF_ALL, (names, min(map(len, wanted)))).fetchall()
    tables = {table: dict(zip(columns, types, strict=True)) for table, columns, types in rows}
    return tuple(frozenset(table for table in tables if _has(tables[table], columns)) for columns in wanted)


def _has(found: Mapping[str, str], columns: Mapping[str, str]) -> bool:
    return all(found.get(name) in _HOLDS[kind] for name, kind in columns.items())
