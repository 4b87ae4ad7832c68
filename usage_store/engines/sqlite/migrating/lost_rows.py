"""Find data that was lost in a migration: rows, tables, columns with values, indexes and triggers.

A migration declares the losses that it wants. `deletes = ("table", "table.column", ...)` names tables that may lose
rows or be dropped with rows, and columns that may be dropped with values. `drops = ("name", ...)` names indexes and
triggers that may be lost together with something else.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from usage_store.engines.sqlite.connection.driver import driver_errors, main_file
from usage_store.engines.sqlite.connection.second_connection import second_connection
from usage_store.engines.sqlite.migrating.followed_tables import follow
from usage_store.engines.sqlite.migrating.lost_columns import lost_columns, may_have_lost_columns
from usage_store.engines.sqlite.migrating.objects_of_a_schema import count_rows, read_schema
from usage_store.engines.sqlite.schema.sql_tokens import fold

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    import peewee

    from usage_store.engines.sqlite.migrating.forbidden_statements import Guard
    from usage_store.engines.sqlite.migrating.objects_of_a_schema import Object, Schema

    Loss = tuple[set[str], str]  # the names that would declare the loss (one is enough), and its message


class Losses:
    """Compare the rows and objects before a migration with those after it.

    A second connection still reads the state before the migration while its transaction is open, so rows are counted
    only when something was written. Rows are counted before the migration in two cases: for a database in memory, and
    where a rollback journal would lock the second connection out.
    """

    def __init__(self, database: peewee.SqliteDatabase) -> None:
        self._database = database
        journal, locking = (database.pragma(name) for name in ("journal_mode", "locking_mode"))
        self._has_second = bool(main_file(database)) and locking == "normal"
        self._counts_early = not self._has_second or journal != "wal"
        self._before: tuple[Schema, Mapping[str, int | None]] | None = None

    def start(self) -> None:
        """Remember the state before a migration. Call it in the transaction of the migration. Reads only."""
        if self._counts_early:
            connection = self._database.connection()
            schema = read_schema(connection)
            self._before = schema, {name: count_rows(connection, table) for name, table in schema.tables.items()}

    def find(self, seen: Guard, deletes: Iterable[str], drops: Iterable[str], *, undoing: bool) -> list[str]:
        """Return a message for each loss that is not declared; `seen` noted what the migration did. Reads only.

        For `down` (`undoing`), some losses are no faults: dropped tables and columns, and rows that a DELETE statement
        deleted. To remove them is the purpose of `down`.
        """
        with ExitStack() as stack:
            if self._before is None:
                earlier = self._earlier(stack)
                before = read_schema(earlier)
                count: Callable[[Object], int | None] = partial(count_rows, earlier)
            else:
                before, counts = self._before
                count = partial(_look_up, counts)
            compared = _Compared(self._database.connection(), before, count, seen)
            losses = [*compared.rows(undoing=undoing)]
            for table in [] if undoing else compared.tables_with_other_columns():
                reader = earlier if self._before is None else self._earlier_unless_locked(stack)
                losses += compared.columns(reader, *table)
            return [*_undeclared(losses, deletes), *_undeclared(compared.objects(), drops)]

    def _earlier(self, stack: ExitStack) -> sqlite3.Connection:
        connection: sqlite3.Connection = stack.enter_context(second_connection(self._database)).connection()
        return connection

    def _earlier_unless_locked(self, stack: ExitStack) -> sqlite3.Connection | None:
        if not self._has_second:
            return None
        try:
            connection = self._earlier(stack)
            connection.execute("PRAGMA busy_timeout = 0").close()
            connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        except driver_errors():
            return None
        return connection


class _Compared:
    """The schemas before and after a migration, and what became of each table."""

    def __init__(
        self,
        now: sqlite3.Connection,
        before: Schema,
        count: Callable[[Object], int | None],
        seen: Guard,
    ) -> None:
        self._now = now
        self._before, self._after = before, read_schema(now)
        self._count = count
        self._seen = seen
        self._became = follow(before, self._after, seen.tables)

    def rows(self, *, undoing: bool) -> Iterator[Loss]:
        """Yield the losses of rows."""
        touched = self._seen.written | self._seen.dropped | {name for _, name in self._seen.tables}
        for name, table in self._before.tables.items():
            became = self._became[name]
            if became == name and name not in touched and self._after.tables[name].row == table.row:
                continue
            count = self._count(table)
            if not count:
                continue
            if became is None:
                if not undoing:
                    yield {name}, f"{name} was dropped with {count} rows; if that is meant, {_declare(name)}"
                continue
            left = count_rows(self._now, self._after.objects[became])
            if left is not None and left < count and not (undoing and became in self._seen.deleted):
                what = name if became == name else f"{name}, now {became},"
                lost = f"{what} lost {count - left} of {count} rows"
                yield {name, became}, f"{lost}; if that is meant, {_declare(name)}"

    def tables_with_other_columns(self) -> list[tuple[Object, Object, set[str]]]:
        """List the tables that may have lost columns: before, after, and the columns that DROP COLUMN removed."""
        found = []
        for name, table in self._before.tables.items():
            became = self._became[name]
            if became is not None and (self._seen.dropped_columns or self._after.tables[became].row != table.row):
                after, dropped = self._after.objects[became], self._dropped(name, became)
                if may_have_lost_columns(table, after, dropped) and self._count(table):
                    found.append((table, after, dropped))
        return found

    def _dropped(self, name: str, became: str) -> set[str]:
        # A column may be dropped while its table has a third name for a while. So columns count, too, that were dropped
        # under a name that no object has before or after.
        found: set[str] = set()
        for table, columns in self._seen.dropped_columns.items():
            if table in (name, became) or not (table in self._before.objects or table in self._after.objects):
                found |= columns
        return found

    def columns(
        self,
        earlier: sqlite3.Connection | None,
        before: Object,
        after: Object,
        dropped: Collection[str],
    ) -> Iterator[Loss]:
        """Yield the columns of one of these tables that were lost with their values."""
        reported = fold(after.name) in self._seen.rebuilt
        for column in lost_columns(earlier, before, self._now, after, dropped, reported=reported):
            name, other = (f"{fold(each.name)}.{column}" for each in (before, after))
            yield {name, other}, f"{name} was dropped with its values; if that is meant, {_declare(name)}"

    def objects(self) -> Iterator[Loss]:
        """Yield the indexes and triggers that are gone although their table still exists."""
        tables = self._after.tables
        for name, each in self._before.objects.items():
            stays = each.kind not in ("index", "trigger") or name in self._after.objects or name in self._seen.dropped
            became = self._became.get(each.table)
            if not stays and became in tables:
                line = f"{each.kind} {name} of {became} was lost; create it again, or declare drops = ({name!r},)"
                yield {name}, line


def _look_up(counts: Mapping[str, int | None], table: Object) -> int | None:
    return counts[fold(table.name)]


def _declare(name: str) -> str:
    return f"declare deletes = ({name!r},)"


def _undeclared(losses: Iterable[Loss], declared: Iterable[str]) -> list[str]:
    meant = set(map(fold, declared))
    return [line for names, line in losses if not names & meant]
