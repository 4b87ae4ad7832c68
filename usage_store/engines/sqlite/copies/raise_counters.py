"""Raise the AUTOINCREMENT counters of a database, so that a test sees whether they are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import peewee

_GAP: Final = 7  # any number; the keys between are those of rows that were deleted


def raise_counters(database: peewee.SqliteDatabase) -> None:
    """Raise each AUTOINCREMENT counter, as if the rows with the highest keys had been deleted."""
    if database.execute_sql("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'").fetchone():
        database.execute_sql("UPDATE sqlite_sequence SET seq = seq + ?", (_GAP,))
