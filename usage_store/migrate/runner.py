"""Plan, run and roll back migrations: the class `MigrationRunner`."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Literal

from usage_store.engines import connected, is_database, unwrap
from usage_store.errors import BackupFailed, ConfigurationError, HistoryError, UsageStoreError
from usage_store.errors.raised_by_a_run import migration_errors_too
from usage_store.errors.rejected_input import shown
from usage_store.migrate.files.migrations_folder import project_of
from usage_store.migrate.record.edited_files import find_edits
from usage_store.migrate.record.files_history_and_log import Records
from usage_store.migrate.record.find_log import read_once
from usage_store.migrate.record.stored_source import required_source
from usage_store.migrate.record.which_to_run import newest, plan, with_paths
from usage_store.migrate.status import check, status, unadopted

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence
    from importlib.resources.abc import Traversable

    import peewee

    from usage_store.errors import MigrationError
    from usage_store.migrate.files.load_file import Loaded, Loader
    from usage_store.migrate.files.migration import Direction, Migration, Step
    from usage_store.migrate.files.migrations_folder import Check
    from usage_store.migrate.planned_sql import Planned
    from usage_store.migrate.record.history_table import History
    from usage_store.migrate.record.log_table import Log
    from usage_store.migrate.status import MigrationStatus
    from usage_store.migrate.validate import Report

# Modules that only some calls need are imported by these calls: all of them would take a tenth of the start of `check`.

logger = logging.getLogger("usage_store.migrate")


class MigrationRunner:
    """Run a directory of migrations against a database, forward and back.

    `database` is a peewee.SqliteDatabase or an initialised DatabaseProxy. `directory` defaults to the migrations of the
    usage tables. It may lie in a zip archive, and may come from `importlib.resources.files()`. `table_name` is the
    history table. By default it is the table that records the directory's migrations already, or else
    `<folder>_migrations` (`app_migrations` for a folder called `migrations`). The usage tables use `schema_migrations`,
    or `usage_schema_migrations` if another program uses that name. `checks` look at an application's own data in
    `validate()`.

    `wait` is how many seconds to wait for another process that migrates or writes. `on_wait` is called with one line
    about each wait and each backup. With `backup`, a file that has rows is copied once per run, before a rollback or
    before a migration that declares `deletes` or `drops`. `on_progress` is called during backups and backfills with
    the name of the work, how much is done, and how much there is in total. A closed database is connected for a call
    and closed after it, unless it is in memory. Raises ConfigurationError if `database` is anything else.
    """

    def __init__(
        self,
        database: peewee.Database | peewee.DatabaseProxy,
        directory: str | os.PathLike[str] | Traversable | None = None,
        table_name: str | None = None,
        *,
        checks: Sequence[Check] | None = None,
        wait: float = 30,
        on_wait: Callable[[str], None] = logger.info,
        backup: bool = True,
        on_progress: Callable[[str, int, int], None] = lambda _what, _done, _total: None,
    ) -> None:
        if not is_database(database):
            given = repr(database) if isinstance(database, str) else '"app.db"'
            raise ConfigurationError(
                f"MigrationRunner takes a Peewee database, not {shown(database)}; pass one: "
                f'MigrationRunner(SqliteDatabase({given}), "migrations")'
            )
        self.database = unwrap(database)
        project = project_of(directory, table_name)
        self.checks = project.checks if checks is None else tuple(checks)
        self.records = Records.of(self.database, project)
        self.wait = wait
        self.on_wait = on_wait
        self.backup = backup
        self.on_progress = on_progress
        self.dry_run = False  # the value of `migrator.dry_run` for the migrations
        self._told: set[str] = set()
        self._project = project

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.directory!r} on {self.records.engine.name_of(self.database)!r}>"

    @property
    def directory(self) -> str:
        """The directory of the migrations."""
        return self.records.directory

    @property
    def history(self) -> History:
        """The history table."""
        return self.records.history

    @property
    def log(self) -> Log:
        """The log: which migrations ran, when, and from which source."""
        return self.records.log

    def status(self, *, notices: bool = False) -> MigrationStatus:
        """Compare the files with the history. Reads only.

        With `notices`, the applied migrations that define `notices(db)` are asked too, which runs their Python.
        """
        with self.connected():
            return status(self.records, ask=notices)

    def current_version(self) -> int:
        """Return the newest applied version, 0 for none. Reads only."""
        with self.connected():
            return newest(self.history.applied())

    def check(self) -> tuple[tuple[MigrationError, ...], int]:
        """Return the problems of history, files and schema, and how many migrations are pending. Reads only.

        It is quick enough for the start of every process: the schema is compared only if its fingerprint differs from
        the one that the last migration left, and no rows are read.
        """
        with self.connected():
            return check(self.records)

    def plan(self, target: int | None = None) -> tuple[Planned, ...]:
        """List what `migrate(target)` would run, or what `rollback(target)` would for a lower target.

        The statements are those of a run on an empty copy of the schema: the migrations' Python runs, with
        `migrator.dry_run` True. The database is only read.
        """
        from usage_store.migrate.files.load_file import Loader  # noqa: PLC0415  see above
        from usage_store.migrate.planned_sql import planned  # noqa: PLC0415  see above

        with self.connected(), Loader(self.directory) as loader:
            files = self.records.files()
            applied = self.history.applied(files)
            for problem in unadopted(self.records, files, applied):
                raise problem
            direction: Direction = "down" if target is not None and target < newest(applied) else "up"
            return planned(self.records, self._load(loader, files, applied, direction, target), direction)

    def migrate(self, target: int | None = None, *, on_step: Callable[[Step], None] | None = None) -> tuple[Step, ...]:
        """Run the pending migrations, all or up to version `target`, each in a transaction with its history row.

        Returns what was run. `on_step` is called for each step once it is committed. All files are checked and loaded
        before the first one runs. Raises a MigrationError whose `applied` holds the steps that were committed before
        the error. A migration that failed leaves nothing behind, unless it says `atomic = False`.
        """
        return self._run("up", target, on_step)

    def rollback(
        self,
        target: int | None = None,
        *,
        stored_source: bool = False,
        on_step: Callable[[Step], None] | None = None,
    ) -> tuple[Step, ...]:
        """Undo applied migrations down to version `target`, newest first; by default the newest one.

        `target` is 0 or an applied version. Returns and raises as `migrate()`. If the file of a migration is missing,
        raises MissingMigration or DatabaseNewer. With `stored_source`, such a migration is undone by the source in the
        log: Python code from the database, which runs as your user. Its checksum shows that it is not damaged, but not
        who wrote it. Use this only if you trust everybody who can write to the database.
        """
        return self._run("down", target, on_step, stored_source=stored_source)

    def stamp(self, version: int) -> tuple[Migration, ...]:
        """Record migrations up to `version` as applied without running them, and return the recorded ones.

        For a version that is applied already, its present file is recorded as the applied one.
        """
        from usage_store.migrate.stamp_as_applied import stamp  # noqa: PLC0415  see above

        with self.connected():
            return stamp(self.records, version, self.wait, self.on_wait)

    def adopt(
        self, source: Literal["playhouse", "peewee_migrate"], *, table: str | None = None
    ) -> tuple[Migration, ...]:
        """Record the migrations that another runner has applied, without running them. Returns them, lowest first.

        `table` is the history table of that runner; by default, it is the table that this runner usually has.
        """
        from usage_store.migrate.adopt_other_runner import adopt  # noqa: PLC0415  see above

        with self.connected():
            return adopt(self.records, source, table, self.wait, self.on_wait)

    def validate(self, *, full: bool = False, replay: bool = False, notices: bool = False) -> Report:
        """Check integrity, foreign keys, history and schema, and run the runner's `checks`.

        Reads only, except with `replay`. `full` runs SQLite's integrity_check instead of quick_check, or the server's
        amcheck, which take minutes on large databases. The schema is compared with the schema in the log. With
        `replay`, the applied migrations run again on empty tables, the schema is compared with theirs, and theirs is
        recorded in the log. With `notices`, the function `notices(db)` of each migration that has one is called. Both
        run Python of the migrations.
        """
        from usage_store.migrate.validate import validate  # noqa: PLC0415  see above

        with self.connected():
            if not replay:
                return validate(self.records, self.checks, full=full, ask=notices)
            from usage_store.migrate.replay_migrations import replay_and_record  # noqa: PLC0415  see above

            compare = partial(replay_and_record, wait=self.wait, on_wait=self.on_wait)
            return validate(self.records, self.checks, compare, full=full, ask=notices)

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Be connected for the block, with one-line errors for a database that is broken or locked.

        In this release these errors are DatabaseErrors and MigrationErrors.
        """
        with migration_errors_too(), connected(self.database):
            yield

    def _run(
        self,
        direction: Direction,
        target: int | None,
        on_step: Callable[[Step], None] | None,
        *,
        stored_source: bool = False,
    ) -> tuple[Step, ...]:
        with self.connected():
            with read_once(self.database):
                files = self.records.files()
                applied = self.history.applied(files)
                tables = self.records.tables()
            for table in self.records.engine.hidden(self.database, tables):
                raise HistoryError(f"{table} is hidden by a temporary object of this connection; drop that first")
            if not plan(files, applied, direction, target, stored_source=stored_source):
                return ()
            for problem in unadopted(self.records, files, applied):
                raise problem
            from usage_store.migrate.files.load_file import Loader  # noqa: PLC0415  see above
            from usage_store.migrate.run_in_transactions import Execution  # noqa: PLC0415  see above

            self.log.exists()  # search for the log again, so that the engine learns its present name
            back_up = self._back_up if self.backup else None
            with self.records.alone(self.wait, self.on_wait) as alone, Loader(self.directory) as loader:
                # The plan is made again, because the history may have changed during the wait for the lock.
                tell = on_step or (lambda _: None)
                execution = Execution(self.records, direction, alone, tell, back_up, self.on_progress, self.wait)
                execution.migrator.dry_run = self.dry_run
                for line in set(execution.violations) - self._told:
                    logger.warning("found before migrating: %s", line)
                    self._told.add(line)
                loaded = self._load(loader, files, execution.applied, direction, target, stored_source=stored_source)
                return execution.run(loaded)

    def _back_up(self, version: int) -> None:
        pages = partial(self.on_progress, "pages copied")
        try:
            path = self.records.engine.copies.back_up_rows(
                self.database,
                version,
                ignore=(*self.records.tables(), *self._project.upkeep),
                seeded=self._project.seeded,
                on_progress=pages,
            )
        except (UsageStoreError, OSError) as error:
            raise BackupFailed(
                f"no backup could be made, so the migration was not run: {error}; --no-backup runs it without a backup"
            ) from error
        if path is not None:
            self.on_wait(f"backed up version {version} to {path}")

    def _load(
        self,
        loader: Loader,
        files: Sequence[Migration],
        applied: Sequence[Migration],
        direction: Direction,
        target: int | None,
        *,
        stored_source: bool = False,
    ) -> list[Loaded]:
        steps = plan(files, applied, direction, target, stored_source=stored_source)
        self.log.exists()  # raises now, and not after the first migration, if something else has the name of the log
        if direction == "up":
            edited, _ = find_edits(self.log, with_paths(applied, files))
            if edited:
                raise edited[0]
        sources = [(step, step.read() if step.file else required_source(self.log, step)) for step in steps]
        return [loader.load(step, direction, source) for step, source in sources]
