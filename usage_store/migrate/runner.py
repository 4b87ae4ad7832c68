"""Plan, migrate, roll back."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from usage_store.connection import readable_errors, unwrap
from usage_store.errors import ConfigurationError, MigrationError
from usage_store.migrate import registry
from usage_store.migrate.history import History, find_problems, with_paths

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

    import peewee

    from usage_store.migrate.dryrun import Planned
    from usage_store.migrate.registry import Direction, Migration, Step
    from usage_store.migrate.validate import Report

__all__ = ["MigrationRunner", "MigrationStatus"]

logger = logging.getLogger("usage_store.migrate")


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """Where a database stands: versions are integers, 0 is "nothing applied".

    `problems` are the errors that `migrate()` would raise, `notices` what the applied migrations have to say.
    """

    current_version: int
    latest_version: int
    pending_count: int
    applied_migrations: tuple[Migration, ...]
    pending_migrations: tuple[Migration, ...]
    problems: tuple[MigrationError, ...]
    notices: tuple[str, ...] = ()


class MigrationRunner:
    """Run a directory of migrations against a database, forward and back.

    `directory` defaults to the usage tables' own migrations. `wait` is how many seconds to wait for another
    process that migrates or writes; `on_wait` is told so, in one line. A closed database is connected for a call
    and closed after it. Raises ConfigurationError for a database that is not SQLite or not initialised.
    """

    def __init__(
        self,
        database: peewee.Database | peewee.DatabaseProxy,
        directory: str | os.PathLike[str] | None = None,
        table_name: str = "schema_migrations",
        *,
        wait: float = 30,
        on_wait: Callable[[str], None] = logger.info,
    ) -> None:
        self.database = unwrap(database)
        self.directory = Path(directory) if directory is not None else registry.default_directory()
        self.history = History(self.database, table_name)
        self.wait = wait
        self.on_wait = on_wait

    def status(self) -> MigrationStatus:
        """Compare the files with the history. Reads only."""
        from usage_store.migrate.validate import notices

        with self.connected():
            files = registry.discover(self.directory)
            applied = with_paths(self.history.applied(), files)
            pending = _pending(files, applied)
            return MigrationStatus(
                current_version=_newest(applied),
                latest_version=_newest(files),
                pending_count=len(pending),
                applied_migrations=applied,
                pending_migrations=tuple(pending),
                problems=tuple(find_problems(files, applied)),
                notices=notices(self.database, applied),
            )

    def plan(self, target: int | None = None) -> tuple[Planned, ...]:
        """List what `migrate(target)` would run, or `rollback(target)` for a target below the current version.

        The statements are those of a run on an empty copy of the schema. The database is only read.
        """
        from usage_store.migrate.dryrun import planned

        with self.connected():
            down = target is not None and target < _newest(self.history.applied())
            direction: Direction = "down" if down else "up"
            return planned(self.database, self.steps(direction, target), direction)

    def migrate(self, target: int | None = None, *, on_step: Callable[[Step], None] | None = None) -> tuple[Step, ...]:
        """Run the pending migrations, all or up to version `target`, each in a transaction with its history row.

        Returns what was run; `on_step` is told of each once it is committed. All files are checked and loaded
        before the first runs. Raises a MigrationError whose `applied` holds the steps committed before it; the
        migration that failed leaves nothing behind, unless it says `atomic = False`.
        """
        return self._run("up", target, on_step)

    def rollback(self, target: int | None = None, *, on_step: Callable[[Step], None] | None = None) -> tuple[Step, ...]:
        """Undo applied migrations down to version `target`, newest first; by default the newest one.

        `target` is 0 or an applied version. Returns and raises as `migrate()`.
        """
        return self._run("down", target, on_step)

    def validate(self, *, full: bool = False) -> Report:
        """Check integrity, foreign keys, history and schema. Reads only.

        `full` runs SQLite's integrity_check, minutes on large files, in place of quick_check.
        """
        from usage_store.migrate.validate import validate

        with self.connected():
            files = registry.discover(self.directory)
            return validate(self.database, self.history, files, full=full)

    def steps(self, direction: Direction, target: int | None = None) -> list[Migration]:
        """List the migrations to run, in order. Reads only; raises the history's first problem, if it matters."""
        files = registry.discover(self.directory)
        applied = self.history.applied()
        if direction == "up":
            steps = _pending(files, applied, target)
            problems = find_problems(files, applied)
        else:
            steps = list(with_paths(_revertible(applied, target), files))
            versions = {migration.version for migration in steps}
            problems = [problem for problem in find_problems(files, applied) if problem.version in versions]
        if problems:
            raise problems[0]
        return steps

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Be connected for the block, with one-line errors for a database that is broken or locked."""
        opened = False
        try:
            with readable_errors(str(self.database.database)):
                opened = self.database.connect(reuse_if_open=True)
                yield
        finally:
            if opened:
                self.database.close()

    def _run(
        self, direction: Direction, target: int | None, on_step: Callable[[Step], None] | None
    ) -> tuple[Step, ...]:
        with self.connected():
            if not self.steps(direction, target):
                return ()
            from usage_store.migrate.execution import Execution

            execution = Execution(self.database, self.history, direction, on_step or (lambda _: None))
            with execution.alone(self.wait, self.on_wait):
                # Planned again: the history may have moved while we waited.
                return execution.run(self.steps(direction, target))


def _newest(migrations: Sequence[Migration]) -> int:
    return migrations[-1].version if migrations else 0


def _pending(files: Sequence[Migration], applied: Sequence[Migration], target: int | None = None) -> list[Migration]:
    done = {migration.version for migration in applied}
    if target is None:
        return [file for file in files if file.version not in done]
    versions = [file.version for file in files]
    if target not in versions:
        raise ConfigurationError(f"no migration has version {target}; allowed: {_listed(versions)}")
    if target < _newest(applied):
        raise ConfigurationError(f"version {target} is below the current {_newest(applied)}; use rollback")
    return [file for file in files if file.version not in done and file.version <= target]


def _revertible(applied: Sequence[Migration], target: int | None) -> list[Migration]:
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
