"""What a migration may not do behind the runner's back, and what it touched."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from usage_store.engines.sqlite.connection.driver import sqlite3

if TYPE_CHECKING:
    from collections.abc import Iterator

ROLLED_BACK = "the transaction was rolled back by a statement of the migration"

_REFUSED = {
    sqlite3.SQLITE_TRANSACTION: "{0} inside a migration: the runner commits, together with the history row",
    sqlite3.SQLITE_ATTACH: "ATTACH inside a migration: a transaction over two files is not atomic",
    sqlite3.SQLITE_DETACH: "DETACH inside a migration: databases stay attached",
}
_REFUSED_PRAGMAS = {"foreign_keys", "writable_schema"}
_WRITES = {sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE}
_DROPS = {sqlite3.SQLITE_DROP_TABLE, sqlite3.SQLITE_DROP_INDEX, sqlite3.SQLITE_DROP_VIEW}


class Guard:
    """Watch a connection while a migration runs; refuse transaction control, ATTACH and unsafe pragmas.

    `refused` says what was refused first; SQLite itself raises "not authorized" at the statement. In lower case,
    `written` are the tables that were written to, `deleted` those with a DELETE statement of their own, `created` the
    tables that were made, `dropped` the objects that a DROP of their own removed; `altered` is whether there was an
    ALTER TABLE.
    """

    def __init__(self) -> None:
        self.refused: str | None = None
        self.written: set[str] = set()
        self.deleted: set[str] = set()
        self.created: set[str] = set()
        self.dropped: set[str] = set()
        self.altered = False
        self._connection: sqlite3.Connection

    def _authorize(
        self, action: int, first: str | None, second: str | None, schema: str | None, trigger: str | None
    ) -> int:
        if not self._connection.in_transaction:  # INSERT OR ROLLBACK, or a trigger's RAISE(ROLLBACK), was swallowed
            return self._refuse(ROLLED_BACK)
        if action in _REFUSED:
            return self._refuse(_REFUSED[action].format(first))
        if action == sqlite3.SQLITE_PRAGMA and second is not None and (first or "").lower() in _REFUSED_PRAGMAS:
            return self._refuse(f"PRAGMA {first} inside a migration: the runner sets it")
        if action == sqlite3.SQLITE_ALTER_TABLE:
            self.altered = True
        elif schema == "main" and first is not None:
            self._note(action, first.lower(), (second or "").lower(), trigger)
        return sqlite3.SQLITE_OK

    def _note(self, action: int, name: str, table: str, trigger: str | None) -> None:
        if action in _WRITES and not name.startswith("sqlite_"):
            self.written.add(name)
            # DROP TABLE asks for a DELETE too.
            if action == sqlite3.SQLITE_DELETE and trigger is None and name not in self.dropped:
                self.deleted.add(name)
        elif action == sqlite3.SQLITE_CREATE_TABLE:
            self.created.add(name)
        elif action in _DROPS or (action == sqlite3.SQLITE_DROP_TRIGGER and table not in self.dropped):
            # With its table gone, SQLite dropped the trigger, and no statement of the migration did.
            self.dropped.add(name)

    def _refuse(self, reason: str) -> int:
        self.refused = self.refused or reason
        return sqlite3.SQLITE_DENY

    @contextmanager
    def watching(self, connection: sqlite3.Connection) -> Iterator[None]:
        """Watch from here to the end of the block."""
        self._connection = connection
        connection.set_authorizer(self._authorize)
        try:
            yield
        finally:
            connection.set_authorizer(None)

    @property
    def only_added(self) -> bool:
        """Whether nothing that was there was written to, dropped or altered."""
        return not (self.dropped or self.altered or self.written - self.created)
