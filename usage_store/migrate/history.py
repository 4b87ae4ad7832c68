"""The history table: which versions were applied, and whether that fits the files."""

from __future__ import annotations

import re
import time
from itertools import pairwise
from typing import TYPE_CHECKING

from usage_store.errors import (
    DatabaseNewer,
    HistoryError,
    LateMigration,
    MissingMigration,
    RenamedMigration,
)
from usage_store.migrate.lookup import history_table, is_there, taken_name
from usage_store.migrate.registry import Migration

if TYPE_CHECKING:
    from collections.abc import Sequence

    import peewee

    from usage_store.migrate.project import Project

__all__ = ["History", "find_problems", "is_named_alike", "with_paths"]


class History:
    """The rows of one history table: version, name, applied_at (seconds, UTC).

    Where its project leaves a choice, the table is found anew each time that the rows are read.
    """

    def __init__(self, database: peewee.SqliteDatabase, project: Project) -> None:
        self.database = database
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
        return is_there(self.database, self.table_name)

    def create(self) -> None:
        """Make the table and its index where they are missing."""
        self.database.execute_sql(
            f'CREATE TABLE IF NOT EXISTS "{self.table_name}" '
            "(version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL)"
        )
        self.database.execute_sql(
            f'CREATE INDEX IF NOT EXISTS "idx_{self.table_name}_applied_at" ON "{self.table_name}"(applied_at)'
        )

    def notices(self) -> tuple[str, ...]:
        """Say where the history is if its usual name is taken. Reads only."""
        taken = taken_name(self.database, self._project)
        if taken is None or taken == self.table_name:
            return ()
        return (f"{taken} holds another history, and stays as it is: these migrations are noted in {self.table_name}",)

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
        sql = f'INSERT INTO "{self.table_name}" (version, name, applied_at) VALUES (?, ?, ?)'  # noqa: S608
        applied_at = int(time.time()) if migration.applied_at is None else migration.applied_at
        self.database.execute_sql(sql, (migration.version, migration.name, applied_at))

    def forget(self, migration: Migration) -> None:
        """Remove a migration's row."""
        sql = f'DELETE FROM "{self.table_name}" WHERE version = ?'  # noqa: S608
        self.database.execute_sql(sql, (migration.version,))


def with_paths(rows: Sequence[Migration], files: Sequence[Migration]) -> tuple[Migration, ...]:
    """Give history rows their files."""
    by_version = {migration.version: migration.file for migration in files}
    return tuple(Migration(row.version, row.name, by_version.get(row.version), row.applied_at) for row in rows)


def is_named_alike(applied: Migration) -> bool:
    """Tell whether a row has its file's name, if only in other letters; a RenamedMigration says so where it has not."""
    file = applied.path.stem if applied.path else ""
    return file.partition("_")[2].lower() == re.sub(r"\W", "_", applied.name).lower()


def find_problems(files: Sequence[Migration], applied: Sequence[Migration]) -> list[HistoryError]:
    """Compare history and files; each problem is the error that running migrations would raise."""
    if not applied:
        return []
    by_version = {migration.version: migration for migration in files}
    newest_file = files[-1].version if files else 0
    newest_applied = applied[-1].version
    problems = [_row_problem(row, by_version.get(row.version), newest_file) for row in applied]
    versions = {migration.version for migration in applied}
    late = [file for file in files if file.version < newest_applied and file.version not in versions]
    problems += [
        LateMigration(
            f"{file}.py would run out of order: version {newest_applied} was applied before it; "
            f"renumber it above {max(newest_file, newest_applied)}",
            version=file.version,
        )
        for file in late
    ]
    return [problem for problem in problems if problem is not None]


def _row_problem(row: Migration, file: Migration | None, newest_file: int) -> HistoryError | None:
    if file is None and row.version > newest_file:
        return DatabaseNewer(
            f"the database has {row}, these migrations end at version {newest_file}; "
            "install the release that made it, or point --directory at its migrations",
            version=row.version,
        )
    if file is None:
        return MissingMigration(f"{row} was applied and its file is gone; restore {row}.py", version=row.version)
    if file.name != row.name:
        return RenamedMigration(
            f"version {row.version} was applied as {row.name!r} and its file is {file}.py; "
            "restore the name, or give this directory a history of its own with --table",
            version=row.version,
        )
    return None
