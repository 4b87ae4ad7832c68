"""Copy a schema without rows, so that migrations can run on the copy and damage nothing."""

from __future__ import annotations

import logging
from contextlib import closing, contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any

import peewee

from usage_store.engines.sqlite.connection.lacking_functions import HINT
from usage_store.engines.sqlite.connection.second_connection import scratch_like
from usage_store.engines.sqlite.schema import sql_tokens

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

logger = logging.getLogger("usage_store.migrate")

_NO_CHANGE = ("begin", "commit", "explain", "pragma", "release", "rollback", "savepoint", "select")


@contextmanager
def empty_copy(
    database: peewee.SqliteDatabase, wanted: Callable[[str, str], bool] = lambda _kind, _name: True
) -> Iterator[peewee.SqliteDatabase]:
    """Provide a database in memory for the block, with the objects of a database but without rows. Reads only.

    `wanted` chooses the objects by kind and name. The copy has the functions and collations that the database registers
    when it connects. An object that needs others cannot be made there; it is left out, and a warning names it.
    """
    rows = database.execute_sql(
        "SELECT m.type, m.name, m.tbl_name, m.sql FROM sqlite_master AS m "
        "WHERE m.sql IS NOT NULL AND m.name NOT LIKE 'sqlite^_%' ESCAPE '^' "
        "AND m.name NOT IN (SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow') "
        "ORDER BY CASE m.type WHEN 'table' THEN 0 WHEN 'view' THEN 2 WHEN 'trigger' THEN 3 ELSE 1 END, m.rowid"
    ).fetchall()
    with scratch_like(database) as scratch:
        left_out: set[str] = set()
        for kind, name, table, sql in rows:
            if wanted(kind, name) and table not in left_out and not _made(scratch, kind, name, sql):
                left_out.add(name)
        yield scratch


def _made(scratch: peewee.SqliteDatabase, kind: str, name: str, sql: str) -> bool:
    try:
        scratch.execute_sql(sql)
    except peewee.DatabaseError as error:
        if scratch.execute_sql("SELECT 1 FROM sqlite_master WHERE name = ?", (name,)).fetchone():
            return True  # the application made it when it connected
        logger.warning("left out of the empty copy: %s %s (%s; %s)", kind, name, error, HINT)
        return False
    return True


@contextmanager
def statements_of(scratch: peewee.SqliteDatabase) -> Iterator[list[str]]:
    """Collect the statements of the block that changed something, with their values. The list is complete afterwards.

    The rows of the scratch database are like any other rows. Statements that were rolled back to a savepoint are left
    out: some operations only try out what uses a column.
    """
    sent: list[str] = []
    lasting: list[str] = []
    connection: sqlite3.Connection = scratch.connection()
    connection.set_trace_callback(sent.append)
    try:
        yield lasting
    finally:
        connection.set_trace_callback(None)
        # Python's trace reports a statement again for each trigger that it fires.
        lasting += (sql.strip() for sql in _lasting(sql for sql, _ in groupby(sent)) if _changes(sql))


def _lasting(statements: Iterable[str]) -> list[str]:
    lasting: list[str] = []
    savepoints: list[int] = []
    for sql in statements:
        if sql.startswith("SAVEPOINT"):
            savepoints.append(len(lasting))
        elif sql.startswith("ROLLBACK TO") and savepoints:
            del lasting[savepoints[-1] :]
        elif sql.startswith("RELEASE") and savepoints:
            savepoints.pop()
        else:
            lasting.append(sql)
    return lasting


def _changes(sql: str) -> bool:
    parts = sql_tokens.tokens(sql)
    return bool(parts) and not parts[0].says(*_NO_CHANGE)


class _Silent(peewee.SqliteDatabase):
    def execute_sql(self, sql: str, params: Any = None) -> sqlite3.Cursor:  # noqa: ARG002  peewee's signature
        nothing: sqlite3.Cursor = super().execute_sql("SELECT NULL WHERE 0")  # type: ignore[no-untyped-call]
        return nothing


def silent_database() -> AbstractContextManager[peewee.SqliteDatabase]:
    """Provide a database for a block that runs nothing and answers every query with no rows."""
    return closing(_Silent(":memory:"))
