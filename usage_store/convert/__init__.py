"""Convert a database of the original TypeScript monitor to the schema of this package.

The command is `usage-store convert`.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import peewee

from usage_store.errors import ConfigurationError, MigrationError, SchemaDrift
from usage_store.migrate import MigrationRunner
from usage_store.migrate.files.load_file import Loader
from usage_store.models.storage_interface import storage_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from usage_store.migrate import Migration


@dataclass(frozen=True, slots=True)
class Converted:
    """How many configurations and snapshots were converted, and how many sessions were registered."""

    configurations: int
    snapshots: int
    sessions: int


def convert_original(database: peewee.Database, *, wait: float = 30) -> Converted | None:
    """Rebuild the tables of the original monitor as version 1 of this package. Every row and every id is kept.

    Milliseconds are converted to seconds. Every session with snapshots or events is registered. The row of the history
    table gets the name of this package's version 1. All of this is one transaction. Returns None, and changes nothing,
    if the tables are converted already. `wait` is how many seconds to wait for the lock of another process.

    If an error is raised, nothing was changed. Raises ConfigurationError if the database is not one of the original
    monitor at version 1, or if a table has columns, indexes or triggers that would be lost; SchemaDrift if a row breaks
    a rule of the new tables; and MigrationError if rows would refer to missing rows.
    """
    runner = MigrationRunner(database, wait=wait)
    first = runner.records.files()[0]
    with (
        runner.connected(),
        _one_line_for_rows(),
        runner.records.alone(runner.wait, runner.on_wait),
        runner.records.engine.write_transaction(runner.database),
    ):
        return _convert(runner, first) if _is_original(runner) else None


@contextmanager
def _one_line_for_rows() -> Iterator[None]:
    try:
        yield
    except peewee.IntegrityError as error:
        raise SchemaDrift(f"a row breaks a rule of this schema ({error}); correct or delete it first") from error


def _is_original(runner: MigrationRunner) -> bool:
    applied = runner.history.applied()
    if not applied:
        raise ConfigurationError(
            "no migration was applied to this database, so there is nothing to convert; run "
            "`usage-store migrate --usage-tables` instead"
        )
    tables = set(runner.database.get_tables())
    if "usage_sessions" in tables:
        return False
    if [row.version for row in applied] != [1] or not tables.issuperset(("usage_config", "usage_snapshots")):
        raise ConfigurationError("this is not a database of the original monitor at version 1")
    storage_of(runner.database).typescript_tables.refuse_losses(runner.database)
    return True


def _convert(runner: MigrationRunner, first: Migration) -> Converted:
    database, engine = runner.database, runner.records.engine
    original = storage_of(database).typescript_tables
    violated = engine.violations(database)
    marks = original.set_aside(database)
    with Loader() as loader:
        loader.module(first).up(None, database)
    converted = Converted(*original.bring_back(database, marks))
    original.mend_history(database, runner.history.table_name, first.name)
    runner.records.stamp([first], {first.version})
    if engine.violations(database) - violated:
        raise MigrationError("rows would refer to rows that do not exist; nothing was changed")
    return converted
