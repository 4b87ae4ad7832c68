"""Order tables so that parents are filled before the tables that refer to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.engines.sqlite.schema.sql_tokens import fold

if TYPE_CHECKING:
    from collections.abc import Mapping

    from usage_store.engines.sqlite.filling.read_tables import FillTable


def parents_first(tables: Mapping[str, FillTable]) -> list[FillTable]:
    """Return the tables, parents first. In a circle, the first is the table with the fewest parents that it needs."""
    left = dict(tables)
    ordered = []
    while left:
        name = min(left, key=lambda each: (*_waits_for(left[each], left), each))
        ordered.append(left.pop(name))
    return ordered


def _waits_for(table: FillTable, left: Mapping[str, FillTable]) -> tuple[int, int]:
    """Count the parents that are left: those of columns that cannot be NULL, and all."""
    parents = [
        (reference, left[fold(reference.parent)])
        for reference in table.references
        if fold(reference.parent) in left and left[fold(reference.parent)] is not table
    ]
    needed = [
        parent
        for reference, parent in parents
        if not any(table.columns[column].nullable for column in reference.columns if column in table.columns)
    ]
    return len(needed), len(parents)
