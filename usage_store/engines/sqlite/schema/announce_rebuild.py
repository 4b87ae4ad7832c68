"""Announce a rebuild to the code that watches the connection, by the names of savepoints.

A migration outside a transaction may not run an undeclared DROP TABLE. The DROP TABLE of a rebuild loses nothing, so
the watching code must know it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from usage_store.engines.sqlite.schema.sql_tokens import fold, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import peewee

_REBUILDING = "usage_store rebuilds "
LEAVING_OUT = "usage_store leaves out "
_ROW = "SELECT rowid FROM main.sqlite_master WHERE type = 'table' AND name = ?"


class Rebuilt(NamedTuple):
    """The folded name of a rebuilt table, and the rowids in sqlite_master of the old and the new table."""

    table: str
    old_row: int
    new_row: int


@contextmanager
def rebuilding(database: peewee.SqliteDatabase, table: str, new: str, without: Iterable[str]) -> Iterator[None]:
    """Announce that in the block the table `new`, which has the same rows, replaces `table`.

    `without` are the columns that the new table does not have.
    """
    for column in without:
        _announce(database, f"{LEAVING_OUT}{table}.{column}")
        _end(database, f"{LEAVING_OUT}{table}.{column}")
    ((old_row,), (new_row,)) = (database.execute_sql(_ROW, (name,)).fetchone() for name in (table, new))
    _announce(database, f"{_REBUILDING}{old_row}:{new_row}:{table}")
    yield
    _end(database, f"{_REBUILDING}{old_row}:{new_row}:{table}")


def rebuilt_by(savepoint: str) -> Rebuilt | None:
    """Return what the name of a savepoint announces; None if it announces no rebuild."""
    if not savepoint.startswith(_REBUILDING):
        return None
    old_row, new_row, table = savepoint.removeprefix(_REBUILDING).split(":", 2)
    return Rebuilt(fold(table), int(old_row), int(new_row))


def _announce(database: peewee.SqliteDatabase, name: str) -> None:
    database.execute_sql(f"SAVEPOINT {quoted(name)}")


def _end(database: peewee.SqliteDatabase, name: str) -> None:
    database.execute_sql(f"RELEASE {quoted(name)}")
