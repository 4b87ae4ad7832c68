"""Set a pragma of a connection for a block."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import peewee


@contextmanager
def pragma_set(database: peewee.SqliteDatabase, name: str, value: int) -> Iterator[None]:
    """Set a pragma for the block, and restore its old value at the end."""
    before = database.pragma(name)
    database.pragma(name, value)
    try:
        yield
    finally:
        database.pragma(name, before)
