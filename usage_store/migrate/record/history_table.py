"""The history table: which versions were applied, and when."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING

from usage_store.engines import engine_of
from usage_store.errors import HistoryError
from usage_store.migrate.files.migration import Migration
from usage_store.migrate.record.find_history import history_table, taken_name
from usage_store.migrate.record.find_log import left_log

if TYPE_CHECKING:
    from collections.abc import Sequence

    import peewee

    from usage_store.migrate.files.migrations_folder import Project


class History:
    """The rows of one history table: version, name, applied_at (seconds, UTC).

    Where its project leaves a choice, the table is found anew each time that the rows are read.
    """

    def __init__(self, database: peewee.Database, project: Project) -> None:
        self.database = database
        self._engine = engine_of(database)
        self._project = project
        self._table_name: str | None = None

    @property
    def table_name(self) -> str:
        """The table, as it was found last. Reads only."""
        if self._table_name is None:
            self._table_name = history_table(self.database, self._project)
        return self._table_name

    def exists(self) -> bool:
        """Tell whether the table is there. Reads only."""
        return self._engine.kind_of(self.database, self.table_name) is not None

    def is_present(self) -> bool:
        """Tell whether the table and its index are there. Reads only."""
        index = f"idx_{self.table_name}_applied_at".lower()
        return self.exists() and any(each.name.lower() == index for each in self.database.get_indexes(self.table_name))

    def create(self) -> None:
        """Make the table and its index where they are missing."""
        integer = self._engine.COLUMN_TYPES["int"]
        self.database.execute_sql(
            f'CREATE TABLE IF NOT EXISTS "{self.table_name}" '
            f"(version {integer} PRIMARY KEY, name TEXT NOT NULL, applied_at {integer} NOT NULL)"
        )
        self.database.execute_sql(
            f'CREATE INDEX IF NOT EXISTS "idx_{self.table_name}_applied_at" ON "{self.table_name}"(applied_at)'
        )

    def notices(self) -> tuple[str, ...]:
        """Say where the history is if its usual name is taken, and where its log is not. Reads only."""
        taken, table = taken_name(self.database, self._project), self.table_name
        said = [left_log(self.database, table)]
        if taken is not None and taken != table:
            said.append(f"{taken} holds another history, and stays as it is: these migrations are noted in {table}")
        return tuple(line for line in said if line is not None)

    def applied(self, files: Sequence[Migration] | None = None) -> tuple[Migration, ...]:
        """List what was applied, lowest version first; empty without the table. Reads only.

        `files` are those of the directory, if they are known already. Raises HistoryError if the table is not a history
        table or holds rows that are not history.
        """
        self._table_name = history_table(self.database, self._project, files)
        if not self.exists():
            return ()
        columns = {column.name.lower() for column in self.database.get_columns(self.table_name)}
        if not columns >= {"version", "name", "applied_at"}:
            raise HistoryError(
                f"{self.table_name}: not a history table (columns {', '.join(sorted(columns))}); choose another --table"
            )
        sql = f'SELECT version, name, applied_at FROM "{self.table_name}" ORDER BY version'  # noqa: S608
        rows = self.database.execute_sql(sql).fetchall()
        applied = tuple(Migration(*self._checked(*row)) for row in rows)
        for row, following in pairwise(applied):
            if row.version == following.version:
                raise HistoryError(f"{self.table_name}: version {row.version} is there twice; delete one of its rows")
        return applied

    def _checked(self, version: object, name: object, applied_at: object) -> tuple[int, str, None, int]:
        if not isinstance(version, int) or version < 1:
            raise HistoryError(f"{self.table_name}: version {version!r} is not an integer from 1; delete that row")
        if not isinstance(name, str) or not isinstance(applied_at, int):
            raise HistoryError(f"{self.table_name}: version {version} has name {name!r}, applied_at {applied_at!r}")
        return version, name, None, applied_at

    def record(self, migration: Migration) -> None:
        """Note a migration as applied, at its `applied_at` or now."""
        param = self.database.param
        sql = f'INSERT INTO "{self.table_name}" (version, name, applied_at) VALUES ({param}, {param}, {param})'  # noqa: S608
        applied_at = int(time.time()) if migration.applied_at is None else migration.applied_at
        self.database.execute_sql(sql, (migration.version, migration.name, applied_at))

    def forget(self, migration: Migration) -> None:
        """Remove a migration's row."""
        sql = f'DELETE FROM "{self.table_name}" WHERE version = {self.database.param}'  # noqa: S608
        self.database.execute_sql(sql, (migration.version,))
