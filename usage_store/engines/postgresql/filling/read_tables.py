"""Read what a new row of a table has to obey: columns, keys, foreign keys and CHECKs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from usage_store.engines.postgresql.schema.write_values import named

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import peewee

_TABLES = """
SELECT c.relname::text, c.oid::bigint FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY c.relname::text COLLATE "C"
"""
# A column of a domain has the type of the domain, and its labels if it is an enum.
_COLUMNS = """
WITH RECURSIVE bases AS (
  SELECT a.attrelid, a.attnum, t.oid AS type, a.atttypmod AS modifier, t.typtype, t.typbasetype, t.typtypmod,
    NOT a.attnotnull AS nullable, ARRAY[]::oid[] AS domains
  FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
  WHERE a.attrelid = ANY(%s::bigint[]::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
  SELECT b.attrelid, b.attnum, t.oid, b.typtypmod, t.typtype, t.typbasetype, t.typtypmod,
    b.nullable AND NOT (SELECT typnotnull FROM pg_catalog.pg_type WHERE oid = b.type), b.domains || b.type
  FROM bases AS b JOIN pg_catalog.pg_type AS t ON t.oid = b.typbasetype WHERE b.typtype = 'd'
)
SELECT a.attrelid::bigint, a.attname::text, format_type(b.type, b.modifier), b.nullable,
  array(SELECT e.enumlabel::text FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = b.type ORDER BY e.enumsortorder),
  (a.attidentity::text <> '' OR coalesce(pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%%', false)),
  array(SELECT pg_get_constraintdef(k.oid) FROM pg_catalog.pg_constraint AS k
    WHERE k.contypid = ANY(b.domains) AND k.contype = 'c' ORDER BY k.oid),
  array(SELECT k.conname::text FROM pg_catalog.pg_constraint AS k
    WHERE k.contypid = ANY(b.domains) AND k.contype = 'c' ORDER BY k.oid)
FROM bases AS b JOIN pg_catalog.pg_attribute AS a ON a.attrelid = b.attrelid AND a.attnum = b.attnum
LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE b.typtype <> 'd' AND a.attgenerated = '' ORDER BY a.attrelid, a.attnum
"""
# Of an index on expressions or with a condition, all columns that it uses count.
_KEYS = """
SELECT i.indrelid::bigint, c.relname::text, array(
  SELECT a.attname::text FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = i.indrelid AND a.attnum > 0 AND (
    a.attnum = ANY((i.indkey::int2[])[0:i.indnkeyatts - 1]) OR EXISTS (
      SELECT 1 FROM pg_catalog.pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
        AND d.refobjid = i.indrelid AND d.refobjsubid = a.attnum AND i.indexprs IS NOT NULL))), NOT i.indimmediate
FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
WHERE (i.indisunique OR i.indisexclusion) AND i.indrelid = ANY(%s::bigint[]::oid[])
"""
_CONSTRAINTS = """
SELECT k.conrelid::bigint, k.contype::text, k.conname::text, array(
    SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u (number, place)
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = u.number ORDER BY u.place),
  coalesce(k.confrelid::regclass::text, ''), k.confrelid::bigint, array(
    SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS u (number, place)
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = u.number ORDER BY u.place),
  pg_get_constraintdef(k.oid)
FROM pg_catalog.pg_constraint AS k
WHERE k.contype IN ('c', 'f') AND k.conrelid = ANY(%s::bigint[]::oid[]) AND k.conparentid = 0 ORDER BY k.oid
"""


@dataclass(frozen=True, slots=True)
class FillColumn:
    """A column that a row can give a value. `counted` says that the server counts its values up.

    `type` is the type, for a domain the one that it is made from. `labels` are those of an enum. `checks` are the texts
    of the CHECKs that use the column.
    """

    name: str
    type: str
    nullable: bool
    labels: tuple[str, ...]
    counted: bool
    checks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key: its columns, the table that they refer to (as SQL), its number in the catalog, and its columns."""

    columns: tuple[str, ...]
    parent: str
    parent_id: int
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FillTable:
    """A table. `rules` gives the columns of each rule by its name: keys, foreign keys and CHECKs, those of domains too.

    `deferrable_keys` are the names of the keys that the server may compare at the end of a transaction.
    """

    name: str
    id: int
    columns: Mapping[str, FillColumn]
    keys: tuple[frozenset[str], ...]
    references: tuple[Reference, ...]
    rules: Mapping[str, frozenset[str]]
    deferrable_keys: tuple[str, ...]

    @property
    def quoted(self) -> str:
        """The name for a statement."""
        return named(self.name)


def fillable_tables(database: peewee.PostgresqlDatabase) -> list[str]:
    """List the tables that can be filled: ordinary and partitioned tables, but no partitions. Reads only."""
    return [name for name, _ in database.execute_sql(_TABLES).fetchall()]


def read_tables(database: peewee.PostgresqlDatabase) -> list[FillTable]:
    """Return the tables that can be filled, in alphabetical order. Reads only."""
    found = database.execute_sql(_TABLES).fetchall()
    ids = [number for _, number in found]
    columns, keys, constraints = (
        database.execute_sql(sql, (ids,)).fetchall() for sql in (_COLUMNS, _KEYS, _CONSTRAINTS)
    )
    return [
        _table(
            name,
            number,
            [row[1:] for row in columns if row[0] == number],
            [row[1:] for row in keys if row[0] == number],
            [row[1:] for row in constraints if row[0] == number],
        )
        for name, number in found
    ]


def _table(
    name: str,
    number: int,
    columns: Sequence[Sequence[Any]],
    keys: Sequence[Sequence[Any]],
    constraints: Sequence[Sequence[Any]],
) -> FillTable:
    checks = [(used, text) for kind, _, used, _, _, _, text in constraints if kind == "c"]
    return FillTable(
        name,
        number,
        {
            column: FillColumn(
                column,
                type_,
                nullable,
                tuple(labels),
                counted,
                (*(text for used, text in checks if column in used), *of_domains),
            )
            for column, type_, nullable, labels, counted, of_domains, _ in columns
        },
        tuple(frozenset(used) for _, used, _ in keys),
        tuple(
            Reference(tuple(used), parent, parent_id, tuple(targets))
            for kind, _, used, parent, parent_id, targets, _ in constraints
            if kind == "f"
        ),
        {
            **_of_domains(columns),
            **{rule: frozenset(used) for rule, used, _ in keys},
            **{rule: frozenset(used) for _, rule, used, *_ in constraints},
        },
        tuple(rule for rule, _, is_deferrable in keys if is_deferrable),
    )


def _of_domains(columns: Sequence[Sequence[Any]]) -> dict[str, frozenset[str]]:
    rules: dict[str, frozenset[str]] = {}
    for column, *_, names in columns:
        for name in names:
            rules[name] = rules.get(name, frozenset()) | {column}
    return rules
