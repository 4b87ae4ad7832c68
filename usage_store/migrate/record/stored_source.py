"""The source that the log kept of a migration, to be read, compared or run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.errors import HistoryError, MissingMigration
from usage_store.migrate.files.migration import alike
from usage_store.migrate.record.source_text import checksum, inflated

if TYPE_CHECKING:
    from usage_store.migrate.files.migration import Migration
    from usage_store.migrate.record.log_table import Log


def stored_source(log: Log, migration: Migration) -> bytes | None:
    """Give the source of a migration as it was last applied or stamped, None if the log knows none. Reads only.

    Raises HistoryError if it is not the one that its checksum was made of. That proves damage and not origin: who can
    write to the database can write a source with its checksum into the log.
    """
    if not log.exists():
        return None
    database, table = log.database, log.table_name
    sql = f"SELECT id, name FROM \"{table}\" WHERE version = {database.param} AND action <> 'down' ORDER BY id DESC"  # noqa: S608
    for row_id, name in database.execute_sql(sql, (migration.version,)).fetchall():
        if isinstance(name, str) and alike(name, migration.name):
            sql = f'SELECT checksum, source FROM "{table}" WHERE id = {database.param}'  # noqa: S608
            line = f"{table}: the line with id {row_id}, of version {migration.version}"
            return _checked(line, *database.execute_sql(sql, (row_id,)).fetchone())
    return None


def required_source(log: Log, migration: Migration) -> bytes:
    """Give the source of a migration whose file is gone; MissingMigration if the log knows none. Reads only."""
    source = stored_source(log, migration)
    if source is None:
        raise MissingMigration(
            f"{migration} was applied, its file is gone and {log.table_name} has no source of it; "
            f"restore {migration.file_name}",
            version=migration.version,
        )
    return source


def _checked(line: str, noted: object, kept: object) -> bytes:
    try:
        source = inflated(kept)
    except ValueError as error:
        raise HistoryError(f"{line}, is damaged: {error}; delete it") from error
    if checksum(source) != noted:
        raise HistoryError(f"{line}, is damaged: its source is not the one that its checksum was made of; delete it")
    return source
