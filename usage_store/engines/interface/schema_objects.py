"""The objects of a schema as the database has them: their DDL, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class SchemaObject(NamedTuple):
    """A table, index, view or trigger; `table` is the table that it is on, of a table or view its own name."""

    kind: str
    name: str
    table: str
    sql: str

    @property
    def key(self) -> str:
        """What tells it from all others."""
        return key_of(self.kind, self.name)


def key_of(kind: str, name: str) -> str:
    """Give the key of an object by its kind and name, in any case of letters."""
    return f"{kind} {name.lower()}"


class Changes(NamedTuple):
    """What was made or made differently, and by their keys what of that was there before, and what is gone."""

    made: tuple[SchemaObject, ...] = ()
    changed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    def without(self, tables: Collection[str]) -> Changes:
        """Leave out what was made of some tables, named in lower case."""
        return self._replace(made=tuple(each for each in self.made if each.table.lower() not in tables))


def changes_between(before: Mapping[str, SchemaObject], after: Mapping[str, SchemaObject]) -> Changes:
    """Tell what became of one schema's objects, by their keys."""
    return Changes(
        tuple(each for key, each in after.items() if before.get(key) != each),
        tuple(key for key, each in after.items() if key in before and before[key] != each),
        tuple(key for key in before if key not in after),
    )
