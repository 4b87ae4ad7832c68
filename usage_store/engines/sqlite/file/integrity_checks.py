"""What SQLite's own checks find: damage, and rows without the rows that they refer to."""

from __future__ import annotations

from collections import Counter

import peewee


def damage(database: peewee.SqliteDatabase, *, full: bool = False, most: int = 1) -> list[str]:
    """Give what quick_check finds, or with `full` integrity_check: a line each, so many at most. Reads only."""
    rows = database.execute_sql(f"PRAGMA {'integrity' if full else 'quick'}_check({most})").fetchall()
    return [" ".join(str(found).split()) for (found,) in rows if found != "ok"]


def first_damage(database: peewee.SqliteDatabase) -> str | None:
    """Give the first thing that is wrong with a database, which may be that it cannot be checked. Reads only."""
    try:
        found = damage(database)
    except peewee.DatabaseError as error:
        return str(error)
    return found[0] if found else None


def violations(database: peewee.SqliteDatabase, table: str | None = None) -> Counter[str]:
    """Count the foreign-key violations, of all tables or of one, by kind, one line a kind. Reads only.

    A foreign key that SQLite cannot even check (its parent has no such unique column) counts as one.
    """
    try:
        argument = "" if table is None else "('" + table.replace("'", "''") + "')"
        rows = database.execute_sql(f"PRAGMA foreign_key_check{argument}").fetchall()
    except peewee.OperationalError as error:
        gone = table is not None and str(error).startswith("no such table")  # made and rolled back again
        return Counter() if gone else Counter({str(error): 1})
    return Counter(f"{child} has rows without their row in {parent}" for child, _, parent, _ in rows)
