"""Refuse to make the usage tables in the database of another program, unless somebody asks for that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.engines import engine_of
from usage_store.errors import ConfigurationError
from usage_store.errors.rejected_input import listed
from usage_store.migrate import MigrationRunner
from usage_store.migrate.record.find_log import is_history, is_log

if TYPE_CHECKING:
    import peewee

USAGE_TABLES = frozenset(
    (
        "usage_config",
        "usage_sessions",
        "usage_sessions_ended",
        "usage_snapshots",
        "usage_snapshot_blocks",
        "usage_store_state",
    )
)


def refuse_strangers(database: peewee.Database, name: str) -> None:
    """Raise ConfigurationError if a connected database has tables of other programs, and no usage tables. Reads only.

    Its views count if it has no tables. A database with a table `events` that has a column `session_id` is one for the
    usage tables. `name` is the name of the database in the message.
    """
    kind, others = "tables", tables_of_others(database)
    if not others:
        kind, others = "views", [view.name for view in database.get_views()]
    known = {table.lower() for table in engine_of(database).own_tables(database)}
    if not others or USAGE_TABLES & known or _has_events(database) or MigrationRunner(database).current_version():
        return
    raise ConfigurationError(
        f"{name}: this database has {kind} of another program ({listed(others)}) and no usage tables; nothing was "
        'changed; for your own migrations, name their folder with --directory DIR, or by directory = "DIR" in '
        "[tool.usage_store] of pyproject.toml; to have the usage tables in this database too, add --usage-tables; or "
        "name another database with --database"
    )


def tables_of_others(database: peewee.Database) -> list[str]:
    """List the tables that are neither usage tables nor histories and logs of migrations. Reads only."""
    tables = [name for name in engine_of(database).own_tables(database) if name.lower() not in USAGE_TABLES]
    return [name for name in tables if not (is_history(database, name) or is_log(database, name))]


def _has_events(database: peewee.Database) -> bool:
    kind = engine_of(database).kind_of(database, "events")
    return kind == "table" and "session_id" in {column.name.lower() for column in database.get_columns("events")}
