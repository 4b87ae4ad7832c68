"""Describe the objects of a schema by their DDL, and how they changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class SchemaObject(NamedTuple):
    """A table, index, view or trigger. `table` is the table of an index or trigger, otherwise its own name."""

    kind: str
    name: str
    table: str
    sql: str

    @property
    def key(self) -> str:
        """The text that identifies the object."""
        return key_of(self.kind, self.name)


def key_of(kind: str, name: str) -> str:
    """Return the key of an object by its kind and name; the case of letters matters only in double quotes."""
    return f"{kind} {name}" if '"' in name else f"{kind} {name.lower()}"


def quoted(name: str) -> str:
    """Put an identifier into double quotes."""
    return '"' + name.replace('"', '""') + '"'


class Changes(NamedTuple):
    """How the objects of a schema changed.

    `made` are the objects that are new or different. `changed` are the keys of those that existed before. `gone` are
    the keys of objects that do not exist any more.
    """

    made: tuple[SchemaObject, ...] = ()
    changed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    def without(self, tables: Collection[str]) -> Changes:
        """Leave out what was made on some tables, named in lower case."""
        return self._replace(made=tuple(each for each in self.made if each.table.lower() not in tables))


def changes_between(before: Mapping[str, SchemaObject], after: Mapping[str, SchemaObject]) -> Changes:
    """Compare the objects of two schemas, given by their keys."""
    return Changes(
        tuple(each for key, each in after.items() if before.get(key) != each),
        tuple(key for key, each in after.items() if key in before and before[key] != each),
        tuple(key for key in before if key not in after),
    )
