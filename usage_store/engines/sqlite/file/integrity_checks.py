"""What SQLite's own checks find: damage, and rows without the rows that they refer to."""

from __future__ import annotations

from collections import Counter

import peewee


def damage(database: peewee.SqliteDatabase) -> str | None:
    """Give the first thing that quick_check finds wrong, or None. Reads only."""
    try:
        (found,) = database.execute_sql("PRAGMA quick_check(1)").fetchone()
    except peewee.DatabaseError as error:
        return str(error)
    return None if found == "ok" else " ".join(str(found).split())


def violations(database: peewee.Database, table: str | None = None) -> Counter[str]:
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
