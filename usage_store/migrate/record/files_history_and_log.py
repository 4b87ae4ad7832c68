"""The migration files of a project, and their history table and log in one database."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from usage_store.engines import engine_of
from usage_store.migrate.files.find_files import discover, numbered
from usage_store.migrate.record.history_table import History
from usage_store.migrate.record.log_table import Log
from usage_store.migrate.record.which_to_run import newest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    import peewee

    from usage_store.engines.interface.engine import Engine
    from usage_store.engines.interface.watch_and_meter import Alone
    from usage_store.migrate.files.brought_schemas import Schema
    from usage_store.migrate.files.migration import Migration
    from usage_store.migrate.files.migrations_folder import Project


class Records(NamedTuple):
    """The migrations of a directory, and their history table and log in a database."""

    database: peewee.Database
    engine: Engine[Any]
    project: Project
    history: History
    log: Log

    @classmethod
    def of(cls, database: peewee.Database, project: Project) -> Records:
        """Return the records of a project in a database. The database is not opened."""
        history = History(database, project)
        return cls(database, engine_of(database), project, history, Log(database, history))

    @property
    def directory(self) -> str:
        """The directory of the migrations."""
        return self.project.directory

    def files(self) -> tuple[Migration, ...]:
        """List the migrations of the directory for this engine, lowest version first. Raises as `discover`.

        An empty directory is no error if migrations are applied: their files are missing then.
        """
        found = numbered(self.directory, self.engine.NAME)
        return found if found or self.history.applied(found) else discover(self.directory, self.engine.NAME)

    def tables(self) -> tuple[str, ...]:
        """Return the names of the history table and the log table. No migration creates them. Reads only."""
        return (self.history.table_name, *self.log.names())

    def exist(self) -> bool:
        """Return whether both tables exist, and the log has its current columns and name. Reads only."""
        return self.history.is_present() and self.log.is_present()

    def create(self) -> None:
        """Create these tables if they are missing, and give an older log its current columns and name."""
        self.history.create()
        self.log.create()

    def brought(self) -> Mapping[int, Schema] | None:
        """Return the schema after each version, or None if the project stores no such schemas. Reads only."""
        return self.project.brought(self.engine.NAME)

    def notices(self, applied: Sequence[Migration], *, ask: bool = False) -> tuple[str, ...]:
        """Return notices about a database with these applied migrations. Reads only.

        With `ask`, the `notices(db)` functions of the migrations are called too, which runs their Python.
        """
        if not applied:
            return ()
        said = self.project.notices(self.database)
        if not ask:
            return tuple(said)
        from usage_store.migrate.record.asked_notices import asked  # noqa: PLC0415  it loads migrations

        return (*said, *asked(self.database, applied, self.project.speaks_for))

    def stamp(self, migrations: Sequence[Migration], applied: Collection[int] = (), ddl: str | None = None) -> None:
        """Record migrations without running them, and log their files and the schema's fingerprint as they are now.

        `applied` has the versions that the history table already records. `ddl` is the schema change for the log, if
        the caller knows it.
        """
        self.create()
        fingerprint = self.engine.Fingerprint(self.database).read()
        for migration in migrations:
            if migration.version not in applied:
                self.history.record(migration)
            self.log.append(migration, "stamp", 0.0, migration.read(), fingerprint, ddl)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Log the schema changes of the block, which are not made by a migration. Needs an open transaction."""
        from usage_store.migrate.record.recorded_ddl import as_text  # noqa: PLC0415  only needed when something is written

        fingerprint = self.engine.Fingerprint(self.database)
        fingerprint.read()
        yield
        fingerprint.read()
        changes = fingerprint.changes.without({table.lower() for table in self.tables()})
        applied = self.history.applied() if any(changes) else ()
        if applied and self.log.exists():
            self.log.create()
            self.log.note(newest(applied), fingerprint.read(), as_text(changes))

    def alone(self, wait: float, on_wait: Callable[[str], None]) -> AbstractContextManager[Alone]:
        """Hold the lock of this history for the block, with the connection set up for migrations.

        Waits up to `wait` seconds. Raises MigrationLocked.
        """
        return self.engine.migrating.alone(self.database, self.history.table_name, wait, on_wait)
