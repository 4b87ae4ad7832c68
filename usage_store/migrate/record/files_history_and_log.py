"""A project's migrations in one database, as one value: files, history, log."""

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
    """The migrations of a directory, and what a database has noted of them."""

    database: peewee.Database
    engine: Engine[Any]
    project: Project
    history: History
    log: Log

    @classmethod
    def of(cls, database: peewee.Database, project: Project) -> Records:
        """Bring a database and a project together. Nothing is opened."""
        history = History(database, project)
        return cls(database, engine_of(database), project, history, Log(database, history))

    @property
    def directory(self) -> str:
        """The directory of the migrations."""
        return self.project.directory

    def files(self) -> tuple[Migration, ...]:
        """List the migrations of the directory for this engine, lowest version first. Raises as `discover`.

        There may be none where some were applied: then their files are gone.
        """
        found = numbered(self.directory, self.engine.NAME)
        return found if found or self.history.applied(found) else discover(self.directory, self.engine.NAME)

    def tables(self) -> tuple[str, ...]:
        """Name the tables of the history and the log, which no migration makes. Reads only."""
        return (self.history.table_name, *self.log.names())

    def exist(self) -> bool:
        """Tell whether these tables are there, the log in its present form and under its present name. Reads only."""
        return self.history.is_present() and self.log.is_present()

    def create(self) -> None:
        """Make these tables where they are missing, and bring an older log to its present form and name."""
        self.history.create()
        self.log.create()

    def brought(self) -> Mapping[int, Schema] | None:
        """Give the schema after each version, where the migrations bring that along. Reads only."""
        return self.project.brought(self.engine.NAME)

    def notices(self, applied: Sequence[Migration], *, ask: bool = False) -> tuple[str, ...]:
        """Say what a person should know of a database where these are applied. Reads only.

        With `ask`, the migrations' own `notices(db)` are asked, which runs their Python.
        """
        if not applied:
            return ()
        said = self.project.notices(self.database)
        if not ask:
            return tuple(said)
        from usage_store.migrate.record.asked_notices import asked  # noqa: PLC0415  it loads migrations

        # The migrations of a project may say the same themselves.
        return tuple(dict.fromkeys((*said, *asked(self.database, applied))))

    def stamp(self, migrations: Sequence[Migration], applied: Collection[int] = (), ddl: str | None = None) -> None:
        """Record migrations that were not run, and log them as their files and the schema are now.

        Those whose versions are `applied` are in the history already. `ddl` is what is known of the schema by other
        means.
        """
        self.create()
        fingerprint = self.engine.Fingerprint(self.database).read()
        for migration in migrations:
            if migration.version not in applied:
                self.history.record(migration)
            self.log.append(migration, "stamp", 0.0, migration.read(), fingerprint, ddl)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record what the block changes of the schema, besides migrations, in a transaction that is open."""
        from usage_store.migrate.record.recorded_ddl import as_text  # noqa: PLC0415  only for what writes

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
        """Be the only run on this history, the connection set up for it."""
        return self.engine.migrating.alone(self.database, self.history.table_name, wait, on_wait)
