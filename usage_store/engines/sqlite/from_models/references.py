"""Find references of models that SQLite's tables do not have, or whose target does not exist."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from usage_store.engines.interface.schema_differences import Table


def leading_nowhere(old: Table | None, new: Table, made: Collection[str]) -> Iterator[str]:
    """Report each new reference to a table that does not exist. Each line continues the table's name.

    `made` are the tables of the models and of the database.
    """
    for key in new.foreign_keys:
        if key.table not in made and (old is None or key not in old.foreign_keys):
            yield (
                f".{', '.join(key.columns)}: refers to {key.table}, a table that neither the models nor the database "
                "have; no row can be written until somebody makes this table"
            )


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
