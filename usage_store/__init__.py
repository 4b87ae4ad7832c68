"""The storage layer of a usage monitor for coding agents, as a Peewee package."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from usage_store._version import __version__

if TYPE_CHECKING:
    from usage_store import errors
    from usage_store.api import (
        Maintained,
        delete_old_usage_snapshots,
        get_migration_runner,
        get_migration_status,
        get_session_sizes,
        get_usage_config,
        get_usage_snapshots,
        get_usage_snapshots_by_session,
        insert_usage_snapshot,
        insert_usage_snapshots,
        maintain,
        register_session,
        register_sessions,
        remove_sessions,
        reset_usage_config,
        rollback_migrations,
        run_migrations,
        update_usage_config,
        validate_database,
    )
    from usage_store.database import init_database, link_events
    from usage_store.migrate import Migration, MigrationRunner, MigrationStatus
    from usage_store.models import SessionSize, SnapshotRow, UsageConfig, UsageSession, UsageSnapshot
    from usage_store.models.sqlite.rows.sql_functions import register_usage_json

__all__ = [
    "Maintained",
    "Migration",
    "MigrationRunner",
    "MigrationStatus",
    "SessionSize",
    "SnapshotRow",
    "UsageConfig",
    "UsageSession",
    "UsageSnapshot",
    "__version__",
    "delete_old_usage_snapshots",
    "errors",
    "get_migration_runner",
    "get_migration_status",
    "get_session_sizes",
    "get_usage_config",
    "get_usage_snapshots",
    "get_usage_snapshots_by_session",
    "init_database",
    "insert_usage_snapshot",
    "insert_usage_snapshots",
    "link_events",
    "maintain",
    "register_session",
    "register_sessions",
    "register_usage_json",
    "remove_sessions",
    "reset_usage_config",
    "rollback_migrations",
    "run_migrations",
    "update_usage_config",
    "validate_database",
]

_HOMES = (
    "usage_store.api",
    "usage_store.database",
    "usage_store.models",
    "usage_store.migrate",
    "usage_store.models.sqlite.rows.sql_functions",
)


def __getattr__(name: str) -> Any:
    # Imported when asked for: the command line, which has only the migrations to run, starts in half the time.
    if name == "errors":
        return importlib.import_module("usage_store.errors")
    for home in _HOMES if name in __all__ else ():
        module = importlib.import_module(home)
        if hasattr(module, name):
            return globals().setdefault(name, getattr(module, name))  # so it is asked for once
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
