"""What became of each table in a migration: tables are followed, not names.

A renaming keeps a table's row in sqlite_master, and no transaction can run VACUUM; root pages would not do, since DROP
TABLE moves them in a database with auto_vacuum. But where the last row was deleted, the next table that is made gets
its rowid. The authorizer tells of each CREATE, DROP and ALTER TABLE in order, and of a renaming the old name alone. So
a row under another name is its old table's, unless that table may be one of those that were dropped under a new name.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from usage_store.engines.sqlite.migrating.objects_of_a_schema import Schema

    # "create", "drop" or "alter" and the table's folded name; "rebuild" and its row in sqlite_master before and after
    Event = tuple[str, str]


def follow(before: Schema, after: Schema, events: Collection[Event]) -> dict[str, str | None]:
    """Tell what each table of before is called now; None if it is gone.

    A table that is gone is followed by one that was made under its name, as in a rebuild by hand.
    """
    now = {table.row: name for name, table in after.tables.items()}
    rows = _rows(before, events)
    renamed, doubtful, drops = _replay(before.tables, events)
    if drops <= sum(rows[name] not in now for name in renamed):
        doubtful = set()  # as many are gone for certain
    moved = {name for kind, name in events if kind in ("drop", "alter")}
    steady = max((table.row for name, table in before.tables.items() if name not in moved), default=0)
    became: dict[str, str | None] = {}
    taken: set[str] = set()
    for name, row in rows.items():
        found = now.get(row)
        if found == name:
            became[name] = found
        elif found is not None and name in renamed:
            taken.add(found)
            if name not in doubtful or row < steady:  # what is made later comes after a table that stays
                became[name] = found
            else:
                became[name] = None
    for name in before.tables.keys() - became.keys():
        became[name] = name if name in after.tables and name not in taken else None
    return became


def _rows(before: Schema, events: Iterable[Event]) -> dict[str, int]:
    """Give the row of each table of before, as rebuilds moved it."""
    rows = {name: table.row for name, table in before.tables.items()}
    for kind, moved in events:
        if kind == "rebuild":
            old, new = map(int, moved.split())
            rows.update({name: new for name, row in rows.items() if row == old})
    return rows


def _replay(there: Collection[str], events: Iterable[Event]) -> tuple[set[str], set[str], int]:
    """Give those tables of before that may have been renamed, those of them that may have been dropped, how many were.

    The number counts each drop that may be of such a table.
    """
    itself = set(there)  # those that still have their name
    made: Counter[str] = Counter()
    renamed: set[str] = set()
    doubtful: set[str] = set()
    drops = 0
    for kind, name in events:
        if kind == "create":
            made[name] += name not in itself  # else it says IF NOT EXISTS
        elif kind == "rebuild":
            pass  # by rows, and no table goes
        elif made[name]:
            made[name] -= 1
            if kind == "drop" and name in renamed:
                doubtful.add(name)
                drops += 1
        elif name in itself:
            itself.discard(name)
            if kind == "alter":
                renamed.add(name)
        elif kind == "drop":
            doubtful |= renamed
            drops += bool(renamed)
    return renamed, doubtful, drops
