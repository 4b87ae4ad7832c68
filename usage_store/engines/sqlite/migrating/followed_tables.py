"""Find out what became of each table during a migration, also if it was renamed.

A table is identified by its rowid in sqlite_master. ALTER TABLE RENAME keeps this rowid, and VACUUM, which changes
rowids, cannot run in a transaction. (The root page does not identify a table: in a database with auto_vacuum, DROP
TABLE moves root pages.)

There is one trap: if the row with the largest rowid is deleted, the next new table gets the same rowid. SQLite's
authorizer reports each CREATE, DROP and ALTER TABLE in order, but of a renaming it reports only the old name. So a
table that is found under another name counts as the old table, unless the old table may have been dropped after it was
renamed.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from usage_store.engines.sqlite.migrating.objects_of_a_schema import Schema

    # "create", "drop" or "alter", with the folded name of the table; or "rebuild", with the old and the new rowid
    Event = tuple[str, str]


def follow(before: Schema, after: Schema, events: Collection[Event]) -> dict[str, str | None]:
    """Return for each table of `before` its name in `after`, or None if it is gone.

    If a table is gone and `after` has a new table of the same name, that table counts as its continuation: this is a
    rebuild written by hand.
    """
    now = {table.row: name for name, table in after.tables.items()}
    rows = _rows(before, events)
    renamed, doubtful, drops = _replay(before.tables, events)
    if drops <= sum(rows[name] not in now for name in renamed):
        doubtful = set()  # so many renamed tables are certainly gone, so the others were not dropped
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
            if name not in doubtful or row < steady:  # a new table gets a larger rowid than any table that stayed
                became[name] = found
            else:
                became[name] = None
    for name in before.tables.keys() - became.keys():
        became[name] = name if name in after.tables and name not in taken else None
    return became


def _rows(before: Schema, events: Iterable[Event]) -> dict[str, int]:
    """Return the rowid of each table of `before`; a rebuild gives its table a new one."""
    rows = {name: table.row for name, table in before.tables.items()}
    for kind, moved in events:
        if kind == "rebuild":
            old, new = map(int, moved.split())
            rows.update({name: new for name, row in rows.items() if row == old})
    return rows


def _replay(there: Collection[str], events: Iterable[Event]) -> tuple[set[str], set[str], int]:
    """Go through the events. Give the tables that may have been renamed, those that may have been dropped, and a count.

    The second set is a part of the first one. The count is the number of DROP statements that may have dropped one of
    them.
    """
    itself = set(there)  # tables that still have their name
    made: Counter[str] = Counter()
    renamed: set[str] = set()
    doubtful: set[str] = set()
    drops = 0
    for kind, name in events:
        if kind == "create":
            made[name] += name not in itself  # otherwise it is a CREATE TABLE IF NOT EXISTS
        elif kind == "rebuild":
            pass  # it is identified by rowids, and drops no table
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
