"""Find the values that a change of a table needs for its rows, and the values that rows may lose."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from usage_store.engines.interface.models_and_tables import lost
from usage_store.engines.postgresql.from_models.write_changes import is_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from usage_store.engines.interface.schema_differences import Table

WRITE_THE_VALUE = "write the value that rows get instead of NULL into the UPDATE"
_WHOLE = ("smallint", "integer", "bigint")


def without_value(old: Table, new: Table) -> list[str]:
    """Return the new columns that are NOT NULL and get no value by a default or by an expression."""
    return [
        name
        for name, column in new.columns.items()
        if name not in old.columns and column.not_null and column.default is None and column.generated is None
    ]


def doubts_of(old: Table, new: Table) -> Iterator[str]:
    """Report where rows may not survive `up`, or `up` followed by `down`, unchanged.

    Each line continues the table's name.
    """
    gone = lost(old, new)
    for name in gone:
        needed = f", and the column is NOT NULL: {WRITE_THE_VALUE}" if name in without_value(new, old) else ""
        yield f".{name}: down makes the column again, but without the values that up dropped{needed}"
    for name, was in old.columns.items():
        column = new.columns.get(name)
        if column is None or name in gone or column.generated is not None:
            continue
        if column.not_null and not was.not_null:
            yield f".{name}: becomes NOT NULL; this fails if a row has NULL here, so update such rows first"
        if was.type != column.type and not _holds(column.type, was.type):
            yield (
                f".{name}: {was.type} becomes {column.type}; this fails if a value cannot be converted, and down may "
                "not restore the old values"
            )


def _holds(new: str, old: str) -> bool:
    """Return whether a type holds each value of another type as it is."""
    if new in _WHOLE and old in _WHOLE:
        return _WHOLE.index(new) >= _WHOLE.index(old)
    if is_text(new) and is_text(old) and not new.startswith("character(") and not old.startswith("character("):
        return _length(new) >= _length(old)
    return False


def _length(type_: str) -> float:
    limit = re.search(r"\((\d+)\)", type_)
    return int(limit[1]) if limit else float("inf")
