"""What the rows of a table need, and what they may lose, when the table changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.engines.sqlite.schema import sql_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from usage_store.engines.interface.schema_differences import Column, Table


def addable(name: str, column: Column, table: Table) -> bool:
    """Tell whether ADD COLUMN takes it on a table with rows (sqlite.org/lang_altertable.html#altertabaddcol)."""
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
    """Name the new columns that are NOT NULL and get no value by themselves."""
    for name, column in new.columns.items():
        needs = column.not_null and column.default is None and column.generated is None
        if needs and name not in old.columns and not _is_rowid(column, new):
            yield name


def _is_rowid(column: Column, table: Table) -> bool:
    alone = sum(other.primary_key > 0 for other in table.columns.values()) == 1
    return column.primary_key == 1 and alone and column.type == "INTEGER" and "without rowid" not in table.options


def lost(old: Table, new: Table) -> list[str]:
    """Name the old columns whose values do not get into the new table."""
    return [
        name
        for name, column in old.columns.items()
        if column.generated is None and (name not in new.columns or new.columns[name].generated is not None)
    ]


def doubts_of(old: Table, new: Table) -> Iterator[str]:
    """Say where rows may not survive the way up, or up and down, as they were: lines that continue a table's name."""
    gone = lost(old, new)
    for name in gone:
        needed = ", and it is NOT NULL: write what rows get in place of NULL" if name in without_value(new, old) else ""
        yield f".{name}: down makes the column again without the values that up drops{needed}"
    for name, was in old.columns.items():
        column = new.columns.get(name)
        if column is None or name in gone:
            continue
        if column.not_null and not was.not_null and not _is_rowid(was, old):
            yield f".{name}: becomes NOT NULL; rows where it is NULL make this fail: update them first"
        if _affinity(column.type) != _affinity(was.type):
            yield (
                f".{name}: {was.type or 'no type'} becomes {column.type or 'no type'}; values that do not convert stay "
                "as they are (a STRICT table refuses them), and down may not give back the same ones"
            )
    if "strict" in new.options and "strict" not in old.options:
        yield ": becomes STRICT, which refuses rows with values of another type"


def renames_to_ask_for(table: str, old: Table, new: Table) -> Iterator[str]:
    """Say which new columns may be old ones under another name: lines that continue the table's name."""
    gone = lost(old, new)
    for name in gone:
        alike = [
            other
            for other, column in new.columns.items()
            if other not in old.columns and (column.type, column.generated) == (old.columns[name].type, None)
        ]
        if alike:
            renames = " or ".join(f"--rename {table}.{name}:{other}" for other in alike)
            yield f".{name}: goes, and {', '.join(alike)} comes; if it was renamed, create this again with {renames}"


def same_shape(one: Table, other: Table) -> bool:
    """Tell whether two tables have the same columns, of the same types."""
    shapes = ({name: column.type for name, column in table.columns.items()} for table in (one, other))
    return next(shapes) == next(shapes)


def _affinity(type_: str) -> str:
    """Give a declared type's affinity (sqlite.org/datatype3.html#determination_of_column_affinity).

    INTEGER is NUMERIC here: they differ in CAST alone.
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
