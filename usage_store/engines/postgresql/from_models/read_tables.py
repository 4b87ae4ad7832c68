"""Read tables in the form in which they are compared with models: names, types and rules, in the server's own words."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from usage_store.engines.interface.schema_differences import Column, ForeignKey, Table
from usage_store.engines.postgresql.catalogs.catalog_of_objects import in_parentheses

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import peewee

AUTO = "the next number"  # the default of a serial column and of an identity column
ALWAYS = "always the next number"
_ACTIONS = {"a": "no action", "r": "restrict", "c": "cascade", "n": "set null", "d": "set default"}
KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table", "S": "a sequence", "i": "an index",
         "I": "an index", "c": "a type"}  # fmt: skip

_OBJECTS = "SELECT relname, relkind::text FROM pg_class WHERE relnamespace = %s ORDER BY 1"
_COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
    a.attidentity::text, a.attgenerated::text, CASE WHEN a.attcollation <> t.typcollation THEN o.collname END,
    EXISTS (SELECT FROM pg_depend AS s JOIN pg_class AS q ON q.oid = s.objid AND q.relkind = 'S'
        WHERE s.classid = 'pg_class'::regclass AND s.refclassid = 'pg_class'::regclass AND s.refobjid = c.oid
        AND s.refobjsubid = a.attnum AND s.deptype = 'a')
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid JOIN pg_type AS t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
LEFT JOIN pg_collation AS o ON o.oid = a.attcollation
WHERE c.relnamespace = %s AND c.relname = ANY(%s) AND a.attnum > 0 AND NOT a.attisdropped
    AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
ORDER BY c.relname, a.attnum
"""
_NAMES = "ARRAY(SELECT attname::text FROM unnest({}) WITH ORDINALITY AS n (number, place) JOIN pg_attribute AS a \
ON a.attrelid = {} AND a.attnum = n.number ORDER BY n.place)"
_CONSTRAINTS = f"""
SELECT c.relname, k.conname, k.contype::text, pg_get_constraintdef(k.oid), {_NAMES.format("k.conkey", "c.oid")},
    f.relname, {_NAMES.format("k.confkey", "f.oid")}, k.confdeltype::text, k.confupdtype::text, k.condeferrable,
    k.condeferred
FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid LEFT JOIN pg_class AS f ON f.oid = k.confrelid
WHERE c.relnamespace = %s AND c.relname = ANY(%s) AND k.contype IN ('c', 'f', 'p', 'u', 'x') AND k.conparentid = 0
ORDER BY c.relname, k.conname
"""  # noqa: S608  names of catalogs only
_INDEXES = f"""
SELECT c.relname, i.relname, pg_get_indexdef(i.oid), x.indisunique, x.indisvalid,
    x.indexprs IS NULL AND x.indpred IS NULL AND x.indnkeyatts = x.indnatts,
    {_NAMES.format("x.indkey::int2[]", "c.oid")}
FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_class AS c ON c.oid = x.indrelid
WHERE c.relnamespace = %s AND c.relname = ANY(%s)
    AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.oid AND k.contype IN ('p', 'u', 'x'))
ORDER BY c.relname, i.relname
"""  # noqa: S608  names of catalogs only


class Constraint(NamedTuple):
    """A constraint: its kind (c, f, p, u or x), its definition, and its columns."""

    kind: str
    sql: str
    columns: tuple[str, ...]


class Index(NamedTuple):
    """An index that belongs to no constraint. `columns` is empty if it has an expression, a WHERE or INCLUDE."""

    sql: str
    unique: bool
    valid: bool
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServerTable:
    """A table or view: what a model can state (`table`), and its constraints and indexes by name.

    `serials` has the default of each serial column, with the name of its sequence.
    """

    name: str
    kind: str
    table: Table
    constraints: Mapping[str, Constraint]
    serials: Mapping[str, str]
    indexes: Mapping[str, Index]

    @property
    def is_ordinary(self) -> bool:
        """Whether it is a table that ALTER TABLE can change, partitioned or not."""
        return self.kind in ("r", "p")


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables that were asked for, and the kind of each object of the schema, by exact name."""

    tables: Mapping[str, ServerTable]
    kinds: Mapping[str, str]

    def shapes(self) -> dict[str, Table]:
        """Return what models can state of each ordinary table."""
        return {name: each.table for name, each in self.tables.items() if each.is_ordinary}


def read_schema(database: peewee.PostgresqlDatabase, only: Collection[str] | None = None) -> Schema:
    """Read the tables and views of the current schema, or those of them that `only` names. Four queries. Reads only."""
    ((schema,),) = database.execute_sql("SELECT quote_ident(current_schema())::regnamespace::oid").fetchall()
    kinds = dict(database.execute_sql(_OBJECTS, (schema,)).fetchall())
    names = [name for name in kinds if only is None or name in only]
    columns, constraints, indexes = (
        _by_table(database.execute_sql(sql, (schema, names)).fetchall()) for sql in (_COLUMNS, _CONSTRAINTS, _INDEXES)
    )
    tables = {
        name: ServerTable(
            name,
            kinds[name],
            _table(columns[name], constraints[name]),
            {row[0]: Constraint(row[1], row[2], tuple(row[3])) for row in constraints[name]},
            {row[0]: row[3] for row in columns[name] if _is_serial(row)},
            {
                row[0]: Index(_without_schema(row[1]), row[2], row[3], tuple(row[5]) if row[4] else ())
                for row in indexes[name]
            },
        )
        for name in names
        if name in columns
    }
    return Schema(tables, kinds)


def _without_schema(index: str) -> str:
    return re.sub(r' ON (ONLY )?(?:[^\s."]+|"(?:[^"]|"")+")\.', r" ON \1", index, count=1)


def _by_table(rows: list[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for table, *row in rows:
        found[table].append(row)
    return found


def _table(columns: list[Any], constraints: list[Any]) -> Table:
    key = next((tuple(row[3]) for row in constraints if row[1] == "p"), ())
    return Table(
        {row[0]: _column(row, key) for row in columns},
        tuple(sorted(_checked(row[2]) for row in constraints if row[1] == "c")),
        tuple(sorted(tuple(row[3]) for row in constraints if row[1] == "u")),
        tuple(sorted(_foreign_key(row) for row in constraints if row[1] == "f")),
        tuple(sorted(row[2] for row in constraints if row[1] == "x" or (row[1] == "u" and _says_more(row)))),
    )


def _column(row: Any, key: tuple[str, ...]) -> Column:
    name, kind, not_null, default, identity, generated, collation, _ = row
    made = f"{default} stored" if generated else None
    if identity or generated or _is_serial(row):
        default = None if generated else ALWAYS if identity == "a" else AUTO
    return Column(kind, not_null, default, key.index(name) + 1 if name in key else 0, collation, made)


def _is_serial(row: Any) -> bool:
    return bool(row[7] and not row[4] and (row[3] or "").startswith("nextval("))


def _checked(sql: str) -> str:
    return "".join(in_parentheses(sql.removeprefix("CHECK").removesuffix(" NOT VALID")))


def _foreign_key(row: Any) -> ForeignKey:
    _, _, _, columns, table, targets, on_delete, on_update, _, is_deferred = row
    return ForeignKey(
        tuple(columns), table, tuple(targets), _ACTIONS[on_delete], _ACTIONS[on_update], bool(is_deferred)
    )


def _says_more(row: Any) -> bool:
    """Return whether a UNIQUE constraint says more than its columns, such as DEFERRABLE or NULLS NOT DISTINCT."""
    return bool(row[8]) or "NULLS NOT DISTINCT" in row[2] or "INCLUDE" in row[2]
