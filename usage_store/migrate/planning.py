"""Which migrations a run takes, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.errors import ConfigurationError
from usage_store.migrate.history import find_problems, with_paths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from usage_store.migrate.registry import Direction, Migration

__all__ = ["newest", "pending", "plan", "revertible"]


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
