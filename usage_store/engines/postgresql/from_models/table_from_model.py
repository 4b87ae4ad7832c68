"""Write the changes, up and down, that give one table the shape of its model."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import peewee

from usage_store.engines.interface.models_and_tables import (
    deferred,
    lost,
    not_written,
    renames_to_ask_for,
    tables_to_ask_for,
)
from usage_store.engines.interface.schema_differences import Catalog, differences
from usage_store.engines.interface.schema_objects import quoted
from usage_store.engines.interface.table_changes import Change
from usage_store.engines.postgresql.from_models.dropped_rules import dropped_rules
from usage_store.engines.postgresql.from_models.read_tables import KINDS, Constraint, Schema, ServerTable
from usage_store.engines.postgresql.from_models.rows_that_may_not_fit import WRITE_THE_VALUE, doubts_of, without_value
from usage_store.engines.postgresql.from_models.views_in_the_way import views_in_the_way
from usage_store.engines.postgresql.from_models.write_changes import (
    added_column,
    added_constraint,
    alter,
    changed_column,
    dropped_column,
    is_text,
)
from usage_store.engines.postgresql.schema.write_values import literal_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from usage_store.engines.interface.schema_differences import Table
    from usage_store.engines.postgresql.from_models.tables_of_models import Wanted

_ORDER = "fcxup"  # constraints are dropped in this order and added in the reverse order
_CAST = "SELECT 1 FROM pg_cast WHERE castsource = %s::regtype AND casttarget = %s::regtype AND castcontext <> 'e'"


@dataclass(frozen=True, slots=True)
class TableDiff:
    """One table, by its exact name, in the live schema and in the schema of the models."""

    name: str
    live: Schema
    wanted: Wanted
    database: peewee.PostgresqlDatabase

    def changes(self) -> Iterator[Change]:
        """Yield the changes of the table, its rules and its indexes, in the order of `up`."""
        new = self.wanted.schema.tables[self.name]
        old = self.live.tables.get(self.name)
        if self.name not in self.live.kinds:
            yield from self._new_table(new)
        elif old is None or not old.is_ordinary:
            yield Change(todo=tuple(self._not_as_wanted(new)))
        else:
            yield from self._altered(old, new)

    def differences(self) -> tuple[str, ...]:
        """Say in words how the table differs from its model, one line for each difference."""
        new = self.wanted.schema.tables[self.name]
        old = self.live.tables.get(self.name)
        if self.name not in self.live.kinds:
            return (f"table {self.name} is missing",)
        if old is None or not old.is_ordinary:
            return tuple(line.partition("; write this")[0] for line in self._not_as_wanted(new))
        expected, there = (
            Catalog(
                {self.name: self._stated(each.table)},
                {name: ("index", self.name, index.sql) for name, index in each.indexes.items()},
            )
            for each in (new, old)
        )
        lines = [
            line.replace("is not from a migration", "is not in the model") for line in differences(expected, there)
        ]
        return tuple(lines) or (f"{self.name} differs from its model",)

    @property
    def _fields(self) -> dict[str, Any]:
        return dict(self.wanted.fields[self.name])

    def _stated(self, table: Table) -> Table:
        unstated = deferred(self._fields)
        keys = tuple(key for key in table.foreign_keys if not unstated.intersection(key.columns))
        return replace(table, foreign_keys=keys)

    def _new_table(self, new: ServerTable) -> Iterator[Change]:
        statements = self.wanted.statements[self.name]
        taken = [name for name in new.indexes if name in self.live.kinds]
        kept = [each for each in statements if not any(f"INDEX {quoted(name)} ON" in each for name in taken)]
        sequences = [each.removeprefix("CREATE ") for each in kept if each.startswith("CREATE SEQUENCE ")]
        down = (f"DROP TABLE {quoted(self.name)}".replace("%", "%%"), *(f"DROP {each}" for each in sequences))
        todo = [
            *(self.name + line for line in not_written(None, self._fields)),
            *tables_to_ask_for(self.name, new.table, self.live.shapes(), self.wanted.schema.shapes()),
            *self._taken(taken),
        ]
        yield Change(tuple(kept), down, todo=tuple(todo))

    def _not_as_wanted(self, new: ServerTable) -> Iterator[str]:
        """Say why a model does not match an object that is no table: its columns must exist, as it is only read."""
        old = self.live.tables.get(self.name)
        there = {} if old is None else old.table.columns
        missing = [name for name in new.table.columns if name not in there]
        if missing:
            what = KINDS.get(self.live.kinds[self.name], "no table")
            yield (
                f"{self.name}: is {what} without {', '.join(missing)}, which its model has; write this migration by "
                "hand"
            )

    def _altered(self, old: ServerTable, new: ServerTable) -> Iterator[Change]:
        stale, fresh = _other_indexes(old, new), _other_indexes(new, old)
        gone = tuple(name for name in stale if name not in fresh)
        steps = [
            Change((f"DROP INDEX {quoted(name)}".replace("%", "%%"),), (_sql(old.indexes[name].sql),)) for name in stale
        ]
        dropped, added = self._constraints(old, new), self._constraints(new, old)
        steps += [
            Change((alter(old.name, f"DROP CONSTRAINT {quoted(name)}"),), (added_constraint(old.name, name, rule),))
            for name, rule in dropped
        ]
        steps += self._columns(old, new)
        for name, rule in reversed(added):
            free = name not in self.live.kinds and (name not in old.constraints or name in dict(dropped))
            named = name if free or name in dict(dropped) else _free(name, {*old.constraints, *self.live.kinds})
            steps.append(
                Change(
                    (added_constraint(old.name, named, rule),), (alter(old.name, f"DROP CONSTRAINT {quoted(named)}"),)
                )
            )
        taken = [name for name in fresh if name in self.live.kinds and name not in stale]
        steps += [
            Change((_sql(new.indexes[name].sql),), (f"DROP INDEX {quoted(name)}".replace("%", "%%"),))
            for name in fresh
            if name not in taken
        ]
        todo = self._todo(
            renames_to_ask_for(self.name, old.table, new.table),
            self._missing(old, new),
            self._repeated(old, new),
            doubts_of(old.table, new.table),
            dropped_line(dropped_rules(old, new, deferred(self._fields))),
            not_written(old.table, self._fields),
            views_in_the_way(self.database, self.name, _moved(old, new)),
        )
        values = tuple(f"{self.name}.{column}" for column in lost(old.table, new.table))
        if steps or taken:
            yield Change(deletes=values, drops=gone, todo=(*todo, *self._taken(taken)))
            yield from steps

    def _columns(self, old: ServerTable, new: ServerTable) -> Iterator[Change]:
        there, wanted = old.table.columns, new.table.columns
        gone = [name for name in there if name not in wanted]
        for name in sorted(gone, key=lambda name: there[name].generated is None):
            back = "NULL" if name in without_value(new.table, old.table) else None
            yield Change((dropped_column(old.name, name),), added_column(old, name, back))
        for name in wanted:
            if name in there:
                yield from changed_column(old, new, name, self._needs_using)
        fresh = [name for name in wanted if name not in there]
        needed = without_value(old.table, new.table)
        for name in sorted(fresh, key=lambda name: wanted[name].generated is not None):
            value = (self._default(name) or "NULL") if name in needed else None
            yield Change(added_column(new, name, value), (dropped_column(old.name, name),))

    def _constraints(self, table: ServerTable, other: ServerTable) -> list[tuple[str, Constraint]]:
        """Return the constraints of a table that the other one lacks, in the order in which they are dropped."""
        unstated = deferred(self._fields)
        left = [each.sql.removesuffix(" NOT VALID") for each in other.constraints.values()]
        found = []
        for name, rule in table.constraints.items():
            sql = rule.sql.removesuffix(" NOT VALID")
            if sql in left:
                left.remove(sql)
            elif rule.kind != "f" or not unstated.intersection(rule.columns):
                found.append((name, rule))
        return sorted(found, key=lambda each: _ORDER.index(each[1].kind))

    def _todo(self, *lines: Iterable[str]) -> tuple[str, ...]:
        return tuple(self.name + line for line in itertools.chain(*lines))

    def _taken(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(
            f"{self.name}: the name of the index {name} is taken by another object; choose another name"
            for name in names
        )

    def _default(self, column: str) -> str | None:
        """Write the Python default of a field as SQL, if it is a constant that the server can store."""
        field = self._fields.get(column)
        if field is None or field.default is None or callable(field.default):
            return None
        with self.database.bind_ctx([field.model], bind_refs=False, bind_backrefs=False):
            try:
                return literal_of(self.database, field.db_value(field.default))
            except (peewee.PeeweeException, OverflowError, TypeError, ValueError):
                return None

    def _missing(self, old: ServerTable, new: ServerTable) -> Iterator[str]:
        for column in without_value(old.table, new.table):
            if self._default(column) is None:
                default = getattr(self._fields.get(column), "default", None)
                known = "no default" if default is None else "a default that only Python can compute"
                yield f".{column}: NOT NULL with {known}: {WRITE_THE_VALUE}"

    def _repeated(self, old: ServerTable, new: ServerTable) -> Iterator[str]:
        for name, column in new.table.columns.items():
            value = column.default or self._default(name) if column.not_null else column.default
            unique = getattr(self._fields.get(name), "unique", False) or (name,) in new.table.uniques
            if unique and value is not None and name not in old.table.columns:
                yield f".{name}: is UNIQUE, but all rows get {value}: this fails if the table has more than one row"

    def _needs_using(self, before: str, after: str) -> bool:
        """Return whether the server converts from one type to the other only if it is told to."""
        types = tuple(each.partition("(")[0] for each in (before, after))
        if is_text(after) or types[0] == types[1]:
            return False
        return self.database.execute_sql(_CAST, types).fetchone() is None


def dropped_line(rules: Iterable[str]) -> Iterator[str]:
    """Say of each rule that the model does not state it."""
    for rule in rules:
        yield f"{rule} is dropped, because the model does not state it; state it in the model, or delete this line"


def _moved(old: ServerTable, new: ServerTable) -> list[str]:
    """Return the columns that are dropped or get another type."""
    wanted = new.table.columns
    return [
        name
        for name, column in old.table.columns.items()
        if name not in wanted
        or (column.type, column.collation) != (wanted[name].type, wanted[name].collation)
        or (wanted[name].generated is not None and column.generated != wanted[name].generated)
    ]


def _other_indexes(table: ServerTable, other: ServerTable) -> list[str]:
    """Return the names of a table's indexes that the other table lacks or defines differently."""
    return [name for name, index in table.indexes.items() if other.indexes.get(name) != index]


def _free(name: str, taken: set[str]) -> str:
    """Return the name with the first number that makes it free."""
    return next(each for number in itertools.count(1) if (each := f"{name[:60]}{number}") not in taken)


def _sql(text: str) -> str:
    """Write SQL of the server for `execute_sql`."""
    return text.replace("%", "%%")
