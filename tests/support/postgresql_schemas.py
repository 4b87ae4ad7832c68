"""The schema and the rows of a PostgreSQL schema, as the server tells them, for comparisons before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import peewee

_OBJECTS = """
SELECT 'column ' || c.relname || '.' || a.attname,
    format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END || a.attidentity::text
    || a.attgenerated::text || coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '')
    || coalesce(' COLLATE ' || nullif(o.collname, 'default'), '')
FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
LEFT JOIN pg_collation AS o ON o.oid = a.attcollation
WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND a.attnum > 0
  AND NOT attisdropped AND c.relkind IN ('r', 'p')
UNION ALL
SELECT 'constraint ' || c.relname || '.' || k.conname, pg_get_constraintdef(k.oid)
FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid
WHERE k.connamespace = quote_ident(current_schema())::regnamespace AND k.contype <> 'n'
UNION ALL
SELECT 'index ' || c.relname, replace(pg_get_indexdef(c.oid), current_schema() || '.', '')
FROM pg_class AS c WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relkind = 'i'
UNION ALL
SELECT CASE c.relkind WHEN 'S' THEN 'sequence ' ELSE 'view ' END || c.relname,
    CASE c.relkind WHEN 'S' THEN (SELECT seqtypid::regtype::text FROM pg_sequence WHERE seqrelid = c.oid)
    ELSE pg_get_viewdef(c.oid) END
FROM pg_class AS c WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relkind IN ('S', 'v', 'm')
UNION ALL
SELECT 'trigger ' || t.tgname, replace(pg_get_triggerdef(t.oid), current_schema() || '.', '')
FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND NOT t.tgisinternal
"""


def state(database: peewee.Database, but: str = "migration") -> dict[str, str]:
    """Give the definition of each object of the current schema; objects with `but` in their names are left out."""
    rows: list[tuple[str, str]] = database.execute_sql(_OBJECTS).fetchall()
    return {name: text for name, text in rows if but not in name}


def contents(database: peewee.Database, but: str = "migration") -> dict[str, list[str]]:
    """Give the rows of each table as texts, with their columns in alphabetical order."""
    tables = [name for name in database.get_tables() if but not in name]
    found = {}
    for table in tables:
        names = sorted(column.name for column in database.get_columns(table))
        row = ", ".join(f'"{name}"' for name in names)
        rows = database.execute_sql(f'SELECT ROW({row})::text FROM "{table}" ORDER BY 1').fetchall()
        found[table] = [text for (text,) in rows]
    return found


def difference(before: dict[str, str], after: dict[str, str]) -> dict[str, tuple[str | None, str | None]]:
    """Give what is not the same in both, as it was and as it is."""
    pairs = {name: (before.get(name), after.get(name)) for name in {*before, *after}}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
