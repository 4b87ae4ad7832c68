"""Write the statements that change one column or one rule of a table, up and down."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from usage_store.engines.interface.schema_objects import quoted, text_literal
from usage_store.engines.interface.table_changes import Change
from usage_store.engines.postgresql.from_models.read_tables import ALWAYS, AUTO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from usage_store.engines.interface.schema_differences import Column
    from usage_store.engines.postgresql.from_models.read_tables import Constraint, ServerTable

_SERIALS = {"integer": "serial", "bigint": "bigserial", "smallint": "smallserial"}
_TEXTS = ("text", "character varying", "character(")


def alter(table: str, change: str) -> str:
    """Write an ALTER TABLE. `change` is SQL of the server, where `%` stands for itself."""
    return f"ALTER TABLE {quoted(table)} {change}".replace("%", "%%")


def added_constraint(table: str, name: str | None, constraint: Constraint) -> str:
    """Write the statement that adds a constraint; without a name, the server chooses it."""
    return alter(table, f"ADD CONSTRAINT {quoted(name)} {constraint.sql}" if name else f"ADD {constraint.sql}")


def definition(table: ServerTable, name: str) -> str:
    """Write the definition of a column, without its constraints but NOT NULL."""
    column = table.table.columns[name]
    if name in table.serials:
        return f"{quoted(name)} {_SERIALS.get(column.type, column.type)}"
    return quoted(name) + " " + _typed(column) + _value(column) + " NOT NULL" * column.not_null


def added_column(table: ServerTable, name: str, value: str | None) -> tuple[str, ...]:
    """Write the statements that add a column. `value` is SQL for the rows that are there: only for a new NOT NULL.

    A value of "NULL" stands for one that a person has to write.
    """
    if value is None:
        return (alter(table.name, f"ADD COLUMN {definition(table, name)}"),)
    if value != "NULL":
        return (
            alter(table.name, f"ADD COLUMN {definition(table, name)} DEFAULT {value}"),
            alter(table.name, f"ALTER COLUMN {quoted(name)} DROP DEFAULT"),
        )
    return (
        alter(table.name, f"ADD COLUMN {definition(table, name).removesuffix(' NOT NULL')}"),
        f"UPDATE {quoted(table.name)} SET {quoted(name)} = NULL".replace("%", "%%"),  # noqa: S608
        alter(table.name, f"ALTER COLUMN {quoted(name)} SET NOT NULL"),
    )


def dropped_column(table: str, name: str) -> str:
    """Write the statement that drops a column."""
    return alter(table, f"DROP COLUMN {quoted(name)}")


def changed_column(
    old: ServerTable, new: ServerTable, name: str, needs_using: Callable[[str, str], bool]
) -> Iterator[Change]:
    """Yield the changes of a column that both tables have. `needs_using` tells it of the conversion of two types."""
    was, column = old.table.columns[name], new.table.columns[name]
    here = f"ALTER COLUMN {quoted(name)}"
    if was.generated is not None or column.generated is not None:
        yield from _generated(old, new, name)
        if column.generated is not None or (was.type, was.not_null, None) == (
            column.type,
            column.not_null,
            column.default,
        ):
            return
        was = type(was)(was.type, was.not_null, None, was.primary_key, was.collation, None)
    if was.default != column.default and was.default is not None:
        counted = was.default in (AUTO, ALWAYS) and name not in old.serials
        back = (alter(old.name, _with_default(old, name)), *[_counted(old.name, name)] * counted)
        yield Change((alter(old.name, _without_default(old, name)),), back)
    if (was.type, was.collation) != (column.type, column.collation):
        up, down = (
            f"{here} TYPE {_typed(after)}"
            + f" USING {quoted(name)}::{after.type}" * needs_using(before.type, after.type)
            for before, after in ((was, column), (column, was))
        )
        yield _both(old.name, up, down)
        yield from _sequence(old, name, was, column)
    if was.not_null != column.not_null:
        words = (f"{here} SET NOT NULL", f"{here} DROP NOT NULL")
        yield _both(old.name, *(words if column.not_null else reversed(words)))
    if was.default != column.default and column.default is not None:
        yield _both(old.name, _with_default(new, name, is_new=True), _without_default(new, name, is_new=True))
        if column.default in (AUTO, ALWAYS):
            yield Change((_counted(old.name, name),))


def _generated(old: ServerTable, new: ServerTable, name: str) -> Iterator[Change]:
    """Yield the change of the expression of a column. The server can only drop an expression."""
    was, column = old.table.columns[name], new.table.columns[name]
    dropped = alter(old.name, f"ALTER COLUMN {quoted(name)} DROP EXPRESSION")
    drop = dropped_column(old.name, name)
    up = (drop, *added_column(new, name, None))
    down = (drop, *added_column(old, name, None))
    if was.generated is None:
        yield Change(up, (dropped,))
    elif column.generated is None:
        yield Change((dropped,), down)
    elif (was.generated, was.type, was.collation) != (column.generated, column.type, column.collation):
        yield Change(up, down)


def _sequence(table: ServerTable, name: str, was: Column, column: Column) -> Iterator[Change]:
    """Yield the change of the type of a serial column's sequence, which would end too early otherwise."""
    found = re.fullmatch(r"nextval\('(.*)'::regclass\)", table.serials.get(name, ""))
    if found and was.type != column.type and {was.type, column.type} <= _SERIALS.keys():
        sequence = found[1].replace("''", "'").replace("%", "%%")
        yield Change((f"ALTER SEQUENCE {sequence} AS {column.type}",), (f"ALTER SEQUENCE {sequence} AS {was.type}",))


def _with_default(table: ServerTable, name: str, *, is_new: bool = False) -> str:
    default, here = table.table.columns[name].default, f"ALTER COLUMN {quoted(name)}"
    if default in (AUTO, ALWAYS) and (is_new or name not in table.serials):
        return f"{here} ADD GENERATED {'ALWAYS' if default == ALWAYS else 'BY DEFAULT'} AS IDENTITY"
    return f"{here} SET DEFAULT {table.serials.get(name, default)}"


def _without_default(table: ServerTable, name: str, *, is_new: bool = False) -> str:
    default, here = table.table.columns[name].default, f"ALTER COLUMN {quoted(name)}"
    identity = default in (AUTO, ALWAYS) and (is_new or name not in table.serials)
    return f"{here} DROP IDENTITY" if identity else f"{here} DROP DEFAULT"


def _counted(table: str, name: str) -> str:
    """Write the query that sets the counter of a column behind the numbers that it has."""
    texts = ", ".join(map(text_literal, (quoted(table), name)))
    counter = f"setval(pg_get_serial_sequence({texts}), greatest(max({quoted(name)}), 0) + 1, false)"
    return f"SELECT {counter} FROM {quoted(table)}".replace("%", "%%")  # noqa: S608


def _both(table: str, up: str, down: str) -> Change:
    return Change((alter(table, up),), (alter(table, down),))


def _typed(column: Column) -> str:
    return column.type + (f" COLLATE {quoted(column.collation)}" if column.collation else "")


def _value(column: Column) -> str:
    if column.generated is not None:
        return f" GENERATED ALWAYS AS ({column.generated.removesuffix(' stored')}) STORED"
    if column.default in (AUTO, ALWAYS):
        return f" GENERATED {'ALWAYS' if column.default == ALWAYS else 'BY DEFAULT'} AS IDENTITY"
    return f" DEFAULT {column.default}" if column.default is not None else ""


def is_text(type_: str) -> bool:
    """Return whether a type holds texts."""
    return type_.startswith(_TEXTS)
