"""Bring the usage tables of a database up to date, or refuse a database whose tables are not."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from usage_store.engines import connected, engine_of, is_on_a_server, name_of
from usage_store.errors import ConfigurationError, MigrationsPending, SchemaDrift
from usage_store.migrate import MigrationRunner
from usage_store.migrate.files.load_file import Loader
from usage_store.models import MODELS
from usage_store.models.storage_interface import storage_of

if TYPE_CHECKING:
    from types import ModuleType

    import peewee


def migrate(database: peewee.Database | peewee.DatabaseProxy, wait: float, *, follow_events: bool) -> None:
    """Run the pending migrations. With `follow_events`, follow a host's `events` table, too. Raises UsageStoreError.

    A closed database is closed again at the end, unless it is in memory.
    """
    runner = MigrationRunner(database, wait=wait)
    found = runner.database
    with connected(found):
        events = storage_of(found).follow_events
        were_there = not follow_events and events.made(found)
        ran = runner.migrate()
        _require_tables(found)
        if follow_events:
            events.follow(found, event_triggers, runner.records.recording)
            if ran:
                events.register(found, event_triggers)  # also session ids that migration 001 does not register
        elif ran and not were_there:
            events.unfollow(found, runner.records.recording)  # migration 001 has just created the triggers


def refuse_pending(database: peewee.Database) -> None:
    """Raise MigrationsPending, or the first problem of the history, unless all migrations are applied. Reads only."""
    with connected(database):
        if engine_of(database).is_in_memory(database):
            raise ConfigurationError("a database in memory is empty, so there is nothing to read; name a file")
        status = MigrationRunner(database).status()
        for problem in status.problems:
            raise problem
        if status.pending_count:
            path = name_of(database)
            if not is_on_a_server(database):
                path = os.path.abspath(path)  # noqa: PTH100  a name that is not UTF-8 stays as it is
            raise MigrationsPending(
                f"{path}: {status.pending_count} of {status.latest_version} migrations are pending, and this database "
                f"was opened for reading only; `usage-store migrate --database {shlex.quote(path)} --usage-tables` "
                "runs them"
            )
        _require_tables(database)


def event_triggers(database: peewee.Database) -> ModuleType:
    """Load the newest migration that creates the triggers on `events`. Only that file defines their SQL."""
    files = MigrationRunner(database).records.files()
    return Loader().module(next(file for file in reversed(files) if b"def event_triggers(" in file.read()))


def _require_tables(database: peewee.Database) -> None:
    missing = {model._meta.table_name for model in MODELS}.difference(database.get_tables())
    if missing:
        raise SchemaDrift(
            f"the history says that the usage tables are there, but {', '.join(sorted(missing))} is missing; "
            "`usage-store migrate validate --usage-tables` says what else differs"
        )
