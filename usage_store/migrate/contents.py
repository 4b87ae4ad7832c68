"""What a database holds, schema and rows, and how two states of it differ."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from usage_store.migrate.catalog import Catalog, differences, read_catalog

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    import peewee

__all__ = ["State", "TableRows", "changed_tables", "not_restored", "read_state"]


@dataclass(frozen=True, slots=True)
class TableRows:
    """A table whose rows changed, and how many it had before and after; None is "no such table"."""

    table: str
    before: int | None
    after: int | None


@dataclass(frozen=True, slots=True)
class State:
    """The schema; per table how many rows and the sum of their hashes; the AUTOINCREMENT counters."""

    catalog: Catalog
    rows: Mapping[str, tuple[int, int]]
    counters: Mapping[str, int]


def read_state(database: peewee.SqliteDatabase, ignore: Collection[str]) -> State:
    """Read all of a database but the tables in `ignore` (lower case). Reads only.

    It takes about five seconds per million rows. Rows are compared by their values: not their order, nor the order of
    columns, nor the rowids of tables that do not name them.
    """
    connection = database.connection()
    as_it_was = connection.text_factory
    # TEXT need not be UTF-8; what is not is hashed as lone surrogates, which repr() spells.
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    try:
        return _read(database, ignore)
    finally:
        connection.text_factory = as_it_was


def _read(database: peewee.SqliteDatabase, ignore: Collection[str]) -> State:
    names = database.execute_sql(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0 AND name NOT LIKE 'sqlite^_%' ESCAPE '^'"
    ).fetchall()
    tables = [name for (name,) in names if name.lower() not in ignore]
    rows = {name: _hash_rows(database, name) for name in tables}
    return State(_without(ignore, read_catalog(database)), rows, _counters(database, tables))


def _without(ignore: Collection[str], catalog: Catalog) -> Catalog:
    return Catalog(
        {name: table for name, table in catalog.tables.items() if name not in ignore},
        {name: other for name, other in catalog.others.items() if other[1] not in ignore},
    )


def _hash_rows(database: peewee.SqliteDatabase, table: str) -> tuple[int, int]:
    names = database.execute_sql("SELECT name FROM pragma_table_xinfo(?) ORDER BY lower(name)", (table,)).fetchall()
    listed = ", ".join(_quoted(name) for (name,) in names)
    count = total = 0
    for row in database.execute_sql(f"SELECT {listed} FROM {_quoted(table)}"):  # noqa: S608
        count += 1
        total += int.from_bytes(hashlib.blake2b(repr(row).encode(), digest_size=16).digest(), "big")
    return count, total


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _counters(database: peewee.SqliteDatabase, tables: Collection[str]) -> dict[str, int]:
    if not database.execute_sql("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'").fetchone():
        return {}
    rows = database.execute_sql("SELECT name, seq FROM sqlite_sequence").fetchall()
    return {name: seq for name, seq in rows if name in tables}


def changed_tables(before: State, after: State) -> Iterator[TableRows]:
    """Name the tables whose rows are not the same, in alphabetical order."""
    for table in sorted({*before.rows, *after.rows}):
        old, new = before.rows.get(table), after.rows.get(table)
        if old != new:
            yield TableRows(table, old and old[0], new and new[0])


def not_restored(before: State, after: State) -> tuple[str, ...]:
    """Name each way in which `after` is not `before` again, as a line each."""
    lines = [*_schema_lines(before.catalog, after.catalog)]
    for rows in changed_tables(before, after):
        if rows.before == rows.after:
            lines.append(f"{rows.table}: its {rows.after} rows are not those from before")
        elif rows.before is not None and rows.after is not None:  # else a line of the schema's says it
            lines.append(f"{rows.table}: {rows.after} rows, should be {rows.before}")
    for table in sorted({*before.counters, *after.counters} & before.rows.keys() & after.rows.keys()):
        old, new = before.counters.get(table, 0), after.counters.get(table, 0)
        if old != new:
            lines.append(f"{table}: its AUTOINCREMENT counter is {new}, should be {old}")
    return tuple(lines)


def _schema_lines(expected: Catalog, live: Catalog) -> Iterator[str]:
    # What differences() calls so was made by `up`, which is a migration.
    yield from (line.replace("is not from a migration", "is left behind") for line in differences(expected, live))
    for name, table in live.tables.items():
        if name not in expected.tables:
            yield f"table {name} is left behind"
        else:
            old, new = list(expected.tables[name].columns), list(table.columns)
            if old != new and sorted(old) == sorted(new):
                yield f"{name}: its columns are in the order {', '.join(new)}; should be {', '.join(old)}"
    for name, (kind, table_name, _) in live.others.items():
        if name not in expected.others and table_name not in expected.tables:
            yield f"{kind} {name} is left behind"
