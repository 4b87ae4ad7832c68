"""What a migration may not do behind the runner's back."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

import peewee

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Guard", "violations"]

_REFUSED = {
    sqlite3.SQLITE_TRANSACTION: "{0}: the runner commits, together with the history row",
    sqlite3.SQLITE_ATTACH: "ATTACH: a transaction over two files is not atomic",
    sqlite3.SQLITE_DETACH: "DETACH: databases stay attached during a migration",
}
_REFUSED_PRAGMAS = {"foreign_keys", "writable_schema"}


class Guard:
    """Refuse transaction control, ATTACH and unsafe pragmas on a connection while a migration runs.

    `refused` says what was tried first; SQLite itself raises "not authorized" at the statement.
    """

    def __init__(self) -> None:
        self.refused: str | None = None

    def _authorize(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        if action in _REFUSED:
            reason = _REFUSED[action].format(first)
        elif action == sqlite3.SQLITE_PRAGMA and second is not None and (first or "").lower() in _REFUSED_PRAGMAS:
            reason = f"PRAGMA {first}: the runner sets it"
        else:
            return sqlite3.SQLITE_OK
        self.refused = self.refused or reason
        return sqlite3.SQLITE_DENY

    @contextmanager
    def watching(self, connection: sqlite3.Connection) -> Iterator[None]:
        """Refuse from here to the end of the block."""
        connection.set_authorizer(self._authorize)
        try:
            yield
        finally:
            connection.set_authorizer(None)


def violations(database: peewee.Database) -> Counter[str]:
    """Count the foreign-key violations by kind, one line a kind. Reads only.

    A foreign key that SQLite cannot even check (its parent has no such unique column) counts as one.
    """
    try:
        rows = database.execute_sql("PRAGMA foreign_key_check").fetchall()
    except peewee.OperationalError as error:
        return Counter({str(error): 1})
    return Counter(f"{table} has rows without their row in {parent}" for table, _, parent, _ in rows)
