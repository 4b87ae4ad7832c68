"""Read the tables of a schema with what is on them, and how many rows this transaction wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from usage_store.engines.interface.schema_objects import found
from usage_store.engines.postgresql.schema.write_values import named

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    import peewee

_TABLES = """
SELECT c.oid::bigint, c.relname::text, c.relfilenode::bigint, c.reltuples > 0 OR pg_stat_get_live_tuples(c.oid) > 0,
  ARRAY(SELECT a.attnum::integer FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1),
  ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
  ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''),
  ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull)
FROM {tables} AS c
WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relkind = 'r'
"""
_PARTS = """
SELECT c.oid::bigint, 'index'::text, c.relname::text, i.indrelid::bigint
FROM {indexes} AS i JOIN {class_of_index} AS c ON c.oid = i.indexrelid
WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND 0 = (
  SELECT count(*) FROM pg_catalog.pg_constraint AS k WHERE k.conindid = c.oid AND k.conrelid = i.indrelid)
UNION ALL
SELECT t.oid::bigint, 'trigger'::text, t.tgname::text, t.tgrelid::bigint
FROM {triggers} AS t JOIN {class_of_trigger} AS c ON c.oid = t.tgrelid
WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND NOT t.tgisinternal
UNION ALL
SELECT k.oid::bigint, 'constraint'::text, k.conname::text, k.conrelid::bigint
FROM {constraints} AS k
WHERE k.connamespace = quote_ident(current_schema())::regnamespace AND k.conrelid <> 0
  AND k.contype IN ('c', 'f', 'p', 'u', 'x')
"""
_SOURCES = {
    "tables": ("pg_class", "oid = o.oid"),
    "indexes": ("pg_index", "indrelid = o.oid OR indexrelid = o.oid"),
    "triggers": ("pg_trigger", "tgrelid = o.oid"),
    "constraints": ("pg_constraint", "conrelid = o.oid"),
}
_ALL = {
    **{name: f"pg_catalog.{source}" for name, (source, _) in _SOURCES.items()},
    **dict.fromkeys(("class_of_index", "class_of_trigger"), "pg_catalog.pg_class"),
}
_EACH = "(SELECT f.* FROM unnest($1::oid[]) AS o (oid) CROSS JOIN LATERAL ({}) AS f)"
_LOOK_UP = "SELECT * FROM pg_catalog.{} WHERE {} OFFSET 0"  # a query of its own, which uses an index
_ONLY = {
    **{name: _EACH.format(_LOOK_UP.format(*source)) for name, source in _SOURCES.items()},
    "class_of_index": f"LATERAL ({_LOOK_UP.format('pg_class', 'oid = i.indexrelid')})",
    "class_of_trigger": f"LATERAL ({_LOOK_UP.format('pg_class', 'oid = t.tgrelid')})",
}
_READ_TABLES, _READ_PARTS = "usage_store_tables", "usage_store_parts"
_COLUMNS_OF_TABLES = (
    "oid bigint, name text, storage bigint, may_have_rows boolean, numbers integer[], columns text[], "
    "stored text[], required text[]"
)
FUNCTIONS = {
    _READ_TABLES: (_COLUMNS_OF_TABLES, _TABLES.format(**_ONLY)),
    _READ_PARTS: ("oid bigint, kind text, name text, tbl bigint", _PARTS.format(**_ONLY)),
}
_CALL = "SELECT * FROM pg_temp.{}(%s::bigint[])"
_NAMED = """
SELECT oid::bigint FROM pg_catalog.pg_class
WHERE relname = ANY (%s::text[]) AND relnamespace = quote_ident(current_schema())::regnamespace
"""
# These counts are of the session: they go on from earlier transactions until the server has collected them.
_WRITTEN = """
SELECT relid::bigint, n_tup_ins, n_tup_del FROM pg_catalog.pg_stat_xact_user_tables
WHERE schemaname = current_schema() AND n_tup_ins + n_tup_del > 0
"""
# Whoever writes rows of a table keeps a lock on it until the transaction ends, or is rolled back to a savepoint.
_WRITTEN_AND_LOCKED = """
SELECT c.oid::bigint, w.inserted, w.deleted FROM (
  SELECT DISTINCT relation FROM pg_catalog.pg_locks
  WHERE pid = pg_backend_pid() AND locktype = 'relation' AND mode NOT IN ('AccessShareLock', 'RowShareLock')) AS l
JOIN pg_catalog.pg_class AS c ON c.oid = l.relation CROSS JOIN LATERAL (
  SELECT pg_stat_get_xact_tuples_inserted(c.oid), pg_stat_get_xact_tuples_deleted(c.oid)) AS w (inserted, deleted)
WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relkind IN ('r', 'm')
  AND w.inserted + w.deleted > 0
"""
_REACHED = """
WITH RECURSIVE reached (oid) AS (
  SELECT unnest(%s::bigint[])::oid
  UNION
  SELECT e.child FROM reached AS r CROSS JOIN LATERAL (
    SELECT k.conrelid FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_constraint AS k ON k.oid = d.objid
    WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = r.oid
      AND d.classid = 'pg_catalog.pg_constraint'::regclass AND k.contype = 'f' AND k.confrelid = r.oid
      AND k.confdeltype = ANY(%s::"char"[])
    UNION ALL SELECT inhrelid FROM pg_catalog.pg_inherits WHERE inhparent = r.oid
  ) AS e (child)
) SELECT oid::bigint FROM reached
"""

EVERY_ACTION = "arcnd"  # NO ACTION, RESTRICT, CASCADE, SET NULL, SET DEFAULT


class Table(NamedTuple):
    """An ordinary table. `storage` changes if the server writes its rows anew; `stored` are its columns with values."""

    oid: int
    name: str
    storage: int
    may_have_rows: bool
    columns: Mapping[int, str]
    stored: Collection[str]
    required: Collection[str]


class Part(NamedTuple):
    """An index, trigger or constraint of a table, by its kind and name. An index of a constraint is left out."""

    kind: str
    name: str
    table: int


class Schema(NamedTuple):
    """The ordinary tables of the first schema of the search path and their parts, by the numbers that identify them."""

    tables: Mapping[int, Table]
    parts: Mapping[tuple[str, int], Part]


def read_schema(database: peewee.PostgresqlDatabase, only: Collection[int] | None = None) -> Schema:
    """Read the schema as this transaction sees it. Reads only.

    With `only`, the tables with these numbers and their parts are read, and the indexes with these numbers. That needs
    the functions of a session in `FUNCTIONS`; the number of other tables makes it no slower.
    """
    if only is None:
        rows, parts = (database.execute_sql(sql.format(**_ALL)).fetchall() for sql in (_TABLES, _PARTS))
    else:
        calls = map(_CALL.format, (_READ_TABLES, _READ_PARTS))
        rows, parts = (database.execute_sql(call, (list(only),)).fetchall() for call in calls)
    tables = {}
    for oid, name, storage, may_have_rows, columns_by_number, columns, stored, required in rows:
        named = dict(zip(columns_by_number, columns, strict=True))
        tables[oid] = Table(oid, name, storage, may_have_rows, named, stored, required)
    return Schema(tables, {(kind, oid): Part(kind, name, table) for oid, kind, name, table in parts})


def meant_by(declared: Iterable[str], *schemas: Schema) -> set[str]:
    """Return the names that a migration declares, each as its table, column or part is named in one of the schemas."""
    every = {part.name for schema in schemas for part in schema.parts.values()}
    for table in (table for schema in schemas for table in schema.tables.values()):
        every |= {table.name, *(f"{table.name}.{column}" for column in table.columns.values())}
    return {found(every, name, str.lower) or name for name in declared}


def numbers_of(database: peewee.PostgresqlDatabase, names: Collection[str]) -> set[int]:
    """Return the numbers of the relations of the schema that have one of these names. Reads only."""
    return {oid for (oid,) in database.execute_sql(_NAMED, (list(names),)).fetchall()}


def read_written(database: peewee.PostgresqlDatabase, *, also_undone: bool = True) -> dict[int, tuple[int, int]]:
    """Return how many rows this session inserted and deleted in each table. Reads only.

    Rows that were rolled back to a savepoint count as well. Without `also_undone`, a table is left out if all that this
    transaction did to it was rolled back. That is quicker: only the tables are looked at that it has locked.
    """
    sql = _WRITTEN if also_undone else _WRITTEN_AND_LOCKED
    return {oid: (inserted, deleted) for oid, inserted, deleted in database.execute_sql(sql).fetchall()}


def reached_from(database: peewee.PostgresqlDatabase, tables: Collection[int], actions: str = EVERY_ACTION) -> set[int]:
    """Return these tables, and all that refer to them, are parts of them or inherit from them. Reads only.

    Of references, only those with one of these `actions` for ON DELETE count, as `pg_constraint` names them.
    """
    return {oid for (oid,) in database.execute_sql(_REACHED, (list(tables), list(actions))).fetchall()}


def count_values(database: peewee.PostgresqlDatabase, table: Table) -> tuple[int, dict[str, int]]:
    """Count the rows of a table, and in each of its columns the values that are not NULL. Reads only."""
    names = sorted(table.stored)
    counts = "".join(f", count({named(name)})" for name in names)
    sql = f"SELECT count(*){counts} FROM ONLY {named(table.name)}"  # noqa: S608
    rows, *values = database.execute_sql(sql).fetchone()
    return rows, dict(zip(names, values, strict=True))


def has_all(database: peewee.PostgresqlDatabase, table: Table, column: str, other: str) -> bool:
    """Return whether each value of a column stands in the same row of another column, too. Reads only."""
    old, new = named(column), named(other)
    sql = (
        f"SELECT EXISTS (SELECT FROM ONLY {named(table.name)} "  # noqa: S608
        f"WHERE {old} IS NOT NULL AND {old}::text IS DISTINCT FROM {new}::text)"
    )
    return not database.execute_sql(sql).fetchone()[0]
