"""Bring a database and the usage models together."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from usage_store.engines import engine_of, inner, open_database, unwrap
from usage_store.engines.interface.paths_and_urls import default_target
from usage_store.errors import ConfigurationError, SchemaDrift
from usage_store.maintenance_after_inserts import Upkeep
from usage_store.migrate import MigrationRunner
from usage_store.migrate.files.load_file import Loader
from usage_store.models import MODELS, UsageConfig, UsageSnapshot
from usage_store.models.fields.retention_limits import checked_goals
from usage_store.models.storage_interface import storage_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    import peewee

__all__ = ["bound_database", "init_database", "link_events"]


def init_database(
    database: str | os.PathLike[str] | peewee.Database | peewee.DatabaseProxy | None = None,
    *,
    timeout: float = 5,
    wait: float = 30,
    retention_days: float | None = None,
    max_bytes: int | None = None,
    mode: int | None = None,
    follow_events: bool = True,
) -> peewee.Database | peewee.DatabaseProxy:
    """Open or adopt a database, bind the usage models to it, run pending migrations, and give it back.

    A path or `sqlite:///` URL is opened, made if missing, with WAL, foreign keys on and synchronous NORMAL; None is
    `$USAGE_STORE_DATABASE`, else `usage.db` in the current folder. It comes back closed, and connects when it is used
    (one in memory stays open). `mode` (0o600) are the permissions of a file that is made now, and of what is made
    beside it later; one that is there keeps its own. A Peewee Database or DatabaseProxy is adopted as it is: its
    settings stay, and it is closed again if it was closed and is not in memory. A proxy that is not initialised yet is
    bound now and migrated when it is. `timeout` is how many seconds a statement waits for a lock, `wait` how many a
    migration waits for another one. With `retention_days` or `max_bytes`, what `maintain()` does for these is done
    after inserts, a transaction of about 10 ms at a time. A host's `events` table is followed: the triggers on it are
    made again where they are missing or on another table. With `follow_events=False` this call makes none, and removes
    none that were there before. Raises UsageStoreError.
    """
    checked_goals(retention_days, max_bytes, None)  # before anything is touched
    if database is None or isinstance(database, (str, os.PathLike)):
        database = open_database(default_target() if database is None else database, timeout=timeout, mode=mode)
        keep_open = False
        try:
            _migrate(database, wait, follow_events=follow_events)
            keep_open = engine_of(database).is_in_memory(database)
        finally:
            if not keep_open:
                database.close()
    elif mode is not None:
        raise ConfigurationError("mode is for a file that init_database() makes itself; give it a path")
    elif getattr(database, "obj", True) is None:  # a DatabaseProxy
        _when_initialised(database, lambda inner: _migrate(inner, wait, follow_events=follow_events))
    else:
        _migrate(database, wait, follow_events=follow_events)
    _bind(database)
    asked = retention_days is not None or max_bytes is not None
    UsageSnapshot.upkeep = staticmethod(Upkeep(database, retention_days, max_bytes)) if asked else None
    return database


def bound_database() -> peewee.Database:
    """Give the database that the usage models are bound to, or raise ConfigurationError."""
    bound: peewee.Database = unwrap(UsageConfig._db())  # noqa: SLF001  a model of ours
    return bound


def link_events() -> None:
    """Follow a host's `events` table that was made after the usage tables: register its sessions, now and in future.

    Harmless when they are followed already. Raises ConfigurationError without an `events` table that has a
    `session_id`.
    """
    database = bound_database()
    recording = MigrationRunner(database).records.recording
    storage_of(database).follow_events.link(database, event_triggers, recording)


def event_triggers(database: peewee.Database) -> ModuleType:
    """Load the newest migration that makes the triggers on `events`: what they are stands there, and nowhere else."""
    files = MigrationRunner(database).records.files()
    return Loader().module(next(file for file in reversed(files) if b"def event_triggers(" in file.read()))


def _bind(database: peewee.Database | peewee.DatabaseProxy) -> None:
    _when_initialised(database, _prepare)
    if getattr(database, "obj", database) is not None:
        _prepare(inner(database))
    for model in MODELS:
        model.bind(database, bind_refs=False, bind_backrefs=False)  # the host's models that refer to ours stay


def _when_initialised(
    database: peewee.Database | peewee.DatabaseProxy, call: Callable[[peewee.Database], None]
) -> None:
    if hasattr(database, "attach_callback"):  # a DatabaseProxy
        database.attach_callback(lambda inner: None if inner is None else call(inner))


def _prepare(database: peewee.Database) -> None:
    storage_of(database).prepare(database)


def _migrate(database: peewee.Database | peewee.DatabaseProxy, wait: float, *, follow_events: bool) -> None:
    runner = MigrationRunner(database, wait=wait)
    found = runner.database
    with runner.connected():
        events = storage_of(found).follow_events
        were_there = not follow_events and events.made(found)
        ran = runner.migrate()
        missing = {model._meta.table_name for model in MODELS}.difference(found.get_tables())
        if missing:
            raise SchemaDrift(
                f"the history says that the usage tables are there, but {', '.join(sorted(missing))} is missing; "
                "`python -m usage_store.migrate validate` says what else differs"
            )
        if follow_events:
            events.follow(found, event_triggers, runner.records.recording)
            if ran:
                events.register(found, event_triggers)  # those of kinds that migration 001 does not know
        elif ran and not were_there:
            events.unfollow(found, runner.records.recording)  # migration 001 made them
