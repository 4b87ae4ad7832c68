"""References of models that SQLite's tables do not have, or that lead nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from usage_store.engines.interface.schema_differences import Table


def leading_nowhere(old: Table | None, new: Table, made: Collection[str]) -> Iterator[str]:
    """Say which new references are to tables that are not `made`: lines that continue the table's name."""
    for key in new.foreign_keys:
        if key.table not in made and (old is None or key not in old.foreign_keys):
            yield (
                f".{', '.join(key.columns)}: refers to {key.table}, a table that neither the models nor the database "
                "have: rows can be written only when somebody makes it"
            )


def not_written(old: Table | None, fields: Mapping[str, Any]) -> Iterator[str]:
    """Say which references of new columns peewee leaves out: lines that continue the table's name."""
    for column in deferred(fields):
        if old is None or column not in old.columns:
            to = fields[column].rel_field
            target = f"{to.model._meta.table_name} ({to.column_name})"
            yield f".{column}: peewee writes no REFERENCES {target} for a DeferredForeignKey; add it to the column"


def deferred(fields: Mapping[str, Any]) -> set[str]:
    """Name the columns of references that peewee states for queries alone, as their table may come later."""
    return {column for column, field in fields.items() if getattr(field, "deferred", None)}
