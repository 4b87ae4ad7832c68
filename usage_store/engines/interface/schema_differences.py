"""Describe in words how two schemas, or two states of a database, differ."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from usage_store.engines.interface.schema_objects import found

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Column:
    """A column. `primary_key` is its place in the primary key, counted from 1, or 0."""

    type: str
    not_null: bool
    default: str | None
    primary_key: int
    collation: str | None
    generated: str | None


@dataclass(frozen=True, slots=True, order=True)
class ForeignKey:
    """A foreign key, its actions, and whether it is only checked at COMMIT (`deferred`)."""

    columns: tuple[str, ...]
    table: str
    targets: tuple[str, ...]
    on_delete: str
    on_update: str
    deferred: bool

    def __str__(self) -> str:
        target = f"{self.table} ({', '.join(self.targets)})"
        actions = f"on delete {self.on_delete} on update {self.on_update}"
        return f"foreign key ({', '.join(self.columns)}) to {target} {actions}{' deferred' * self.deferred}"


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its columns by name, and its rules, each kind sorted.

    `besides` has one line for each thing that a model cannot state: collations and DESC in keys, ON CONFLICT, MATCH,
    and names of constraints. `order` is the order of the columns; comparing `columns` ignores the order.
    """

    columns: Mapping[str, Column]
    checks: tuple[str, ...]
    uniques: tuple[tuple[str, ...], ...]
    foreign_keys: tuple[ForeignKey, ...]
    options: tuple[str, ...]
    besides: tuple[str, ...] = ()
    order: tuple[str, ...] = ()

    def as_models_state(self) -> Table:
        """Return the table without the things that a model cannot state."""
        return replace(self, besides=(), order=())


@dataclass(frozen=True, slots=True)
class Catalog:
    """All objects of a database by their names: in lower case on SQLite, as the server has them on PostgreSQL.

    `others` are indexes, triggers and views, and on PostgreSQL sequences, types and functions. A trigger of PostgreSQL
    is named with its table, `trigger on table`.

    Each value of `others` is a kind, a table and normalised SQL. `strings` has, for each view and trigger, its words in
    double quotes as they are written. SQLite takes such a word for a string if no column has this name, and the
    normalised SQL does not show which case it is.
    """

    tables: Mapping[str, Table]
    others: Mapping[str, tuple[str, str, str]]
    strings: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def changed_since(self, before: Catalog) -> Catalog:
        """Return the objects that are new or different compared with `before`."""
        return Catalog(
            {name: table for name, table in self.tables.items() if before.tables.get(name) != table},
            {
                name: other
                for name, other in self.others.items()
                if before.others.get(name) != other or before.strings.get(name) != self.strings.get(name)
            },
            self.strings,
        )

    def indexes_of(self, table: str) -> dict[str, tuple[str, str, str]]:
        """Return the indexes of a table, in the form of `others`."""
        return {name: other for name, other in self.others.items() if other[:2] == ("index", table)}

    def as_models_state(self) -> Catalog:
        """Return the schema without the things that models cannot state."""
        return Catalog({name: table.as_models_state() for name, table in self.tables.items()}, self.others)


def differences(expected: Catalog, live: Catalog) -> list[str]:
    """Return each difference of the live schema from the expected one, one line each.

    Only expected tables are compared, with the indexes and triggers on them.
    """
    lines: list[str] = []
    for name, table in expected.tables.items():
        if name in live.tables:
            lines += (f"{name}{line}" for line in _table_differences(table, live.tables[name]))
        else:
            lines.append(f"table {name} is missing")
    for name, (kind, table_name, sql) in expected.others.items():
        found = live.others.get(name)
        if found is None:
            lines.append(f"{kind} {_with_table(name, table_name)} is missing")
        elif found[2] != sql:
            lines.append(f"{kind} {name} is `{found[2]}`, should be `{sql}`")
        else:
            lines += _other_strings(f"{kind} {name}", expected.strings.get(name, ()), live.strings.get(name, ()))
    lines += (
        f"{kind} {_with_table(name, table_name)} is not from a migration"
        for name, (kind, table_name, _) in live.others.items()
        if table_name in expected.tables and name not in expected.others
    )
    return lines


def _with_table(name: str, table: str) -> str:
    return name if name == table or name.endswith(f" on {table}") else f"{name} on {table}"


def _other_strings(what: str, expected: Iterable[str], live: Iterable[str]) -> Iterator[str]:
    """Report words in double quotes that differ only in the case of their letters."""
    folded = {text.lower() for text in expected} & {text.lower() for text in live}
    wanted, there = ({text for text in texts if text.lower() in folded} for texts in (expected, live))
    if wanted != there:
        yield f"{what} says {' '.join(sorted(there - wanted))}, should say {' '.join(sorted(wanted - there))}"


def _table_differences(expected: Table, live: Table) -> Iterator[str]:
    for name, column in expected.columns.items():
        if name in live.columns:
            yield from (f".{name}: {line}" for line in _column_differences(column, live.columns[name]))
        else:
            yield f".{name} is missing"
    yield from (f".{name} is not from a migration" for name in live.columns if name not in expected.columns)
    for label, wanted, there in (
        ("CHECK", expected.checks, live.checks),
        ("UNIQUE", [", ".join(unique) for unique in expected.uniques], [", ".join(unique) for unique in live.uniques]),
        ("", [str(key) for key in expected.foreign_keys], [str(key) for key in live.foreign_keys]),
        ("option", expected.options, live.options),
        ("", expected.besides, live.besides),
    ):
        shown = f"{label} ({{}})" if label else "{}"
        yield from (f": {shown.format(rule)} is missing" for rule in wanted if rule not in there)
        yield from (f": {shown.format(rule)} is not from a migration" for rule in there if rule not in wanted)
    if expected.order != live.order and sorted(expected.order) == sorted(live.order):
        yield f": its columns are in the order {', '.join(live.order)}; should be {', '.join(expected.order)}"


def _column_differences(expected: Column, live: Column) -> Iterator[str]:
    for label, wanted, there in (
        ("type", expected.type or "none", live.type or "none"),
        ("NULL", _null(expected), _null(live)),
        ("default", expected.default or "none", live.default or "none"),
        ("place in the primary key", expected.primary_key, live.primary_key),
        ("collation", expected.collation or "none", live.collation or "none"),
        ("generated as", expected.generated or "none", live.generated or "none"),
    ):
        if wanted != there:
            yield f"{label} is {there}, should be {wanted}"


def _null(column: Column) -> str:
    return "not allowed" if column.not_null else "allowed"


@dataclass(frozen=True, slots=True)
class TableRows:
    """A table whose rows changed, with the number of rows before and after; None means that there was no table."""

    table: str
    before: int | None
    after: int | None


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A table whose rows the server has all written anew, with their number and their bytes on the disk."""

    table: str
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class State:
    """The schema, the number of rows and the sum of their hashes per table, and the AUTOINCREMENT counters."""

    catalog: Catalog
    rows: Mapping[str, tuple[int, int]]
    counters: Mapping[str, int]


def changed_tables(before: State, after: State) -> Iterator[TableRows]:
    """Yield the tables whose rows differ, in alphabetical order."""
    for table in sorted({*before.rows, *after.rows}):
        old, new = before.rows.get(table), after.rows.get(table)
        if old != new:
            yield TableRows(table, old and old[0], new and new[0])


def not_restored(before: State, after: State, declared: Collection[str] = ()) -> tuple[str, ...]:
    """Return each way in which the state `after` differs from `before`, one line each, without the declared losses.

    These are the rows and counters of named tables, and the values of columns, which are named as "table.column".
    """
    tables = {*before.rows, *after.rows}
    emptied = {found(tables, name, str.lower) for name in declared}
    changed = {found(tables, name.rpartition(".")[0], str.lower) for name in declared}
    before, after = (_without(state, emptied, changed) for state in (before, after))
    lines = [*_schema_lines(before.catalog, after.catalog)]
    for rows in changed_tables(before, after):
        if rows.before == rows.after:
            lines.append(f"{rows.table}: its {rows.after} rows differ from those before")
        elif rows.before is not None and rows.after is not None:  # otherwise a line about the schema reports it
            lines.append(f"{rows.table}: {rows.after} rows, should be {rows.before}")
    for table in sorted({*before.counters, *after.counters} & before.rows.keys() & after.rows.keys()):
        old, new = before.counters.get(table, 0), after.counters.get(table, 0)
        if old != new:
            lines.append(f"{table}: its AUTOINCREMENT counter is {new}, should be {old}")
    return tuple(lines)


def _without(state: State, emptied: Collection[str | None], changed: Collection[str | None]) -> State:
    """Leave out the rows and counters of some tables, and the values of others."""
    rows = {
        table: (count, 0 if table in changed else total)
        for table, (count, total) in state.rows.items()
        if table not in emptied
    }
    counters = {table: value for table, value in state.counters.items() if table not in emptied}
    return State(state.catalog, rows, counters)


def _schema_lines(expected: Catalog, live: Catalog) -> Iterator[str]:
    # `up` made these objects, and `up` is a migration, so "not from a migration" would be wrong here.
    yield from (line.replace("is not from a migration", "is left behind") for line in differences(expected, live))
    yield from (f"table {name} is left behind" for name in live.tables if name not in expected.tables)
    for name, (kind, table_name, _) in live.others.items():
        if name not in expected.others and table_name not in expected.tables:
            yield f"{kind} {name} is left behind"
