"""Find references of models whose target does not exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

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
