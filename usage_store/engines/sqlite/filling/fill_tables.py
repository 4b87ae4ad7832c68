"""Fill the tables of a SQLite database with made-up rows that obey all rules of the tables."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from usage_store.engines.interface.names_to_fill import given_values, wanted_tables
from usage_store.engines.sqlite.connection.pragma_for_a_block import pragma_set
from usage_store.engines.sqlite.file.integrity_checks import violations
from usage_store.engines.sqlite.file.write_transaction import write_transaction
from usage_store.engines.sqlite.filling.candidate_table import CandidateTable
from usage_store.engines.sqlite.filling.choose_values import choose
from usage_store.engines.sqlite.filling.groups import group_sources
from usage_store.engines.sqlite.filling.insert_rows import Inserts
from usage_store.engines.sqlite.filling.read_tables import read_tables
from usage_store.engines.sqlite.filling.solve_checks import Solver
from usage_store.engines.sqlite.filling.sources import Sources
from usage_store.engines.sqlite.schema.sql_tokens import fold
from usage_store.errors import CannotFill

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    import peewee

    from usage_store.engines.sqlite.filling.read_tables import FillTable

_PER_SEED = 1_000  # numbers, so that another seed gives other values


def fill_tables(
    database: peewee.SqliteDatabase,
    rows: int,
    values: Mapping[str, Sequence[Any]],
    *,
    seed: int = 1,
    tables: Collection[str] | None = None,
    leave: Collection[str] = (),
) -> dict[str, int]:
    """Add rows to ordinary tables, and return how many were added to each. Views and virtual tables are left alone.

    `values` gives the values of columns by "table.column". `leave` names tables that get no rows unless `tables` names
    them. Everything is one transaction. Raises CannotFill if SQLite accepts no row of a table, and ConfigurationError
    for an unknown name.
    """
    with write_transaction(database), pragma_set(database, "defer_foreign_keys", 1):
        every = read_tables(database)
        wanted = wanted_tables(every, tables, leave, fold)
        given = given_values(every, values, fold)
        ordered = _parents_first(wanted)
        before = _violations(database, ordered)
        coming = {}
        for table in ordered:
            number = _count(database, table) + (seed - 1) * _PER_SEED + 1
            coming[fold(table.name)] = Sources(database, table, rows, number, given.get(fold(table.name), {}))
        added = {}
        for table in ordered:
            added[table.name] = _fill(database, table, rows, every, coming)
            del coming[fold(table.name)]
        for table in ordered:
            for line in _violations(database, [table]) - before:
                raise _orphans(table, line)
    return {name: added[name] for name in sorted(added)}


def _parents_first(tables: Mapping[str, FillTable]) -> list[FillTable]:
    """Return the tables, parents first. In a circle, the first is the table with the fewest parents that it needs."""
    left = dict(tables)
    ordered = []
    while left:
        name = min(left, key=lambda each: (*_waits_for(left[each], left), each))
        ordered.append(left.pop(name))
    return ordered


def _waits_for(table: FillTable, left: Mapping[str, FillTable]) -> tuple[int, int]:
    """Count the parents that are left: those of columns that cannot be NULL, and all."""
    parents = [
        (reference, left[fold(reference.parent)])
        for reference in table.references
        if fold(reference.parent) in left and left[fold(reference.parent)] is not table
    ]
    needed = [
        parent
        for reference, parent in parents
        if not any(table.columns[column].nullable for column in reference.columns if column in table.columns)
    ]
    return len(needed), len(parents)


def _violations(database: peewee.SqliteDatabase, tables: Iterable[FillTable]) -> Counter[str]:
    found = (violations(database, table.name) for table in tables if table.references)
    return sum(found, Counter[str]())


def _orphans(table: FillTable, line: str) -> CannotFill:
    broken = next((each for each in table.references if line.endswith(f" {each.parent}")), table.references[0])
    column = table.columns.get(broken.columns[0])
    return CannotFill(table.name, None if column is None else column.name, line)


def _count(database: peewee.SqliteDatabase, table: FillTable) -> int:
    return int(database.execute_sql(f"SELECT count(*) FROM {table.quoted}").fetchone()[0])  # noqa: S608


def _fill(
    database: peewee.SqliteDatabase,
    table: FillTable,
    rows: int,
    every: Mapping[str, FillTable],
    coming: Mapping[str, Sources],
) -> int:
    groups = group_sources(coming[fold(table.name)].find(every, coming), table.checks)
    with CandidateTable(database, table) as candidates:
        solver = Solver(table, candidates)
        for group in groups:
            group.pool = solver.pool(group) if group.checks or len(group.sources) > 1 else group.sources[0].values
            group.usual = len(group.pool)
    inserts, number = Inserts(database, table, groups), coming[fold(table.name)].number
    if table.partial:  # rows that such an index leaves out may have the same key
        choose(groups, [key for name, key in table.keys.items() if name not in table.partial], rows, number)
        if inserts.all_at_once(rows):
            return rows
    choose(groups, table.keys.values(), rows, number)
    return rows if inserts.all_at_once(rows) else inserts.one_by_one(rows)
