"""What became of each table in a migration: tables are followed, not names.

A renaming keeps a table's row in sqlite_master, and no transaction can run VACUUM; root pages would not do, since DROP
TABLE moves them in a database with auto_vacuum. Only a row that was deleted can be given to a table that is made
later. So a row under another name is its old table's, unless the authorizer saw a table dropped that may be that one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from usage_store.engines.sqlite.migrating.forbidden_statements import Guard
    from usage_store.engines.sqlite.migrating.objects_of_a_schema import Schema


def follow(before: Schema, after: Schema, seen: Guard) -> dict[str, str | None]:
    """Tell what each table of before is called now; None if it is gone.

    A table that is gone is followed by one that was made under its name, as in a rebuild by hand.
    """
    now = {table.row: name for name, table in after.tables.items()}
    names: dict[str, str | None] = {}
    for name, table in before.tables.items():
        found = now.get(table.row)
        if found is not None and (found == name or _was_renamed(name, found, before, seen)):
            names[name] = found
    taken = set(names.values())
    for name in before.tables:
        if name not in names:
            names[name] = name if name in after.tables and name not in taken else None
    return names


def _was_renamed(name: str, found: str, before: Schema, seen: Guard) -> bool:
    if name not in seen.renamed:
        return False
    made = seen.created.keys() - before.objects.keys()
    if not made or not _a_renamed_one_was_dropped(before, seen):
        return True
    if _is_below_a_steady_one(before.objects[name].row, before, seen):
        return True
    # Its row may be another's by now: that of a table which was made here and has this name, or was renamed to it.
    return found not in made and not made & seen.renamed


def _a_renamed_one_was_dropped(before: Schema, seen: Guard) -> bool:
    for name, times in seen.dropped.items():
        as_itself = seen.created.get(name, 0) + (name in before.objects and name not in seen.renamed)
        if times > as_itself:
            return True
    return False


def _is_below_a_steady_one(row: int, before: Schema, seen: Guard) -> bool:
    moved = seen.dropped.keys() | seen.renamed
    return any(table.row > row and name not in moved for name, table in before.tables.items())
