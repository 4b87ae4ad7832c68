"""Find the history table of a project. The database may also have history tables of other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from usage_store.engines import engine_of
from usage_store.errors import ConfigurationError
from usage_store.migrate.files.find_files import numbered
from usage_store.migrate.record.find_log import find_log, is_history, once_of
from usage_store.migrate.record.source_text import checksum, harmless_edit, inflated

if TYPE_CHECKING:
    from collections.abc import Sequence

    import peewee

    from usage_store.migrate.files.migration import Migration
    from usage_store.migrate.files.migrations_folder import Project


def history_table(database: peewee.Database, project: Project, files: Sequence[Migration] | None = None) -> str:
    """Return the name of the project's history table, which may not exist yet. Reads only.

    A table belongs to the project if it records a migration with the version and the name of one of its files. `files`
    are the files of its directory, if the caller knows them. Raises ConfigurationError if the table may belong to
    another directory: if the log has another text for each file, or if the table has the project's own name and records
    none of its files.
    """
    if len(project.tables) == 1:
        return project.tables[0]
    common, own = project.tables
    files = numbered(project.directory, engine_of(database).NAME) if files is None else files
    histories: list[str] = []
    doubtful: dict[str, Migration] = {}
    for table in project.tables:
        if is_history(database, table):
            histories.append(table)
            for file in reversed(files):  # newest first, because its line is the last of the log and is found first
                if _holds(database, table, file):
                    if project.takes_common or _has_its_text(database, table, file):
                        return table
                    doubtful.setdefault(table, file)
    if doubtful:
        raise ConfigurationError(_doubt(project, *doubtful.popitem()))
    if common in histories and not _is_empty(database, common) and project.is_known(database):
        return common
    if own in histories:
        _require_empty(database, own, project, files)
        return own
    return (
        _under_another_name(database, files)
        or (common if project.takes_common and taken_name(database, project) is None else None)
        or own
    )


def _doubt(project: Project, table: str, file: Migration) -> str:
    other = project.tables[1] if project.tables[1] != table else "NAME"
    return (
        f"{table} records {file}, but its log has another text than {file.file_name} in {project.directory}; if that "
        f"file was edited, use --table {table}; if {table} is the history of another directory, use --table {other}"
    )


def taken_name(database: peewee.Database, project: Project) -> str | None:
    """Return the usual name of the history table if another program uses it, else None. Reads only."""
    common = project.tables[0]
    if not project.takes_common or engine_of(database).kind_of(database, common) is None:
        return None
    return None if is_history(database, common) and _is_empty(database, common) else common


def _is_empty(database: peewee.Database, table: str) -> bool:
    return database.execute_sql(f'SELECT 1 FROM "{table}" LIMIT 1').fetchone() is None  # noqa: S608


def _require_empty(database: peewee.Database, table: str, project: Project, files: Sequence[Migration]) -> None:
    if not files:  # the files of the applied migrations are missing
        return
    version, name = map(engine_of(database).ANY_VALUE.format, ("version", "name"))
    sql = f'SELECT {version}, {name} FROM "{table}" LIMIT 1'  # noqa: S608
    row = database.execute_sql(sql).fetchone()
    if row is not None:
        version, name = map(_readable, row)
        raise ConfigurationError(
            f"{table} is the history of other migrations: it records version {version}, {name!r}, and no migration of "
            f"{project.directory}; name another history table with --table NAME, or restore the missing files; if it "
            f"is the history of this directory, use --table {table}"
        )


def _readable(value: Any) -> str:
    """Return a value that was read as `ANY_VALUE` as text; bytes that are not UTF-8 become replacement characters."""
    return value if isinstance(value, str) else bytes(value or b"").decode(errors="replace")


def rows_of(table: str) -> str:
    """Return the SQL that reads a history table, lowest version first."""
    return f'SELECT version, name, applied_at FROM "{table}" ORDER BY version'  # noqa: S608


def _holds(database: peewee.Database, table: str, file: Migration) -> bool:
    once = once_of(database)
    if once is not None:
        return any((version, name) == (file.version, file.name) for version, name, _ in once.ask(rows_of(table)))
    sql = f'SELECT 1 FROM "{table}" WHERE version = {database.param} AND name = {database.param}'  # noqa: S608
    return database.execute_sql(sql, (file.version, file.name)).fetchone() is not None


def _has_its_text(database: peewee.Database, table: str, file: Migration, *, without_log: bool = True) -> bool:
    """Return whether the log has the text of a file, ignoring comments and layout.

    Returns `without_log` if there is no log, or if the log has no line for the file.
    """
    log = find_log(database, table)
    if log is None:
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
        return harmless_edit(inflated(source), text) is not None
    except ValueError:
        return False


def _under_another_name(database: peewee.Database, files: Sequence[Migration]) -> str | None:
    """Return another history table whose log has the text of a file, or None.

    It was named with --table, or by the folder before the folder was renamed.
    """
    for table in engine_of(database).tables_with(database, "applied_at"):
        if table.isidentifier() and is_history(database, table):
            for file in files:
                if _holds(database, table, file) and _has_its_text(database, table, file, without_log=False):
                    return table
    return None
