"""Run migrations where nothing can break: on an empty copy of the schema, in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import peewee

from usage_store.migrate.rebuild import migrator_for

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from usage_store.migrate.execution import Loaded
    from usage_store.migrate.registry import Direction, Migration

__all__ = ["Planned", "empty_copy", "planned", "run"]

_CONTROL = ("--", "BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "ROLLBACK", "PRAGMA", "SELECT")


@dataclass(frozen=True, slots=True)
class Planned:
    """A migration that would run, and the statements it would send."""

    migration: Migration
    direction: Direction
    statements: tuple[str, ...]


def planned(database: peewee.SqliteDatabase, steps: Sequence[Loaded], direction: Direction) -> tuple[Planned, ...]:
    """Collect the statements of each step. The database is only read.

    Statements that depend on rows are those of empty tables.
    """
    scratch = empty_copy(database, lambda _: True)
    try:
        return tuple(Planned(step.migration, direction, run(scratch, step.module, direction)) for step in steps)
    finally:
        scratch.close()


def empty_copy(database: peewee.SqliteDatabase, wanted: Callable[[str], bool]) -> peewee.SqliteDatabase:
    """Make a database in memory with the wanted tables (by name), their indexes and triggers, and no rows."""
    rows = database.execute_sql(
        "SELECT m.tbl_name, m.sql FROM sqlite_master AS m LEFT JOIN pragma_table_list AS l "
        "ON l.schema = 'main' AND l.name = m.name WHERE m.sql IS NOT NULL AND m.name NOT LIKE 'sqlite^_%' ESCAPE '^' "
        "AND coalesce(l.type, '') <> 'shadow' "
        "ORDER BY CASE m.type WHEN 'table' THEN 0 WHEN 'view' THEN 2 WHEN 'trigger' THEN 3 ELSE 1 END, m.rowid"
    ).fetchall()
    scratch = peewee.SqliteDatabase(":memory:")
    scratch.connect()
    for table, sql in rows:
        if wanted(table):
            scratch.execute_sql(sql)
    return scratch


def run(scratch: peewee.SqliteDatabase, module: ModuleType, direction: Direction) -> tuple[str, ...]:
    """Run one migration on a scratch database and give the statements that it sent, parameters filled in."""
    statements: list[str] = []
    connection: sqlite3.Connection = scratch.connection()
    connection.set_trace_callback(statements.append)
    try:
        getattr(module, direction)(migrator_for(scratch), scratch)
    finally:
        connection.set_trace_callback(None)
    return tuple(sql.strip() for sql in statements if not sql.lstrip().upper().startswith(_CONTROL))
