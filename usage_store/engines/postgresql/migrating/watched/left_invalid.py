"""Find indexes that are invalid and constraints that are not validated."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection

    import peewee

_INDEXES = """
SELECT 'index', c.oid::bigint, c.relname::text, t.relname::text
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND NOT i.indisvalid
"""
_CONSTRAINTS = """
UNION ALL
SELECT 'constraint', k.oid::bigint, k.conname::text, t.relname::text
FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_class AS t ON t.oid = k.conrelid
WHERE k.connamespace = quote_ident(current_schema())::regnamespace AND NOT k.convalidated
  AND k.contype IN ('c', 'f', 'n')
ORDER BY 1, 3
"""


class Invalid(NamedTuple):
    """An index that is invalid, or a constraint that is not validated."""

    kind: str
    number: int
    name: str
    table: str

    def __str__(self) -> str:
        if self.kind == "index":
            return f"the index {self.name} of {self.table} is invalid: DROP INDEX {self.name}, and create it again"
        return (
            f"the constraint {self.name} of {self.table} is NOT VALID: ALTER TABLE {self.table} VALIDATE CONSTRAINT "
            f"{self.name}"
        )


def read_invalid(database: peewee.PostgresqlDatabase, names: Collection[str] | None = None) -> list[Invalid]:
    """Return what is invalid in the schema, in alphabetical order, or only the invalid indexes of `names`. Reads only.

    The number of tables makes the search for names no slower.
    """
    if names is None:
        return [Invalid(*row) for row in database.execute_sql(_INDEXES + _CONSTRAINTS).fetchall()]
    rows = database.execute_sql(_INDEXES + "AND c.relname = ANY (%s::text[]) ORDER BY 3", (list(names),)).fetchall()
    return [Invalid(*row) for row in rows]
