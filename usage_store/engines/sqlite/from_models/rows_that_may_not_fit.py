"""Find the values that a change of a table needs for its rows, and the values that rows may lose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.engines.interface.models_and_tables import lost
from usage_store.engines.sqlite.schema import sql_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from usage_store.engines.interface.schema_differences import Column, Table

WRITE_THE_VALUE = "write the value that rows get instead of NULL; it is SQL, so a text is written \"'text'\""


def addable(name: str, column: Column, table: Table) -> bool:
    """Return whether ADD COLUMN accepts a column where the table has rows.

    The rules are those of sqlite.org/lang_altertable.html#altertabaddcol.
    """
    default = sql_tokens.tokens(column.default or "null")
    constant = default[-1].kind in ("string", "number") or default[-1].says("null", "true", "false")
    constant = constant and all(token.says("+", "-") for token in default[:-1])
    has_value = not default[-1].says("null")
    refers = any(name in key.columns for key in table.foreign_keys)
    stored = (column.generated or "").endswith("stored")
    if column.primary_key or stored or not constant:
        return False
    return not refers if has_value else not column.not_null


def without_value(old: Table, new: Table) -> Iterator[str]:
    """Yield the new columns that are NOT NULL and get no value by a default, by an expression or as the rowid."""
    for name, column in new.columns.items():
        needs = column.not_null and column.default is None and column.generated is None
        if needs and name not in old.columns and not _is_rowid(column, new):
            yield name


def _is_rowid(column: Column, table: Table) -> bool:
    alone = sum(other.primary_key > 0 for other in table.columns.values()) == 1
    return column.primary_key == 1 and alone and column.type == "INTEGER" and "without rowid" not in table.options


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
        if column is None or name in gone:
            continue
        if column.not_null and not was.not_null and not _is_rowid(was, old):
            yield f".{name}: becomes NOT NULL; this fails if a row has NULL here, so update such rows first"
        if _affinity(column.type) != _affinity(was.type):
            yield (
                f".{name}: {was.type or 'no type'} becomes {column.type or 'no type'}; values that cannot be converted "
                "stay as they are (a STRICT table refuses them), and down may not restore the old values"
            )
    if "strict" in new.options and "strict" not in old.options:
        yield ": becomes STRICT; this fails if a row has a value of another type"


def _affinity(type_: str) -> str:
    """Return the affinity of a declared type (sqlite.org/datatype3.html#determination_of_column_affinity).

    INTEGER counts as NUMERIC here: the two differ only in CAST.
    """
    for affinity, marks in {
        "NUMERIC": ("INT",),
        "TEXT": ("CHAR", "CLOB", "TEXT"),
        "BLOB": ("BLOB",),
        "REAL": ("REAL", "FLOA", "DOUB"),
    }.items():
        if any(mark in type_ for mark in marks):
            return affinity
    return "NUMERIC" if type_ else "BLOB"
