"""Check the server of an open database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    import peewee

MINIMUM_SERVER = 15


def check_version(database: peewee.PostgresqlDatabase) -> None:
    """Raise ConfigurationError if the server is older than PostgreSQL 15. Reads only."""
    version = int(database.execute_sql("SELECT current_setting('server_version_num')").fetchone()[0]) // 10_000
    if version < MINIMUM_SERVER:
        raise ConfigurationError(f"PostgreSQL {version} is too old: {MINIMUM_SERVER} or newer is needed")


def is_in_memory(database: peewee.PostgresqlDatabase) -> bool:  # noqa: ARG001  the interface's signature
    """Return False: a server keeps its databases."""
    return False
