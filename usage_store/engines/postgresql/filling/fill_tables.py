"""Fill the tables of a schema with made-up rows that obey all rules of the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import peewee

from usage_store.engines.interface.names_to_fill import given_values, wanted_tables
from usage_store.engines.postgresql.connection.driver import driver_errors
from usage_store.engines.postgresql.connection.error_messages import told
from usage_store.engines.postgresql.connection.write_transaction import write_transaction
from usage_store.engines.postgresql.filling.insert_rows import Inserts
from usage_store.engines.postgresql.filling.read_tables import FillTable, read_tables
from usage_store.engines.postgresql.filling.refusals import refusal
from usage_store.engines.postgresql.schema.write_values import named

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

_PER_SEED = 1_000  # numbers, so that another seed gives other values
# A migration that is tested may insert rows of its own, with the keys 1, 2, 3.
_ABOVE_SMALL_KEYS = """
SELECT setval(s.seqrelid::regclass, 1000) FROM pg_catalog.pg_depend AS d
JOIN pg_catalog.pg_sequence AS s ON s.seqrelid = d.objid
WHERE d.refobjid = %s AND d.refclassid = 'pg_class'::regclass AND d.classid = 'pg_class'::regclass
  AND d.deptype IN ('a', 'i') AND s.seqincrement > 0 AND s.seqmax > 2000 AND s.seqmin < 1000
  AND coalesce(pg_sequence_last_value(s.seqrelid::regclass), 0) < 1000
"""


def fill_tables(
    database: peewee.PostgresqlDatabase,
    rows: int,
    values: Mapping[str, Sequence[Any]],
    *,
    seed: int = 1,
    tables: Collection[str] | None = None,
    leave: Collection[str] = (),
) -> dict[str, int]:
    """Add rows to the tables of the schema, and return how many were added to each. Views are left alone.

    `values` gives the values of columns by "table.column". `leave` names tables that get no rows unless `tables` names
    them. Everything is one transaction. Raises CannotFill if the server accepts no row of a table, and
    ConfigurationError for an unknown name.
    """
    with write_transaction(database):
        every = {table.name: table for table in read_tables(database)}
        wanted = wanted_tables(every, tables, leave, str.lower)
        given = given_values(every, values, str.lower)
        _defer_references(database, wanted.values())
        added = {}
        for table in _parents_first(wanted):
            database.execute_sql(_ABOVE_SMALL_KEYS, (table.id,)).fetchall()
            number = _count(database, table) + (seed - 1) * _PER_SEED + 1
            added[table.name] = Inserts(database, table, given.get(table.name, {}), number).insert(rows)
        _check_all(database, every)
    return {name: added[name] for name in sorted(added)}


def _defer_references(database: peewee.PostgresqlDatabase, tables: Iterable[FillTable]) -> None:
    """Let rows refer to later ones where a table allows it, but compare the keys of each row at once."""
    database.execute_sql("SET CONSTRAINTS ALL DEFERRED")
    for key in (key for table in tables for key in table.deferrable_keys):
        database.execute_sql(f"SET CONSTRAINTS {named(key)} IMMEDIATE")


def _check_all(database: peewee.PostgresqlDatabase, tables: Mapping[str, FillTable]) -> None:
    """Check what was deferred, also inside a transaction of the caller, which may not end soon."""
    try:
        database.execute_sql("SET CONSTRAINTS ALL IMMEDIATE")
    except driver_errors(peewee.DatabaseError) as error:
        table = tables.get(told(error, "table_name") or "")
        raise error if table is None else refusal(table, error) from error


def _parents_first(tables: Mapping[str, FillTable]) -> list[FillTable]:
    """Return the tables, parents first. In a circle, the first is the table with the fewest parents that it needs."""
    left = {table.id: table for table in tables.values()}
    ordered = []
    while left:
        number = min(left, key=lambda each: (*_waits_for(left[each], left), left[each].name))
        ordered.append(left.pop(number))
    return ordered


def _waits_for(table: FillTable, left: Mapping[int, FillTable]) -> tuple[int, int]:
    """Count the parents that are left: those of columns that cannot be NULL, and all."""
    parents = [each for each in table.references if each.parent_id in left and each.parent_id != table.id]
    needed = [
        each
        for each in parents
        if not any(table.columns[column].nullable for column in each.columns if column in table.columns)
    ]
    return len(needed), len(parents)


def _count(database: peewee.PostgresqlDatabase, table: FillTable) -> int:
    return int(database.execute_sql(f"SELECT count(*) FROM {table.quoted}").fetchone()[0])  # noqa: S608
