"""Find the table that an operation names, and its columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from usage_store.engines.interface.schema_objects import quoted
from usage_store.errors import ImpossibleChange, UnknownColumn

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import peewee

_KINDS = {"v": "a view", "m": "a materialized view", "i": "an index", "S": "a sequence", "c": "a type"}


class FoundTable(NamedTuple):
    """A table: its OID, its name, and the numbers of its columns by their names."""

    oid: int
    name: str
    columns: Mapping[str, int]

    def require(self, columns: Iterable[str]) -> None:
        """Raise UnknownColumn for a column that the table does not have. The case of letters counts."""
        for column in columns:
            if column not in self.columns:
                raise UnknownColumn(f"{self.name}: no column {column!r}; there are: {', '.join(self.columns)}")


def table_of(database: peewee.PostgresqlDatabase, table: str, schema: str | None = None) -> FoundTable:
    """Return the table that a statement with this name changes. Reads only.

    Raises UnknownColumn if there is none, and ImpossibleChange if the name belongs to something else or to a temporary
    table.
    """
    path = f"{quoted(schema)}.{quoted(table)}" if schema else quoted(table)
    found = database.execute_sql(
        "SELECT c.oid, c.relname, c.relkind, c.relpersistence = 't' FROM pg_class AS c WHERE c.oid = to_regclass(%s)",
        (path,),
    ).fetchone()
    if found is None:
        raise UnknownColumn(f"no table {table!r}")
    oid, name, kind, temporary = found
    if kind in _KINDS:
        raise ImpossibleChange(f"{name} is {_KINDS[kind]}; only tables can be changed")
    if temporary:
        raise ImpossibleChange(f"{name} is a temporary table, or a temporary table hides it")
    columns = database.execute_sql(
        "SELECT attname, attnum FROM pg_attribute WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped "
        "ORDER BY attnum",
        (oid,),
    ).fetchall()
    return FoundTable(oid, name, dict(columns))
