"""The history table. It records which versions are applied, and when they were applied."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from usage_store.engines import engine_of
from usage_store.errors import HistoryError
from usage_store.migrate.files.migration import Migration
from usage_store.migrate.record.find_history import history_table, rows_of, taken_name
from usage_store.migrate.record.find_log import HISTORY, is_history, left_log, once_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import peewee

    from usage_store.migrate.files.migrations_folder import Project


class History:
    """The rows of one history table: version, name, applied_at (seconds, UTC).

    If its project has several possible table names, the table is searched again each time that the rows are read.
    """

    def __init__(self, database: peewee.Database, project: Project) -> None:
        self.database = database
        self._engine = engine_of(database)
        self._project = project
        self._table_name: str | None = None

    @property
    def table_name(self) -> str:
        """The name of the table that was found last. Reads only."""
        if self._table_name is None:
            self._table_name = history_table(self.database, self._project)
        return self._table_name

    def exists(self) -> bool:
        """Return whether the table exists. Reads only."""
        return self._engine.kind_of(self.database, self.table_name) is not None

    def is_present(self) -> bool:
        """Return whether the table and its index exist. Reads only."""
        index = f"idx_{self.table_name}_applied_at".lower()
        return self.exists() and any(each.name.lower() == index for each in self.database.get_indexes(self.table_name))

    def create(self) -> None:
        """Create the table and its index if they are missing."""
        integer = self._engine.COLUMN_TYPES["int"]
        self.database.execute_sql(
            f'CREATE TABLE IF NOT EXISTS "{self.table_name}" '
            f"(version {integer} PRIMARY KEY, name TEXT NOT NULL, applied_at {integer} NOT NULL)"
        )
        self.database.execute_sql(
            f'CREATE INDEX IF NOT EXISTS "idx_{self.table_name}_applied_at" ON "{self.table_name}"(applied_at)'
        )

    def notices(self) -> tuple[str, ...]:
        """Return notices about a usual table name that another program uses, and about an unused log. Reads only."""
        taken, table = taken_name(self.database, self._project), self.table_name
        said = [left_log(self.database, table)]
        if taken is not None and taken != table:
            said.append(f"{taken} belongs to another program and stays as it is; the history here is {table}")
        return tuple(line for line in said if line is not None)

    def applied(self, files: Sequence[Migration] | None = None) -> tuple[Migration, ...]:
        """List the applied migrations, lowest version first. Without the table, the list is empty. Reads only.

        `files` are the files of the directory, if the caller knows them. Raises HistoryError if the table has not the
        columns of a history table, or has a damaged row.
        """
        self._table_name = history_table(self.database, self._project, files)
        once = once_of(self.database)
        if once is not None and is_history(self.database, self.table_name):
            return self._checked_rows(once.ask(rows_of(self.table_name)))
        if not self.exists():
            return ()
        if not self._engine.has_columns(self.database, self.table_name, HISTORY):
            raise HistoryError(f"{self.table_name}: not a history table ({self._columns()}); choose another --table")
        return self._checked_rows(self.database.execute_sql(rows_of(self.table_name)).fetchall())

    def _checked_rows(self, rows: Sequence[Sequence[Any]]) -> tuple[Migration, ...]:
        applied = tuple(Migration(*self._checked(*row)) for row in rows)
        for row, following in pairwise(applied):
            if row.version == following.version:
                raise HistoryError(f"{self.table_name}: version {row.version} has two rows; delete one of them")
        return applied

    def _columns(self) -> str:
        columns = self.database.get_columns(self.table_name)
        found = {column.name.lower(): str(column.data_type).lower() for column in columns}
        if found.keys() >= HISTORY.keys():
            return "columns of other types: " + ", ".join(f"{name} {found[name]}" for name in HISTORY)
        return f"columns {', '.join(sorted(found))}"

    def _checked(self, version: object, name: object, applied_at: object) -> tuple[int, str, None, int]:
        if not isinstance(version, int) or version < 1:
            raise HistoryError(f"{self.table_name}: version {version!r} is not an integer from 1 up; delete that row")
        if not isinstance(name, str) or not isinstance(applied_at, int):
            raise HistoryError(
                f"{self.table_name}: version {version} has name {name!r}, applied_at {applied_at!r}; allowed: a text, "
                "an integer"
            )
        return version, name, None, applied_at

    def record(self, migration: Migration) -> None:
        """Record a migration as applied, at its `applied_at`, or at the current time if that is None."""
        param = self.database.param
        sql = f'INSERT INTO "{self.table_name}" (version, name, applied_at) VALUES ({param}, {param}, {param})'  # noqa: S608
        applied_at = int(time.time()) if migration.applied_at is None else migration.applied_at
        self.database.execute_sql(sql, (migration.version, migration.name, applied_at))

    def forget(self, migration: Migration) -> None:
        """Delete the row of a migration."""
        sql = f'DELETE FROM "{self.table_name}" WHERE version = {self.database.param}'  # noqa: S608
        self.database.execute_sql(sql, (migration.version,))
