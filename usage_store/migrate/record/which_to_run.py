"""Which migrations a run takes, and in which order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from usage_store.errors import (
    ConfigurationError,
    DatabaseNewer,
    HistoryError,
    LateMigration,
    MissingMigration,
    RenamedMigration,
)
from usage_store.migrate.files.migration import Migration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from usage_store.migrate.files.migration import Direction


def plan(
    files: Sequence[Migration], applied: Sequence[Migration], direction: Direction, target: int | None
) -> list[Migration]:
    """List the migrations to run, in order. Raises the history's first problem, if it concerns them."""
    problems = find_problems(files, applied)
    if direction == "up":
        steps = pending(files, applied, target)
    else:
        steps = list(with_paths(revertible(applied, target), files))
        versions = {step.version for step in steps if step.file is not None}
        problems = [problem for problem in problems if problem.version in versions]
    if problems:
        raise problems[0]
    return steps


def newest(migrations: Sequence[Migration]) -> int:
    """Give the highest version, 0 for none."""
    return migrations[-1].version if migrations else 0


def pending(files: Sequence[Migration], applied: Sequence[Migration], target: int | None = None) -> list[Migration]:
    """List the files to apply, all or up to a version. Raises ConfigurationError for one that makes no sense."""
    done = {migration.version for migration in applied}
    if target is None:
        return [file for file in files if file.version not in done]
    versions = [file.version for file in files]
    if target not in versions:
        raise ConfigurationError(f"no migration has version {target}; allowed: {_listed(versions)}")
    if target < newest(applied):
        raise ConfigurationError(f"version {target} is below the current {newest(applied)}; use rollback")
    return [file for file in files if file.version not in done and file.version <= target]


def revertible(applied: Sequence[Migration], target: int | None) -> list[Migration]:
    """List what to undo down to a version, by default the newest, newest first. Raises ConfigurationError."""
    versions = [0, *(migration.version for migration in applied)]
    if target is None:
        target = versions[-2] if applied else 0
    if target not in versions:
        raise ConfigurationError(f"version {target} is not applied; allowed: {_listed(versions)}")
    return [migration for migration in reversed(applied) if migration.version > target]


def _listed(versions: Sequence[int]) -> str:
    shown = 10
    listed = ", ".join(map(str, versions[:shown]))
    return listed if len(versions) <= shown else f"{listed}, ... {versions[-1]}"


def with_paths(rows: Sequence[Migration], files: Sequence[Migration]) -> tuple[Migration, ...]:
    """Give history rows their files."""
    by_version = {migration.version: migration.file for migration in files}
    return tuple(Migration(row.version, row.name, by_version.get(row.version), row.applied_at) for row in rows)


def is_named_alike(applied: Migration) -> bool:
    """Tell whether a row has its file's name, if only in other letters; a RenamedMigration says so where it has not."""
    file = str(applied) if applied.file else ""
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
            f"{file.file_name} would run out of order: version {newest_applied} was applied before it; "
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
        return MissingMigration(f"{row} was applied and its file is gone; restore {row.file_name}", version=row.version)
    if file.name != row.name:
        return RenamedMigration(
            f"version {row.version} was applied as {row.name!r} and its file is {file.file_name}; "
            "restore the name, or give this directory a history of its own with --table",
            version=row.version,
        )
    return None
