"""Find what a migration lost: rows of tables that remain, whole tables, indexes and triggers.

A module declares the losses that it means: `deletes = ("table", ...)` names tables that may lose rows,
`drops = ("name", ...)` indexes and triggers that may vanish with something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from usage_store.engines.sqlite.connection.driver import main_file
from usage_store.engines.sqlite.connection.second_connection import second_connection
from usage_store.engines.sqlite.schema.sql_tokens import quoted

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    import peewee

    from usage_store.engines.sqlite.migrating.forbidden_statements import Guard


@dataclass(frozen=True, slots=True)
class _Contents:
    """Every object's kind and table, and the number of rows of some tables, by lower-case name."""

    objects: dict[str, tuple[str, str]]
    rows: dict[str, int]

    @property
    def tables(self) -> set[str]:
        return {name for name, (kind, _) in self.objects.items() if kind == "table"}


class Losses:
    """What was there before a migration, to compare with what is there after it.

    A second connection sees the state before the open transaction, so nothing is counted until something was written.
    In memory, or where a rollback journal would lock that connection out, the rows are counted at the start.
    """

    def __init__(self, database: peewee.SqliteDatabase) -> None:
        self._database = database
        journal, locking = (database.pragma(name) for name in ("journal_mode", "locking_mode"))
        self._counts_early = not main_file(database) or journal != "wal" or locking != "normal"
        self._before: _Contents | None = None

    def start(self) -> None:
        """Begin with a migration, within its transaction. Reads only."""
        self._before = _read(self._database.connection(), None) if self._counts_early else None

    def find(self, watch: Guard, deletes: Iterable[str], drops: Iterable[str], *, undoing: bool) -> list[str]:
        """Name each loss that `watch` may have seen and that is not declared. Reads only.

        What `down` drops or deletes by a statement is not one: that is what it is for.
        """
        if watch.only_added:
            return []
        touched = watch.written | watch.dropped
        before = self._before or self._read_earlier(touched)
        after = _read(self._database.connection(), touched)
        return [
            *_undeclared(_lost_rows(before, after, watch, undoing=undoing), deletes),
            *_undeclared(_lost_objects(before, after, watch), drops),
        ]

    def _read_earlier(self, tables: set[str]) -> _Contents:
        with second_connection(self._database) as second:
            return _read(second.connection(), tables)


def _read(connection: sqlite3.Connection, tables: set[str] | None) -> _Contents:
    sql = "SELECT name, type, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite^_%' ESCAPE '^'"
    found = connection.execute(sql).fetchall()
    objects = {name.lower(): (kind, table.lower()) for name, kind, table, _ in found}
    counted = [
        name
        for name, kind, _, ddl in found
        if kind == "table"
        and (tables is None or name.lower() in tables)
        and not ddl.upper().startswith("CREATE VIRTUAL")
    ]
    return _Contents(objects, {name.lower(): _count(connection, name) for name in counted})


def _count(connection: sqlite3.Connection, table: str) -> int:
    count: int = connection.execute(f"SELECT count(*) FROM {quoted(table)}").fetchone()[0]  # noqa: S608
    return count


def _lost_rows(before: _Contents, after: _Contents, watch: Guard, *, undoing: bool) -> Iterator[tuple[str, str]]:
    for table, count in before.rows.items():
        if table in after.rows:
            lost = count - after.rows[table]
            if lost > 0 and not (undoing and table in watch.deleted):
                yield table, f"{table} lost {lost} of {count} rows; if that is meant, declare deletes = ({table!r},)"
        elif table in watch.dropped and count and not undoing:
            yield table, f"{table} was dropped with {count} rows; if that is meant, declare deletes = ({table!r},)"


def _lost_objects(before: _Contents, after: _Contents, watch: Guard) -> Iterator[tuple[str, str]]:
    tables = after.tables
    for name, (kind, table) in before.objects.items():
        if kind in ("index", "trigger") and name not in after.objects and table in tables and name not in watch.dropped:
            yield name, f"{kind} {name} of {table} vanished; make it again, or declare drops = ({name!r},)"


def _undeclared(losses: Iterable[tuple[str, str]], declared: Iterable[str]) -> list[str]:
    meant = {name.lower() for name in declared}
    return [line for name, line in losses if name not in meant]
