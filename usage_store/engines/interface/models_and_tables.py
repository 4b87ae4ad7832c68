"""Say what models and tables have to do with each other, the same for each engine: names, renames and references."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import peewee
from peewee import sort_models  # type: ignore[attr-defined]  # not in peewee's stubs

from usage_store.engines.interface.schema_objects import quoted
from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from usage_store.engines.interface.schema_differences import Table

    _Known = Mapping[str, object]


def stored_models(
    models: Sequence[type[peewee.Model]], schema: str, folded: Callable[[str], str] = str
) -> list[type[peewee.Model]]:
    """Return the models that have a permanent table, parents before children.

    `schema` is the only schema that a model may name. `folded` makes names alike that are the same for the engine.
    Raises ConfigurationError.
    """
    by_table: dict[str, type[peewee.Model]] = {}
    for model in sort_models(models):
        meta = model._meta
        if meta.schema not in (None, schema):
            raise ConfigurationError(
                f"{model.__name__}: its table is in schema {meta.schema!r}; allowed: {schema}, or no schema"
            )
        if meta.temporary:
            continue
        other = by_table.setdefault(folded(meta.table_name), model)
        if other is not model:
            raise ConfigurationError(
                f"{other.__name__} and {model.__name__} are both models of the table {meta.table_name}; "
                "put the right models into a list and name that list as MODULE:NAME"
            )
        for field in meta.sorted_fields:
            if isinstance(field, peewee.DeferredForeignKey):
                raise ConfigurationError(
                    f"{model.__name__}.{field.name}: refers to a model {field.rel_model_name!r} that was not loaded; "
                    "import the module that defines it"
                )
    return list(by_table.values())


def default_value(field: peewee.Field[Any], database: peewee.Database) -> Any:
    """Return the default of a field as the driver takes it, also of a field that belongs to no model."""
    prepare = getattr(field, "_db_hook", None)
    if prepare is not None:  # binding the field to a model calls it
        prepare(database)
    return field.db_value(field.default() if callable(field.default) else field.default)


def check_rename(what: str, kind: str, old: tuple[str, _Known], new: tuple[str, _Known]) -> None:
    """Raise ConfigurationError unless the database has the old name and the models have the new one, and only these.

    Each of `old` and `new` is a name and the names that there are.
    """
    check_known(what, kind, old, new)
    if new[0] in old[1]:
        raise ConfigurationError(f"rename {what}: the database has a {kind} {new[0]} already")


def check_known(what: str, kind: str, live: tuple[str, _Known], wanted: tuple[str, _Known]) -> None:
    """Raise ConfigurationError unless the database has one name and the models have another."""
    for owner, (name, known) in (("the database has", live), ("the models have", wanted)):
        if name not in known:
            there = ", ".join(sorted(known)) or "none"
            raise ConfigurationError(f"rename {what}: {owner} no {kind} {name}; there are: {there}")


def rename_table(old: str, new: str) -> str:
    """Write the statement that renames a table."""
    return f"ALTER TABLE {quoted(old)} RENAME TO {quoted(new)}"


def rename_column(table: str, old: str, new: str) -> str:
    """Write the statement that renames a column."""
    return f"ALTER TABLE {quoted(table)} RENAME COLUMN {quoted(old)} TO {quoted(new)}"


def not_written(old: Table | None, fields: Mapping[str, Any]) -> Iterator[str]:
    """Report the references of new columns that peewee leaves out. Each line continues the table's name."""
    for column in deferred(fields):
        if old is None or column not in old.columns:
            to = fields[column].rel_field
            target = f"{to.model._meta.table_name} ({to.column_name})"
            yield f".{column}: peewee writes no REFERENCES {target} for a DeferredForeignKey; add it to the column"


def deferred(fields: Mapping[str, Any]) -> set[str]:
    """Return the columns whose reference peewee does not write into the table (DeferredForeignKey)."""
    return {column for column, field in fields.items() if getattr(field, "deferred", None)}


def lost(old: Table, new: Table) -> list[str]:
    """Return the old columns whose values do not get into the new table."""
    return [
        name
        for name, column in old.columns.items()
        if column.generated is None and (name not in new.columns or new.columns[name].generated is not None)
    ]


def renames_to_ask_for(table: str, old: Table, new: Table) -> Iterator[str]:
    """Report new columns that may be old columns with a new name. Each line continues the table's name."""
    for name in lost(old, new):
        alike = [
            other
            for other, column in new.columns.items()
            if other not in old.columns and (column.type, column.generated) == (old.columns[name].type, None)
        ]
        if alike:
            renames = " or ".join(f"--rename {table}.{name}:{other}" for other in alike)
            yield (
                f".{name}: is dropped, and {', '.join(alike)} is new; "
                f"if it was renamed, create this again with {renames}"
            )


def tables_to_ask_for(name: str, new: Table, live: Mapping[str, Table], wanted: Mapping[str, Table]) -> Iterator[str]:
    """Report tables without a model that may be the old tables of a new name."""
    for other, table in live.items():
        if other not in wanted and _shape(table) == _shape(new):
            yield (
                f"{name}: is new, and {other}, which has no model, has the same columns; if it was renamed, create "
                f"this again with --rename {other}:{name}"
            )


def _shape(table: Table) -> Mapping[str, str]:
    return {name: column.type for name, column in table.columns.items()}
