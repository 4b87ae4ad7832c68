"""Bring a database and the usage models together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import peewee

from usage_store import blocks
from usage_store.connection import default_target, open_database, unwrap
from usage_store.errors import ConfigurationError, SchemaDrift
from usage_store.goals import checked_goals
from usage_store.migrate import MigrationRunner, registry
from usage_store.models import MODELS, UsageConfig, UsageSnapshot
from usage_store.upkeep import Upkeep

if TYPE_CHECKING:
    import os

__all__ = ["bound_database", "init_database", "link_events", "register_functions"]


def init_database(
    database: str | os.PathLike[str] | peewee.Database | peewee.DatabaseProxy | None = None,
    *,
    timeout: float = 5,
    wait: float = 30,
    retention_days: float | None = None,
    max_bytes: int | None = None,
) -> peewee.Database | peewee.DatabaseProxy:
    """Open or adopt a database, bind the usage models to it, run pending migrations, and give it back.

    A path or `sqlite:///` URL is opened, made if missing, with WAL, foreign keys on and synchronous NORMAL; None is
    `$USAGE_STORE_DATABASE`, else `usage.db` in the current folder. A Peewee Database or DatabaseProxy is adopted as it
    is: its settings stay, and it is closed again if it was closed. A proxy that is not initialised yet is bound now
    and migrated when it is. `timeout` is how many seconds a statement waits for a lock, `wait` how many a migration
    waits for another one. With `retention_days` or `max_bytes`, what `maintain()` does for these is done after inserts,
    a transaction of about 10 ms at a time. Raises UsageStoreError.
    """
    checked_goals(retention_days, max_bytes, None)  # before anything is touched
    if isinstance(database, peewee.DatabaseProxy) and database.obj is None:
        database.attach_callback(lambda inner: _migrate(inner, wait) if inner is not None else None)
    else:
        ours = not isinstance(database, (peewee.Database, peewee.DatabaseProxy))
        if not isinstance(database, (peewee.Database, peewee.DatabaseProxy)):
            database = open_database(default_target() if database is None else database, timeout=timeout)
        try:
            _migrate(database, wait)
        except BaseException:
            if ours:
                database.close()
            raise
    _bind(database)
    asked = retention_days is not None or max_bytes is not None
    UsageSnapshot.upkeep = staticmethod(Upkeep(database, retention_days, max_bytes)) if asked else None
    return database


def bound_database() -> peewee.Database:
    """Give the database that the usage models are bound to, or raise ConfigurationError."""
    database: peewee.Database | peewee.DatabaseProxy | None = UsageConfig._meta.database
    if database is None:
        raise ConfigurationError("the usage models have no database yet; call init_database() first")
    return unwrap(database)


def link_events() -> None:
    """Follow a host's `events` table that was made after the usage tables: register its sessions, now and in future.

    Harmless when they are followed already. Raises ConfigurationError without an `events` table that has a
    `session_id`.
    """
    database = bound_database()
    first = registry.discover(registry.default_directory())[0]
    migration = registry.load(first, "up")
    with database.atomic("IMMEDIATE"):
        if not migration.host_has_events(database):
            raise ConfigurationError("there is no events table with a session_id column to follow")
        migration.link_events(database)


def _bind(database: peewee.Database | peewee.DatabaseProxy) -> None:
    if isinstance(database, peewee.DatabaseProxy):
        database.attach_callback(register_functions)  # at once if it is initialised
    else:
        register_functions(database)
    for model in MODELS:
        model.bind(database, bind_refs=False, bind_backrefs=False)  # the host's models that refer to ours stay


def register_functions(database: peewee.Database | None) -> None:
    """Give every connection of a SQLite database the function `usage_json(snapshot_data)`."""
    if isinstance(database, peewee.SqliteDatabase):
        database.register_function(lambda stored: blocks.text(database.connection(), stored), "usage_json", 1)


def _migrate(database: peewee.Database | peewee.DatabaseProxy, wait: float) -> None:
    runner = MigrationRunner(database, wait=wait)
    runner.migrate()
    with runner.connected():
        missing = {model._meta.table_name for model in MODELS}.difference(runner.database.get_tables())
    if missing:
        raise SchemaDrift(
            f"the history says that the usage tables are there, but {', '.join(sorted(missing))} is missing; "
            "`python -m usage_store.migrate validate` says what else differs"
        )
