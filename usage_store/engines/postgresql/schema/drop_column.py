"""Drop a column, alone or together with its own indexes, UNIQUE and foreign key."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from usage_store.engines.postgresql.schema.write_values import named
from usage_store.errors import ImpossibleChange

if TYPE_CHECKING:
    import peewee

    from usage_store.engines.postgresql.schema.find_table import FoundTable

logger = logging.getLogger("usage_store.migrate")

# What the server drops together with a column without a word, and what uses the column from outside.
_USERS = """
SELECT DISTINCT
    CASE WHEN k.oid IS NOT NULL THEN 'constraint ' || k.conname
         WHEN i.indexrelid IS NOT NULL THEN 'index ' || c.relname
         WHEN r.oid IS NOT NULL THEN
            CASE v.relkind WHEN 'm' THEN 'materialized view ' WHEN 'v' THEN 'view ' ELSE 'rule ' END
            || CASE WHEN v.relkind IN ('m', 'v') THEN v.relname ELSE r.rulename END
         WHEN t.oid IS NOT NULL THEN 'trigger ' || t.tgname
         WHEN a.oid IS NOT NULL THEN 'column ' || g.attname
         ELSE pg_describe_object(d.classid, d.objid, d.objsubid) END,
    coalesce(k.contype::text, CASE WHEN i.indisunique THEN 'ui' WHEN i.indexrelid IS NOT NULL THEN 'i' END, ''),
    coalesce(cardinality(k.conkey),
             CASE WHEN i.indkey::text = d.refobjsubid::text AND i.indexprs IS NULL THEN 1 ELSE 2 END),
    k.conrelid IS NULL OR k.conrelid = d.refobjid
FROM pg_depend AS d
LEFT JOIN pg_constraint AS k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
LEFT JOIN pg_class AS c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
LEFT JOIN pg_index AS i ON i.indexrelid = c.oid
LEFT JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
LEFT JOIN pg_class AS v ON v.oid = r.ev_class
LEFT JOIN pg_trigger AS t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid
LEFT JOIN pg_attrdef AS a ON d.classid = 'pg_attrdef'::regclass AND a.oid = d.objid
LEFT JOIN pg_attribute AS g ON g.attrelid = a.adrelid AND g.attnum = a.adnum
WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = %s AND d.refobjsubid = %s AND d.deptype IN ('a', 'n')
    AND (a.oid IS NULL OR a.adnum <> d.refobjsubid) AND c.relkind IS DISTINCT FROM 'S'
    AND k.contype IS DISTINCT FROM 'n' AND d.classid <> 'pg_statistic_ext'::regclass
ORDER BY 1
"""


class _User(NamedTuple):
    name: str
    kind: str  # c, f, p, u, x: a constraint; i, ui: an index; empty: something else
    columns: int
    is_own: bool  # belongs to the table of the column

    def goes(self, *, with_own: bool, with_unique: bool) -> bool:
        """Return whether it may be dropped together with the column."""
        if not self.is_own or self.kind in ("", "p", "x"):
            return False
        if self.columns == 1:
            return self.kind == "c" or with_own  # a CHECK of this column alone is a part of the column
        return {"i": with_own, "ui": with_unique, "u": with_unique}.get(self.kind, False)


def drop_column(
    database: peewee.PostgresqlDatabase, table: FoundTable, path: str, column: str, *, with_own: bool, with_unique: bool
) -> None:
    """Drop a column and its values. `path` is the table in SQL.

    With `with_own`, this also drops the foreign key, UNIQUE and indexes of this column alone, and indexes over this and
    other columns. With `with_unique`, it also drops UNIQUE rules over this and other columns, with a warning. Raises
    ImpossibleChange, and changes nothing, while anything else uses the column.
    """
    table.require([column])
    users = [_User(*row) for row in database.execute_sql(_USERS, (table.oid, table.columns[column])).fetchall()]
    if any(user.kind == "p" for user in users):
        raise ImpossibleChange(f"{table.name}: cannot drop PRIMARY KEY column {column!r}")
    left = [user for user in users if not user.goes(with_own=with_own, with_unique=with_unique)]
    if left:
        names = ", ".join(user.name for user in left)
        helps = all(user.goes(with_own=True, with_unique=False) for user in left)
        hint = f"; what helps: drop_column({table.name!r}, {column!r}, cascade=True)" if helps else ""
        raise ImpossibleChange(f"{table.name}: column {column!r} cannot be dropped; in use by {names}{hint}")
    for user in users:
        level = logging.WARNING if user.columns > 1 and user.kind in ("u", "ui") else logging.INFO
        logger.log(level, "%s: %s was dropped with column %s", table.name, user.name, column)
    database.execute_sql(f"ALTER TABLE {path} DROP COLUMN {named(column)}")
