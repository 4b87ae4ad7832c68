"""What a migration may not do behind the runner's back, and what it touched."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from usage_store.engines.sqlite.connection.driver import driver_errors, sqlite3
from usage_store.engines.sqlite.schema.sql_tokens import fold
from usage_store.engines.sqlite.schema.tell_of_a_rebuild import LEAVING_OUT, rebuilt_by

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

ROLLED_BACK = "the transaction was rolled back by a statement of the migration"
UNWATCHED = "the connection's authorizer was taken off or replaced: the runner watches by it, so leave it alone"

# The authorizer is asked when a statement is compiled; one that the migration ran as well would be compiled already.
_PROBE = "SELECT 'is the migration still watched?'"
_REFUSED = {
    sqlite3.SQLITE_TRANSACTION: "{0} inside a migration: the runner commits, together with the history row",
    sqlite3.SQLITE_ATTACH: "ATTACH inside a migration: a transaction over two files is not atomic",
    sqlite3.SQLITE_DETACH: "DETACH inside a migration: databases stay attached",
}
_REFUSED_PRAGMAS = {"foreign_keys", "writable_schema"}
_WRITES = {sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE}
_CREATES = {sqlite3.SQLITE_CREATE_TABLE, sqlite3.SQLITE_CREATE_VTABLE}
_HIDES = {sqlite3.SQLITE_CREATE_VIEW, sqlite3.SQLITE_CREATE_TEMP_VIEW, sqlite3.SQLITE_CREATE_TEMP_TABLE}
DROPS_TABLE = {sqlite3.SQLITE_DROP_TABLE, sqlite3.SQLITE_DROP_VTABLE}
_DROPS = {*DROPS_TABLE, sqlite3.SQLITE_DROP_INDEX, sqlite3.SQLITE_DROP_VIEW}
# Where the authorizer is told the table (sqlite.org/c3ref/c_alter_table.html).
_TABLE_IS_FIRST = _WRITES | _CREATES | _HIDES | DROPS_TABLE | {sqlite3.SQLITE_DROP_VIEW}
_TABLE_IS_SECOND = {
    sqlite3.SQLITE_ALTER_TABLE,
    sqlite3.SQLITE_CREATE_INDEX,
    sqlite3.SQLITE_CREATE_TRIGGER,
    sqlite3.SQLITE_CREATE_TEMP_TRIGGER,
    sqlite3.SQLITE_DROP_INDEX,
    sqlite3.SQLITE_DROP_TRIGGER,
}
_TOUCHES = _TABLE_IS_FIRST | _TABLE_IS_SECOND


class Guard:
    """Watch a connection while a migration runs; refuse transaction control, ATTACH, unsafe pragmas, and the runner's.

    `own` are the runner's tables, which no migration writes to, alters, drops or hides. `refused` says what was refused
    first; SQLite itself raises "not authorized" at the statement. By folded name, `written` are the tables that were
    written to, `deleted` those with a DELETE statement of their own, `created` those with a CREATE (which may have
    found them there), `dropped` the objects that a DROP of their own removed, `rebuilt` the tables that an operation of
    the migrator made anew, and `dropped_columns` the columns that these or an ALTER TABLE dropped, by table. `altered`
    is whether there was an ALTER TABLE, also of a temporary table; `tables` lists in order each "create", "drop" or
    "alter" of a table that was not rolled back to its savepoint, and for each "rebuild" the rows in sqlite_master.
    """

    def __init__(self, own: Collection[str] = ()) -> None:
        self.refused: str | None = None
        self.written: set[str] = set()
        self.deleted: set[str] = set()
        self.created: set[str] = set()
        self.dropped: set[str] = set()
        self.altered = False
        self.tables: list[tuple[str, str]] = []
        self._savepoints: list[tuple[str, int]] = []
        self.dropped_columns: dict[str, set[str]] = {}
        self.rebuilt: set[str] = set()
        self._own = frozenset(map(fold, own))
        self._reached = False
        self._connection: sqlite3.Connection

    def _authorize(
        self, action: int, first: str | None, second: str | None, schema: str | None, trigger: str | None
    ) -> int:
        self._reached = True
        reason = self._forbidden(action, first, second)
        if action == sqlite3.SQLITE_SAVEPOINT:
            self._note_savepoint(first or "", second or "")
        elif reason is None and action in _TOUCHES:
            if action == sqlite3.SQLITE_ALTER_TABLE:
                reason = self._altering(first, fold(second or ""), schema)  # that is: schema, table, column to drop
            elif action in _TABLE_IS_FIRST:
                reason = self._touching(action, first or "", schema, trigger)
            else:
                reason = self._changing(action, fold(first or ""), fold(second or ""), schema)
        if reason is None:
            return sqlite3.SQLITE_OK
        self.refused = self.refused or reason
        return sqlite3.SQLITE_DENY

    def _forbidden(self, action: int, first: str | None, second: str | None) -> str | None:
        if not self._connection.in_transaction:  # INSERT OR ROLLBACK, or a trigger's RAISE(ROLLBACK), was swallowed
            return ROLLED_BACK
        if action in _REFUSED:
            return _REFUSED[action].format(first)
        if action == sqlite3.SQLITE_PRAGMA and second is not None and (first or "").lower() in _REFUSED_PRAGMAS:
            return f"PRAGMA {first} inside a migration: the runner sets it"
        return None

    def _note_savepoint(self, what: str, name: str) -> None:
        if what == "BEGIN":
            self._savepoints.append((name, len(self.tables)))
            self._note_rebuild(name)
            return
        names = [name for name, _ in self._savepoints]
        if name in names:
            last = len(names) - 1 - names[::-1].index(name)
            rebuilt = rebuilt_by(name)
            if what == "ROLLBACK" or rebuilt is not None:
                del self.tables[self._savepoints[last][1] :]
            if what == "RELEASE" and rebuilt is not None:
                self.tables.append(("rebuild", f"{rebuilt.old_row} {rebuilt.new_row}"))
            del self._savepoints[last + (what == "ROLLBACK") :]

    def _note_rebuild(self, savepoint: str) -> None:
        rebuilt = rebuilt_by(savepoint)
        if rebuilt is not None:
            self.rebuilt.add(rebuilt.table)
        elif savepoint.startswith(LEAVING_OUT):
            table, _, column = fold(savepoint.removeprefix(LEAVING_OUT)).rpartition(".")
            self.dropped_columns.setdefault(table, set()).add(column)

    def _altering(self, schema: str | None, table: str, column: str | None) -> str | None:
        self.altered = True
        if schema != "main":
            return None
        self.tables.append(("alter", table))
        if column is not None:
            self.dropped_columns.setdefault(table, set()).add(fold(column))
        return self._kept(table)

    def _changing(self, action: int, name: str, table: str, schema: str | None) -> str | None:
        # With its table gone, SQLite dropped the trigger, and no statement of the migration did.
        if schema == "main" and (
            action == sqlite3.SQLITE_DROP_INDEX or (action == sqlite3.SQLITE_DROP_TRIGGER and table not in self.dropped)
        ):
            self.dropped.add(name)
        return self._kept(table) if schema in ("main", "temp") else None  # VACUUM works on a third

    def _touching(self, action: int, name: str, schema: str | None, trigger: str | None) -> str | None:
        if name.startswith("sqlite_") or (schema != "main" and action not in _HIDES):
            return None
        table = fold(name)
        if schema == "main":
            if action in _WRITES:
                self.written.add(table)
                # DROP TABLE asks for a DELETE too.
                if action == sqlite3.SQLITE_DELETE and trigger is None and table not in self.dropped:
                    self.deleted.add(table)
            elif action in _CREATES:
                self.created.add(table)
                self.tables.append(("create", table))
            elif action in _DROPS:
                self.dropped.add(table)
                if action in DROPS_TABLE:
                    self.tables.append(("drop", table))
        return self._kept(table)

    def _kept(self, table: str) -> str | None:
        if table not in self._own:
            return None
        return f"{table} is the runner's own table: no migration writes to it, alters, drops or hides it"

    @contextmanager
    def watching(self, connection: sqlite3.Connection) -> Iterator[None]:
        """Watch from here to the end of the block; without an error, `refused` says if nobody watched at its end."""
        self._connection = connection
        connection.set_authorizer(self._authorize)
        try:
            yield
            self._probe()
        finally:
            with suppress(*driver_errors()):  # it may be closed by now
                connection.set_authorizer(None)

    def _probe(self) -> None:
        self._reached = False
        try:
            self._connection.execute(_PROBE).close()
        except self._connection.ProgrammingError:
            return  # it is closed, and whatever was open on it rolled back
        except driver_errors():
            pass  # not authorized by whoever took our place
        if not self._reached:
            self.refused = self.refused or UNWATCHED

    @property
    def only_added(self) -> bool:
        """Whether nothing that was there was dropped, altered or written to, if all of `created` is new."""
        return not (self.dropped or self.altered or self.written - self.created)
