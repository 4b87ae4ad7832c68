"""Read the source of a migration that the log has stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.errors import HistoryError, MissingMigration
from usage_store.migrate.files.migration import alike
from usage_store.migrate.record.source_text import checksum, inflated

if TYPE_CHECKING:
    from usage_store.migrate.files.migration import Migration
    from usage_store.migrate.record.log_table import Log


def stored_source(log: Log, migration: Migration) -> bytes | None:
    """Return the source that was logged by the last "up" or "stamp" of a migration, or None. Reads only.

    Raises HistoryError if the source does not match its checksum. The checksum detects damage. It does not prove who
    wrote the source: everybody who can write to the database can write a source and its checksum into the log.
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
    """Return the source of a migration whose file is missing. Reads only. Raises MissingMigration if none is logged."""
    source = stored_source(log, migration)
    if source is None:
        raise MissingMigration(
            f"{migration} was applied, its file is gone, and {log.table_name} has no source of it; "
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
        raise HistoryError(f"{line}, is damaged: its source does not match its checksum; delete it")
    return source
