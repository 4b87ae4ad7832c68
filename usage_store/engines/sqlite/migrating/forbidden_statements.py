"""Refuse statements that a migration must not run, and note which tables and columns it changes."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from usage_store.engines.sqlite.connection.driver import driver_errors, sqlite3
from usage_store.engines.sqlite.schema.announce_rebuild import LEAVING_OUT, rebuilt_by
from usage_store.engines.sqlite.schema.sql_tokens import fold

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

ROLLED_BACK = "a statement of the migration rolled back the transaction of the runner"
UNWATCHED = "the migration removed or replaced the connection's authorizer, which the runner needs; leave it alone"

# SQLite calls the authorizer when it compiles a statement. This text must be one that no migration runs, because Python
# does not compile a statement twice.
_PROBE = "SELECT 'is the migration still watched?'"
_REFUSED = {
    sqlite3.SQLITE_TRANSACTION: "{0} inside a migration: the runner commits, together with the history row",
    sqlite3.SQLITE_ATTACH: "ATTACH inside a migration: remove it; a transaction over two files is not atomic",
    sqlite3.SQLITE_DETACH: "DETACH inside a migration: remove it; attached databases stay attached",
}
_REFUSED_PRAGMAS = {"foreign_keys", "writable_schema"}
_WRITES = {sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE}
_CREATES = {sqlite3.SQLITE_CREATE_TABLE, sqlite3.SQLITE_CREATE_VTABLE}
_HIDES = {sqlite3.SQLITE_CREATE_VIEW, sqlite3.SQLITE_CREATE_TEMP_VIEW, sqlite3.SQLITE_CREATE_TEMP_TABLE}
DROPS_TABLE = {sqlite3.SQLITE_DROP_TABLE, sqlite3.SQLITE_DROP_VTABLE}
_DROPS = {*DROPS_TABLE, sqlite3.SQLITE_DROP_INDEX, sqlite3.SQLITE_DROP_VIEW}
# The authorizer gets the table as its first or second argument (sqlite.org/c3ref/c_alter_table.html).
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
    """Watch a connection while a migration runs, refuse forbidden statements, and note what the migration changes.

    Refused are transaction control, ATTACH, DETACH, unsafe pragmas, and every change of the runner's own tables `own`.
    SQLite then raises "not authorized" at the statement, and `refused` holds the first reason.

    All names are folded. `written`: tables with INSERT, UPDATE or DELETE. `deleted`: tables with a DELETE of their own.
    `created`: tables with a CREATE, which may have found the table there (IF NOT EXISTS). `dropped`: objects with a
    DROP of their own. `rebuilt`: tables that an operation of the migrator rebuilt. `dropped_columns`: by table, the
    columns that such an operation or an ALTER TABLE dropped. `altered`: whether there was any ALTER TABLE, also of a
    temporary table. `tables`: in order, each "create", "drop" or "alter" with its table, and each "rebuild" with its
    rowids in sqlite_master; what was rolled back to a savepoint is left out.
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
                reason = self._altering(
                    first, fold(second or ""), schema
                )  # the arguments are schema, table, column to drop
            elif action in _TABLE_IS_FIRST:
                reason = self._touching(action, first or "", schema, trigger)
            else:
                reason = self._changing(action, fold(first or ""), fold(second or ""), schema)
        if reason is None:
            return sqlite3.SQLITE_OK
        self.refused = self.refused or reason
        return sqlite3.SQLITE_DENY

    def _forbidden(self, action: int, first: str | None, second: str | None) -> str | None:
        if not self._connection.in_transaction:  # after INSERT OR ROLLBACK or RAISE(ROLLBACK) in a trigger
            return ROLLED_BACK
        if action in _REFUSED:
            return _REFUSED[action].format(first)
        if action == sqlite3.SQLITE_PRAGMA and second is not None and (first or "").lower() in _REFUSED_PRAGMAS:
            return f"PRAGMA {first} inside a migration: remove it; the runner sets this pragma"
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
        # If the table was dropped before, SQLite drops the trigger, and not the migration.
        if schema == "main" and (
            action == sqlite3.SQLITE_DROP_INDEX or (action == sqlite3.SQLITE_DROP_TRIGGER and table not in self.dropped)
        ):
            self.dropped.add(name)
        return self._kept(table) if schema in ("main", "temp") else None  # VACUUM uses a schema of another name

    def _touching(self, action: int, name: str, schema: str | None, trigger: str | None) -> str | None:
        if name.startswith("sqlite_") or (schema != "main" and action not in _HIDES):
            return None
        table = fold(name)
        if schema == "main":
            if action in _WRITES:
                self.written.add(table)
                # SQLite reports a DELETE, too, for a DROP TABLE.
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
        return f"{table} is the runner's own table: a migration must not write to it, alter, drop or hide it"

    @contextmanager
    def watching(self, connection: sqlite3.Connection) -> Iterator[None]:
        """Watch the connection during the block.

        At its end, `refused` tells if the authorizer was replaced meanwhile.
        """
        self._connection = connection
        connection.set_authorizer(self._authorize)
        try:
            yield
            self._probe()
        finally:
            with suppress(*driver_errors()):  # the migration may have closed it
                connection.set_authorizer(None)

    def _probe(self) -> None:
        self._reached = False
        try:
            self._connection.execute(_PROBE).close()
        except self._connection.ProgrammingError:
            return  # the connection is closed, and its transaction was rolled back
        except driver_errors():
            pass  # refused by the authorizer that replaced this one
        if not self._reached:
            self.refused = self.refused or UNWATCHED

    @property
    def only_added(self) -> bool:
        """Whether nothing older was dropped, altered or written to, provided that all tables in `created` are new."""
        return not (self.dropped or self.altered or self.written - self.created)
