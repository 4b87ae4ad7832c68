"""The storage layer of a usage monitor for coding agents, as a Peewee package.

Public are the names of `usage_store`, `usage_store.errors`, `usage_store.migrate` and `usage_store.testing`, and the
pytest fixtures of `usage_store.pytest_plugin`. All other modules may change in any release.

Before version 1.0, a release may also change public names, arguments and messages. CHANGELOG.md then says what changed
and what to write instead. A database of an earlier release can always be migrated to the newest version, because the
migrations of the usage tables are never edited.
"""

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
    from usage_store.database import close_database, init_database, link_events, opened
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
    "close_database",
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
    "opened",
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
    # Each name is imported at its first use: the command line needs only the migrations, and starts in half the time.
    if name == "errors":
        return importlib.import_module("usage_store.errors")
    for home in _HOMES if name in __all__ else ():
        module = importlib.import_module(home)
        if hasattr(module, name):
            return globals().setdefault(name, getattr(module, name))  # then Python finds the name itself
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
