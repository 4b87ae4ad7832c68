"""Refuse undeclared losses in a migration with `atomic = False`, before they happen.

Such a migration runs outside a transaction, so nothing could be rolled back afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.engines.sqlite.connection.driver import sqlite3
from usage_store.engines.sqlite.migrating.forbidden_statements import DROPS_TABLE, Guard
from usage_store.engines.sqlite.schema.announce_rebuild import LEAVING_OUT, rebuilt_by
from usage_store.engines.sqlite.schema.sql_tokens import fold

if TYPE_CHECKING:
    from collections.abc import Collection

    from usage_store.engines.sqlite.migrating.objects_of_a_schema import Schema

_ENDS = {sqlite3.SQLITE_SAVEPOINT, sqlite3.SQLITE_TRANSACTION}


class OutsideGuard(Guard):
    """Watch a migration that runs outside a transaction: refuse each DELETE and DROP that it does not declare.

    Not refused are: everything when `undoing`; changes of tables that the migration itself created; changes of tables
    whose rows are not counted (internal tables of virtual tables, and full-text indexes without a text of their own); a
    DELETE in a virtual table by a trigger, which usually keeps it in step with another table; and the DROP TABLE of a
    rebuild by the migrator. A rebuild announces its table, and the columns that it leaves out, by the names of
    savepoints. A dropped column must be declared even if it holds no values.
    """

    def __init__(self, own: Collection[str], there: Schema, deletes: Collection[str], *, undoing: bool) -> None:
        super().__init__(own)
        self._there = there
        self._declared = set(map(fold, deletes))
        self._undoing = undoing
        self._rebuilding: set[str] = set()
        self._dropping = ""

    def _forbidden(self, action: int, first: str | None, second: str | None) -> str | None:
        if action in _ENDS and first == "ROLLBACK":
            self._rebuilding.clear()
        if action != sqlite3.SQLITE_SAVEPOINT or second is None:
            return None
        rebuilt = rebuilt_by(second)
        if rebuilt is not None:
            (self._rebuilding.add if first == "BEGIN" else self._rebuilding.discard)(rebuilt.table)
        if second.startswith(LEAVING_OUT) and first == "BEGIN":
            return self._undeclared(fold(second.removeprefix(LEAVING_OUT)), "ALTER TABLE that drops a column")
        return None

    def _altering(self, schema: str | None, table: str, column: str | None) -> str | None:
        reason = super()._altering(schema, table, column)
        if reason or schema != "main" or column is None or self._may_go(table):
            return reason
        return self._undeclared(f"{table}.{fold(column)}", "ALTER TABLE that drops a column")

    def _touching(self, action: int, name: str, schema: str | None, trigger: str | None) -> str | None:
        table = fold(name)
        dropping, self._dropping = self._dropping, table if action in DROPS_TABLE else ""
        asked = table in (
            self._rebuilding if action in DROPS_TABLE else {dropping}
        )  # SQLite reports a DELETE for a DROP TABLE, too
        reason = super()._touching(action, name, schema, trigger)
        if reason or schema != "main" or asked or name.startswith("sqlite_") or self._may_go(table):
            return reason
        if action == sqlite3.SQLITE_DELETE and not (trigger and self._is_virtual(table)):
            return self._undeclared(table, "DELETE")
        return self._undeclared(table, "DROP TABLE") if action in DROPS_TABLE else None

    def _may_go(self, table: str) -> bool:
        made_here = table in self.created and table not in self._there.objects
        return self._undoing or made_here or table in self._there.rowless

    def _is_virtual(self, table: str) -> bool:
        return table in self._there.objects and self._there.objects[table].is_virtual

    def _undeclared(self, name: str, what: str) -> str | None:
        if name in self._declared or self._undoing:
            return None
        return (
            f"{what} of {name} in a migration with atomic = False, which cannot be rolled back; "
            f"if that is meant, declare deletes = ({name!r},)"
        )
