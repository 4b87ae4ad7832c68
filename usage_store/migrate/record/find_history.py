"""Find the table that holds a project's history, beside the histories of others."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from usage_store.engines import engine_of
from usage_store.errors import ConfigurationError
from usage_store.migrate.files.find_files import numbered
from usage_store.migrate.record.source_text import checksum, same_meaning

if TYPE_CHECKING:
    from collections.abc import Sequence

    import peewee

    from usage_store.migrate.files.migration import Migration
    from usage_store.migrate.files.migrations_folder import Project

_HISTORY = {"version", "name", "applied_at"}
_LOG = {"id", "version", "name", "action", "checksum", "source"}


def history_table(database: peewee.Database, project: Project, files: Sequence[Migration] | None = None) -> str:
    """Name the table that holds a project's history, or is to hold it. Reads only.

    A table is a project's if it holds one of its migrations, by version and name; `files` are those of its directory,
    if they are known already. Raises ConfigurationError where that may as well be the history of another directory: no
    text in its log is this one's, or no row is and its name is the one that is left.
    """
    if len(project.tables) == 1:
        return project.tables[0]
    common, own = project.tables
    files = numbered(project.directory, engine_of(database).NAME) if files is None else files
    histories: list[str] = []
    doubtful: dict[str, Migration] = {}
    for table in project.tables:
        if _is_history(database, table):
            histories.append(table)
            for file in reversed(files):  # the newest is the last in the log, and so the first to be found there
                if _holds(database, table, file):
                    if project.takes_common or _has_its_text(database, table, file):
                        return table
                    doubtful.setdefault(table, file)
    if doubtful:
        raise ConfigurationError(_doubt(project, *doubtful.popitem()))
    if common in histories and not _is_empty(database, common) and project.is_known(database):
        return common
    if own in histories:
        _require_empty(database, own, project)
        return own
    return (
        _under_another_name(database, files)
        or (common if project.takes_common and taken_name(database, project) is None else None)
        or own
    )


def _doubt(project: Project, table: str, file: Migration) -> str:
    other = project.tables[1] if project.tables[1] != table else "NAME"
    return (
        f"{table} has {file}, but with another text than in {project.directory}; if the file was edited, say so with "
        f"--table {table}; if that is the history of another directory, give this one its own with --table {other}"
    )


def log_name(history_table: str) -> str:
    """Name the log of a history table: `schema_migrations` is logged in `schema_migration_log`."""
    return f"{history_table.removesuffix('s')}_log"


def taken_name(database: peewee.Database, project: Project) -> str | None:
    """Give the name that a project would have taken, where it is another program's. Reads only."""
    common = project.tables[0]
    if not project.takes_common or engine_of(database).kind_of(database, common) is None:
        return None
    return None if _is_history(database, common) and _is_empty(database, common) else common


def _is_history(database: peewee.Database, table: str) -> bool:
    # A view has columns, too.
    return _has(database, table, _HISTORY) and engine_of(database).kind_of(database, table) == "table"


def is_record(database: peewee.Database, table: str) -> bool:
    """Tell whether a table looks like a history or its log, of any migrations. Reads only."""
    return _is_history(database, table) or _has(database, table, _LOG)


def _has(database: peewee.Database, table: str, columns: set[str]) -> bool:
    return columns <= {column.name.lower() for column in database.get_columns(table)}


def _is_empty(database: peewee.Database, table: str) -> bool:
    return database.execute_sql(f'SELECT 1 FROM "{table}" LIMIT 1').fetchone() is None  # noqa: S608


def _require_empty(database: peewee.Database, table: str, project: Project) -> None:
    version, name = map(engine_of(database).ANY_VALUE.format, ("version", "name"))
    sql = f'SELECT {version}, {name} FROM "{table}" LIMIT 1'  # noqa: S608
    row = database.execute_sql(sql).fetchone()
    if row is not None:
        version, name = (bytes(value or b"").decode(errors="replace") for value in row)
        raise ConfigurationError(
            f"{table} is the history of other migrations: it has version {version}, {name!r}, and none of those in "
            f"{project.directory}; give this directory a history of its own with --table NAME, or restore its files"
        )


def _holds(database: peewee.Database, table: str, file: Migration) -> bool:
    sql = f'SELECT 1 FROM "{table}" WHERE version = {database.param} AND name = {database.param}'  # noqa: S608
    return database.execute_sql(sql, (file.version, file.name)).fetchone() is not None


def _has_its_text(database: peewee.Database, table: str, file: Migration, *, without_log: bool = True) -> bool:
    """Tell whether the log has a file's text, comments and layout aside; `without_log` is the answer if it has none."""
    log = log_name(table)
    if not _has(database, log, _LOG):
        return without_log
    sql = (
        f'SELECT checksum, source FROM "{log}" WHERE version = {database.param} AND name = {database.param} '  # noqa: S608
        "AND action <> 'down' ORDER BY id DESC LIMIT 1"
    )
    row = database.execute_sql(sql, (file.version, file.name)).fetchone()
    if row is None:
        return without_log
    noted, source = row
    text = file.read()
    if noted == checksum(text):
        return True
    try:
        return same_meaning(zlib.decompress(source).decode(), text.decode())
    except (TypeError, ValueError, zlib.error):
        return False


def _under_another_name(database: peewee.Database, files: Sequence[Migration]) -> str | None:
    """Find the history that was kept with --table, or before the folder was renamed: its log has a file's text."""
    for table in engine_of(database).tables_with(database, "applied_at"):
        if table.isidentifier() and _is_history(database, table):
            for file in files:
                if _holds(database, table, file) and _has_its_text(database, table, file, without_log=False):
                    return table
    return None
