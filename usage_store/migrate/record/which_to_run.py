"""Decide which migrations to run and in which order, and find problems of the history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.errors import (
    ConfigurationError,
    DatabaseNewer,
    HistoryError,
    LateMigration,
    MissingMigration,
    RenamedMigration,
)
from usage_store.migrate.files.migration import Migration, alike

if TYPE_CHECKING:
    from collections.abc import Sequence

    from usage_store.migrate.files.migration import Direction


_ANOTHER = "if that is the history of other migrations, name another history table with --table; "


def plan(
    files: Sequence[Migration],
    applied: Sequence[Migration],
    direction: Direction,
    target: int | None,
    *,
    stored_source: bool = False,
) -> list[Migration]:
    """List the migrations to run, in order. Raises the first problem of the history that concerns them.

    With `stored_source`, a missing file is no problem for a migration that will be rolled back.
    """
    problems = find_problems(files, applied)
    if direction == "up":
        steps = pending(files, applied, target)
    else:
        steps = list(with_paths(revertible(applied, target), files))
        versions = {step.version for step in steps if step.file is not None or not stored_source}
        problems = [problem for problem in problems if problem.version in versions]
    if problems:
        raise problems[0]
    return steps


def newest(migrations: Sequence[Migration]) -> int:
    """Return the highest version, or 0 if the sequence is empty."""
    return migrations[-1].version if migrations else 0


def pending(files: Sequence[Migration], applied: Sequence[Migration], target: int | None = None) -> list[Migration]:
    """List the files to apply: all, or those up to version `target`. Raises ConfigurationError for a wrong target.

    A file is also listed if its version was applied under another name. It can run after that one was rolled back.
    """
    names = {row.version: row.name for row in applied}
    waiting = [file for file in files if file.version not in names or not alike(file.name, names[file.version])]
    if target is None:
        return waiting
    versions = [file.version for file in files]
    if target not in versions:
        raise ConfigurationError(f"no migration has version {target!r}; allowed: {_listed(versions)}")
    if target < newest(applied):
        raise ConfigurationError(f"version {target} is below the current version {newest(applied)}; use rollback")
    return [file for file in waiting if file.version <= target]


def revertible(applied: Sequence[Migration], target: int | None) -> list[Migration]:
    """List the migrations to roll back down to version `target`, newest first; by default only the newest one.

    Raises ConfigurationError for a target that is not applied.
    """
    versions = [0, *(migration.version for migration in applied)]
    if target is None:
        target = versions[-2] if applied else 0
    if target not in versions:
        raise ConfigurationError(f"version {target!r} is not applied; allowed: {_listed(versions)}")
    return [migration for migration in reversed(applied) if migration.version > target]


def _listed(versions: Sequence[int]) -> str:
    shown = 10
    listed = ", ".join(map(str, versions[:shown])) or "none"
    return listed if len(versions) <= shown else f"{listed}, ... {versions[-1]}"


def with_paths(rows: Sequence[Migration], files: Sequence[Migration]) -> tuple[Migration, ...]:
    """Return the rows of the history with their files. If a version has a file of another name, its own is missing."""
    by_version = {file.version: file for file in files}
    return tuple(
        Migration(row.version, row.name, _file_of(row, by_version.get(row.version)), row.applied_at) for row in rows
    )


def _file_of(row: Migration, file: Migration | None) -> str | None:
    return file.file if file is not None and alike(file.name, row.name) else None


def find_problems(files: Sequence[Migration], applied: Sequence[Migration]) -> list[HistoryError]:
    """Compare the history with the files. Each problem is the error that a run would raise."""
    if not applied:
        return []
    by_version = {file.version: file for file in files}
    newest_file, newest_applied = newest(files), newest(applied)
    odd = [(row, by_version.get(row.version)) for row in applied]
    odd = [(row, file) for row, file in odd if file is None or file.name != row.name]
    gone = [row.version for row, file in odd if _file_of(row, file) is None]
    hint = _ANOTHER if len(gone) == len(applied) else ""
    problems: list[HistoryError] = []
    for row, file in odd:
        if file is not None and row.version not in gone:
            problems.append(_renamed(row, file))
        else:
            before = max((each.version for each in applied if each.version < row.version), default=0)
            problems.append(_gone(row, file, newest_file, before, hint))
    late = [file for file in pending(files, applied) if file.version < newest_applied]
    problems += [
        LateMigration(
            f"{file.file_name} would run out of order: version {newest_applied} was applied before it; "
            f"renumber it above {max(newest_file, newest_applied)}",
            version=file.version,
        )
        for file in late
    ]
    return problems


def _gone(row: Migration, file: Migration | None, newest_file: int, before: int, hint: str) -> HistoryError:
    """Return the error for an applied migration whose file is missing. It names the possible solutions."""
    undo = f"undo it with `rollback {before} --stored-source`, which runs its Python from the log"
    if file is not None:
        return MissingMigration(
            f"version {row.version} was applied as {row.name!r}, but its file is {file.file_name}; {hint}{undo}, or "
            f"renumber {file.file_name} and restore {row.file_name}; if the file was only renamed, restore its name",
            version=row.version,
        )
    if row.version > newest_file > 0:
        return DatabaseNewer(
            f"the database has {row}, but these migrations end at version {newest_file}; {hint}"
            f"install the newer release, name the folder of its migrations with --directory, or {undo}",
            version=row.version,
        )
    return MissingMigration(
        f"{row} was applied and its file is gone; {hint}restore {row.file_name}, or {undo}", version=row.version
    )


def _renamed(row: Migration, file: Migration) -> RenamedMigration:
    return RenamedMigration(
        f"version {row.version} was applied as {row.name!r}, but its file is {file.file_name}; "
        "restore the name of the file, or name another history table with --table",
        version=row.version,
    )
