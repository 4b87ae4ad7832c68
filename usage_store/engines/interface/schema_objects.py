"""Describe the objects of a schema by their DDL, and how they changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping


class SchemaObject(NamedTuple):
    """An object of a schema: a table, index, view or trigger, and on some engines others.

    `table` is the table of an index or trigger, otherwise its own name. On PostgreSQL, a name with capital letters is
    in double quotes, a trigger is named `trigger on table`, and a function with its arguments.
    """

    kind: str
    name: str
    table: str
    sql: str

    @property
    def key(self) -> str:
        """The text that identifies the object."""
        return key_of(self.kind, self.name)

    @property
    def plain_name(self) -> str:
        """The name in lower case, without the table or the arguments that may belong to it, and without quotes."""
        name = self.name.removesuffix(")").partition("(")[0] if self.kind in ("function", "procedure") else self.name
        name = name.partition(" on ")[0] if self.kind == "trigger" else name
        return name.removeprefix('"').removesuffix('"').lower()


def key_of(kind: str, name: str) -> str:
    """Return the key of an object by its kind and name; the case of letters matters only in double quotes."""
    return f"{kind} {name}" if '"' in name else f"{kind} {name.lower()}"


def quoted(name: str) -> str:
    """Put an identifier into double quotes."""
    return '"' + name.replace('"', '""') + '"'


def text_literal(text: str) -> str:
    """Return a text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def found(known: Iterable[str], name: str, fold: Callable[[str], str]) -> str | None:
    """Return the known name that a name means: exactly this one, or else the only one that differs in case, or None.

    `fold` makes names equal that differ in case only.
    """
    same = [each for each in known if fold(each) == fold(name)]
    return name if name in same else same[0] if len(same) == 1 else None


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
