"""Write the changes, up and down, that give one SQLite table the shape of its model.

ALTER TABLE statements are used where SQLite has them; they are first tried on an empty copy of the schema. Where it has
none, the table is rebuilt.
"""

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
from usage_store.engines.interface.table_changes import Change, Rebuild
from usage_store.engines.sqlite.from_models.dropped_rules import dropped_rules
from usage_store.engines.sqlite.from_models.not_ordinary_tables import not_as_wanted
from usage_store.engines.sqlite.from_models.references import leading_nowhere
from usage_store.engines.sqlite.from_models.rows_that_may_not_fit import (
    WRITE_THE_VALUE,
    addable,
    doubts_of,
    without_value,
)
from usage_store.engines.sqlite.schema import sql_tokens
from usage_store.engines.sqlite.schema.read_whole_schema import read_catalog
from usage_store.engines.sqlite.schema.sql_tokens import quoted
from usage_store.engines.sqlite.schema.write_column_sql import literal_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from usage_store.engines.interface.schema_differences import Table


@dataclass(frozen=True, slots=True)
class Schema:
    """A catalog, and the name and SQL of each object as in sqlite_master, by lower-case name."""

    catalog: Catalog
    objects: Mapping[str, tuple[str, str]]

    def indexes(self, table: str) -> dict[str, str]:
        """Return the normalised SQL of the indexes of a table, by name."""
        return {name: sql for name, (_, _, sql) in self.catalog.indexes_of(table).items()}


def read_schema(database: peewee.SqliteDatabase) -> Schema:
    """Read every table, index and view. Reads only."""
    # Triggers have their own names: a table and a trigger may share one.
    rows = database.execute_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND type <> 'trigger'")
    return Schema(read_catalog(database), {name.lower(): (name, sql) for name, sql in rows})


def text_of(sql: str, part: Sequence[sql_tokens.Token]) -> str:
    """Return the text of a statement from the first to the last of the given tokens, as it is written."""
    return sql[part[0].start : part[-1].end]


@dataclass(frozen=True, slots=True)
class TableDiff:
    """One table, by its lower-case name, in the live schema and in the wanted schema.

    `scratch` is an empty copy of the live schema: statements are tried on it and rolled back. `fields` are the Peewee
    fields of the table by lower-case column; their defaults are used.
    """

    table: str
    live: Schema
    wanted: Schema
    scratch: peewee.SqliteDatabase
    fields: Mapping[str, Any]

    def changes(self) -> Iterator[Change]:
        """Yield the changes of the table and of its indexes, in the order of `up`."""
        name, sql = self.wanted.objects[self.table]
        old, new = self.live.catalog.tables.get(self.table), self.wanted.catalog.tables.get(self.table)
        if self.table not in self.live.objects:
            yield Change((sql,), (f"DROP TABLE {quoted(name)}",), todo=tuple(self._of_new_table(name, new)))
            yield replace(self._new_indexes(), down=())
        elif old is not None and new is not None:
            stale = [self.live.objects[index] for index in _index_names(self.live, self.wanted, self.table)]
            drops = tuple(f"DROP INDEX {quoted(index)}" for index, _ in stale)
            kept = self.wanted.indexes(self.table)
            gone = tuple(index for index, _ in stale if index.lower() not in kept)
            yield Change(drops, tuple(index_sql for _, index_sql in stale), drops=gone)
            changed = not self._same(old, new)
            if changed:
                yield self._with_columns_added(old, new, drops) or self._rebuilt(old, new)
            if changed or stale:
                yield Change(todo=self._todo(self._dropped_rules(old, new), self._references(old, new)))
            yield self._new_indexes()
        else:
            yield Change(
                todo=tuple(not_as_wanted(self.scratch, self.live.objects[self.table], self.wanted.objects[self.table]))
            )

    def differences(self) -> tuple[str, ...]:
        """Say in words how the table differs from its model, one line for each difference."""
        old, new = self.live.catalog.tables.get(self.table), self.wanted.catalog.tables.get(self.table)
        if self.table not in self.live.objects:
            return (f"table {self.table} is missing",)
        if old is None or new is None:
            found = not_as_wanted(self.scratch, self.live.objects[self.table], self.wanted.objects[self.table])
            return tuple(line.partition("; write this")[0] for line in found)
        expected, there = (
            Catalog({self.table: self._stated(table)}, schema.catalog.indexes_of(self.table))
            for table, schema in ((new, self.wanted), (old, self.live))
        )
        lines = [
            line.replace("is not from a migration", "is not in the model") for line in differences(expected, there)
        ]
        return tuple(lines) or (f"{self.table} differs from its model",)

    def _dropped_rules(self, old: Table, new: Table) -> Iterator[str]:
        indexes = (
            {name: schema.objects[name][1] for name in schema.indexes(self.table)}
            for schema in (self.live, self.wanted)
        )
        for rule in dropped_rules(old, new, *indexes):
            yield f"{rule} is dropped, because the model does not state it; state it in the model, or delete this line"

    def _references(self, old: Table | None, new: Table) -> Iterator[str]:
        made = self.live.objects.keys() | self.wanted.objects.keys()
        return itertools.chain(leading_nowhere(old, new, made), not_written(old, self.fields))

    def _same(self, one: Table, other: Table) -> bool:
        """Return whether two tables are equal in everything that a model can state."""
        return self._stated(one) == self._stated(other)

    def _stated(self, table: Table) -> Table:
        unstated = deferred(self.fields)
        keys = tuple(key for key in table.foreign_keys if not unstated.intersection(key.columns))
        return replace(table.as_models_state(), foreign_keys=keys)

    def _of_new_table(self, name: str, new: Table | None) -> Iterator[str]:
        if new is None:
            return
        yield from (name + line for line in self._references(None, new))
        yield from tables_to_ask_for(name, new, self.live.catalog.tables, self.wanted.catalog.tables)

    def _new_indexes(self) -> Change:
        fresh = _index_names(self.wanted, self.live, self.table)
        taken = [name for name in fresh if name in self.live.objects.keys() - self.live.indexes(self.table).keys()]
        indexes = [self.wanted.objects[name] for name in fresh if name not in taken]
        return Change(
            tuple(sql for _, sql in indexes),
            tuple(f"DROP INDEX {quoted(name)}" for name, _ in indexes),
            todo=tuple(
                f"{self.table}: the name of the index {name} is taken by another object; choose another name"
                for name in taken
            ),
        )

    def _with_columns_added(self, old: Table, new: Table, before: Sequence[str]) -> Change | None:
        added = {name: column for name, column in new.columns.items() if name not in old.columns}
        if not all(addable(name, column, new) for name, column in added.items()):
            return None
        table, sql = quoted(self.live.objects[self.table][0]), self.wanted.objects[self.table][1]
        definitions = _inline_definitions(sql)
        up = [f"ALTER TABLE {table} ADD COLUMN {definitions[name]}" for name in added]
        tried = self._tried([*before, *up])
        if tried is None or not self._same(tried, new):
            return None
        down = [f"ALTER TABLE {table} DROP COLUMN {quoted(_spelled(sql)[name])}" for name in reversed(added)]
        return Change(tuple(up), tuple(down), todo=self._todo(self._repeated(old, new, {})))

    def _tried(self, statements: Sequence[str]) -> Table | None:
        """Return the table as it would be after some statements, or None if SQLite refuses one. Changes nothing."""
        with self.scratch.atomic() as transaction:
            try:
                for sql in statements:
                    self.scratch.execute_sql(sql)
                return read_catalog(self.scratch, {self.table}).tables[self.table]
            except peewee.OperationalError:
                return None
            finally:
                transaction.rollback()

    def _rebuilt(self, old: Table, new: Table) -> Change:
        name, live_sql = self.live.objects[self.table]
        sql = self.wanted.objects[self.table][1]
        values = {column: self._default(column) or "NULL" for column in without_value(old, new)}
        gone = tuple(_spelled(live_sql)[column] for column in lost(old, new))
        up = Rebuild(name, sql, _respelled(values, sql), gone)
        renamed = renames_to_ask_for(name, old, new)
        todo = self._todo(renamed, self._missing(values), self._repeated(old, new, values), doubts_of(old, new))
        return Change((up,), (self._back(old, new),), tuple(f"{name}.{column}" for column in gone), todo=todo)

    def _todo(self, *lines: Iterable[str]) -> tuple[str, ...]:
        return tuple(self.live.objects[self.table][0] + line for line in itertools.chain(*lines))

    def _back(self, old: Table, new: Table) -> Rebuild:
        name, sql = self.live.objects[self.table]
        names = _spelled(self.wanted.objects[self.table][1])
        values = dict.fromkeys(without_value(new, old), "NULL")
        return Rebuild(name, sql, _respelled(values, sql), tuple(names[column] for column in lost(new, old)))

    def _default(self, column: str) -> str | None:
        """Write the Python default of a field as SQL, if it is a constant that SQLite can store."""
        field = self.fields.get(column)
        if field is None or field.default is None or callable(field.default):
            return None
        try:
            return literal_of(self.scratch, field.db_value(field.default))
        except (peewee.PeeweeException, OverflowError, TypeError, ValueError):
            return None

    def _missing(self, values: Mapping[str, str]) -> Iterator[str]:
        for column, value in values.items():
            if value == "NULL":
                default = getattr(self.fields.get(column), "default", None)
                known = "no default" if default is None else "a default that only Python can compute"
                yield f".{column}: NOT NULL with {known}: {WRITE_THE_VALUE}"

    def _repeated(self, old: Table, new: Table, values: Mapping[str, str]) -> Iterator[str]:
        for name, column in new.columns.items():
            value = values.get(name) or column.default or "NULL"
            unique = getattr(self.fields.get(name), "unique", False) or (name,) in new.uniques
            if unique and value.upper() != "NULL" and name not in old.columns:
                yield f".{name}: is UNIQUE, but all rows get {value}: this fails if the table has more than one row"


def _index_names(schema: Schema, other: Schema, table: str) -> list[str]:
    """Return the names of a table's indexes that the other schema lacks or defines differently."""
    there = other.indexes(table)
    return [name for name, sql in schema.indexes(table).items() if there.get(name) != sql]


def _spelled(sql: str) -> dict[str, str]:
    return {
        name.lower(): name for name in (sql_tokens.name_of(part[0]) for part in sql_tokens.parse_table(sql).columns)
    }


def _respelled(values: Mapping[str, str], sql: str) -> dict[str, str]:
    names = _spelled(sql)
    return {names[name]: value for name, value in values.items()}


def _inline_definitions(sql: str) -> dict[str, str]:
    """Return the definition of each column, together with its foreign key if the table states that separately."""
    parsed = sql_tokens.parse_table(sql)
    found = {sql_tokens.name_of(part[0]).lower(): text_of(sql, part) for part in parsed.columns}
    for part in parsed.constraints:
        start = next((index for index, token in enumerate(part) if token.says("references")), None)
        keys = sql_tokens.after(part[:start], "key")
        if start is not None and keys and len(keys[0]) == 1:
            found[sql_tokens.name_of(keys[0][0]).lower()] += " " + text_of(sql, part[start:])
    return found
