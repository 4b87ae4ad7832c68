"""A project's migrations in one database, as one value: files, history, log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from usage_store.engines import engine_of
from usage_store.migrate.files.find_files import discover, numbered
from usage_store.migrate.record.history_table import History
from usage_store.migrate.record.log_table import Log

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from contextlib import AbstractContextManager

    import peewee

    from usage_store.engines.interface.engine import Engine
    from usage_store.migrate.files.migration import Migration
    from usage_store.migrate.files.migrations_folder import Project


class Records(NamedTuple):
    """The migrations of a directory, and what a database has noted of them."""

    database: peewee.Database
    engine: Engine[Any]
    directory: str
    history: History
    log: Log

    @classmethod
    def of(cls, database: peewee.Database, project: Project) -> Records:
        """Bring a database and a project together. Nothing is opened."""
        history = History(database, project)
        return cls(database, engine_of(database), project.directory, history, Log(database, history))

    def files(self) -> tuple[Migration, ...]:
        """List the migrations of the directory for this engine, lowest version first. Raises as `discover`.

        There may be none where some were applied: then their files are gone.
        """
        found = numbered(self.directory, self.engine.NAME)
        return found if found or self.history.applied(found) else discover(self.directory, self.engine.NAME)

    def tables(self) -> tuple[str, ...]:
        """Name the tables of the history and the log, which no migration makes. Reads only."""
        return (self.history.table_name, *self.log.names())

    def create(self) -> None:
        """Make these tables where they are missing."""
        self.history.create()
        self.log.create()

    def stamp(self, migrations: Sequence[Migration], applied: Collection[int] = ()) -> None:
        """Record migrations that were not run, and log them as their files and the schema are now.

        Those whose versions are `applied` are in the history already.
        """
        self.create()
        fingerprint = self.engine.Fingerprint(self.database).read()
        for migration in migrations:
            if migration.version not in applied:
                self.history.record(migration)
            self.log.append(migration, "stamp", 0.0, migration.read(), fingerprint)

    def alone(self, wait: float, on_wait: Callable[[str], None]) -> AbstractContextManager[Callable[[], None]]:
        """Be the only run on this history, the connection set up for it; give what sets it up again."""
        return self.engine.migrating.alone(self.database, self.history.table_name, wait, on_wait)
