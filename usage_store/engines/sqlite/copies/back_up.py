"""Back up a SQLite file while others use it, list the backups, and remove the oldest ones."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import peewee

from usage_store.engines.sqlite.connection.driver import main_file
from usage_store.engines.sqlite.connection.open_file import open_database
from usage_store.engines.sqlite.connection.path_and_inode import permissions
from usage_store.engines.sqlite.copies.copy_database import copy_file
from usage_store.engines.sqlite.file.free_disk_space import file_of, on_disk, reserve, sync
from usage_store.engines.sqlite.file.list_tables import own_tables
from usage_store.engines.sqlite.migrating.migration_lock import exclusive
from usage_store.engines.sqlite.schema.sql_tokens import quoted
from usage_store.errors import ConfigurationError, DatabaseUnreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

_TIME = "%Y%m%dT%H%M%S.%fZ"
_NAME = r"\.v(?P<version>\d+)\.(?P<time>\d{8}T\d{6}\.\d{6}Z)\.backup"


@dataclass(frozen=True, slots=True)
class Backup:
    """A finished backup: its file, the version in its name, and when it was made (aware, UTC)."""

    path: Path
    version: int
    taken_at: datetime


def back_up(
    file: Path,
    version: int,
    *,
    directory: Path | None = None,
    keep: int = 5,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Copy a database in use to `<database>.v<version>.<UTC time>.backup`, and return that path.

    The copy is the last committed state, also while another connection is inside a transaction. It is written to
    `directory` (default: the database's folder) under a temporary name, with the database's permissions. It is checked
    (quick_check) and fsynced, and then gets its final name. After that, this database's oldest backups are removed, so
    that `keep` of them remain. Meanwhile others can read and write a database in WAL mode. A database in
    rollback-journal mode they can read, and their commits wait. `on_progress` gets the pages copied and the pages in
    all.

    Hold the migration lock (`exclusive`) during the call, because it removes unfinished copies of killed processes.
    Raises NotEnoughDisk, CorruptDatabase, DatabaseUnreadable, OSError, and ConfigurationError for a database in memory
    or a `keep` below 1.
    """
    file = on_disk(file)
    if not file.is_file():
        raise DatabaseUnreadable(f"{file}: no such database")
    with closing(open_database(file, readonly=True)) as database:
        return back_up_database(database, version, directory=directory, keep=keep, on_progress=on_progress)


def back_up_database(
    database: peewee.SqliteDatabase,
    version: int,
    *,
    directory: Path | None = None,
    keep: int = 5,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Back up an open database with its own driver, as `back_up()` does for a file.

    The connection may be inside a transaction that has written nothing yet. Then nobody can commit between the backup
    and the writes of the transaction.
    """
    if keep < 1:
        raise ConfigurationError(f"keep is {keep}; allowed: 1 or more")
    file = file_of(database)
    folder = directory or file.parent
    for stale, _ in _named(folder, re.escape(file.name) + _NAME + "-partial.*"):
        stale.unlink()
    path = take(database, version, folder, on_progress)
    # The new backup counts, too. It stays even if the clock was set back, so that its name looks like the oldest.
    others = [backup.path for backup in list_backups(file, folder) if backup.path != path]
    for surplus in others[: max(0, len(others) - (keep - 1))]:
        surplus.unlink()
    return path


def back_up_alone(
    database: peewee.SqliteDatabase,
    version: int,
    *,
    wait: float,
    on_wait: Callable[[str], None],
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Hold the migration lock and back up an open database like `back_up_database()`.

    Also raises DatabaseLocked.
    """
    with exclusive(str(file_of(database)), wait, on_wait):
        return back_up_database(database, version, on_progress=on_progress)


def back_up_rows(
    database: peewee.SqliteDatabase,
    version: int,
    *,
    ignore: Collection[str] = (),
    seeded: Collection[str] = (),
    on_progress: Callable[[int, int], None] | None = None,
) -> Path | None:
    """Back up an open database if it is a file and has rows, and return the path of the backup; otherwise None.

    Rows in tables of `ignore` do not count. In a table of `seeded`, a single row with only default values does not
    count. Otherwise like `back_up_database()`.
    """
    if not main_file(database):
        return None
    ignored, at_defaults = ({name.lower() for name in names} for names in (ignore, seeded))
    for table in own_tables(database):
        if table.lower() not in ignored and _has_rows(database, table):
            if table.lower() in at_defaults and _has_only_defaults(database, table):
                continue
            return back_up_database(database, version, on_progress=on_progress)
    return None


def _has_rows(database: peewee.SqliteDatabase, table: str) -> bool:
    try:
        return database.execute_sql(f"SELECT 1 FROM {quoted(table)} LIMIT 1").fetchone() is not None  # noqa: S608
    except peewee.OperationalError:  # a virtual table whose module or content is missing
        return True


def _has_only_defaults(database: peewee.SqliteDatabase, table: str) -> bool:
    """Return whether a table's only row equals one of INSERT ... DEFAULT VALUES, apart from values of functions."""
    columns = database.execute_sql(
        "SELECT name, dflt_value FROM pragma_table_xinfo(?) WHERE NOT pk AND hidden = 0", (table,)
    ).fetchall()
    # A default that is a function, such as the time, matches any value.
    same = [f"{quoted(name)} IS {value or 'NULL'}" for name, value in columns if not re.match(r"\w*\(", value or "")]
    sql = f"SELECT count(*) = 1 AND min({' AND '.join(same) or '1'}) FROM {quoted(table)}"  # noqa: S608
    return bool(database.execute_sql(sql).fetchone()[0])


def list_backups(file: Path, directory: Path | None = None) -> tuple[Backup, ...]:
    """List the finished backups of a database, oldest first. Reads only."""
    file = on_disk(file)
    found = _named(directory or file.parent, re.escape(file.name) + _NAME)
    backups = [
        Backup(path, int(match["version"]), datetime.strptime(match["time"], _TIME).replace(tzinfo=UTC))
        for path, match in found
    ]
    return tuple(sorted(backups, key=lambda backup: backup.taken_at))


def _named(folder: Path, pattern: str) -> list[tuple[Path, re.Match[str]]]:
    matches = ((path, re.fullmatch(pattern, path.name)) for path in folder.iterdir())
    return [(path, match) for path, match in matches if match]


def take(
    database: peewee.SqliteDatabase,
    version: int,
    folder: Path,
    on_progress: Callable[[int, int], None] | None = None,
    *,
    damaged: bool = False,
) -> Path:
    """Make one checked and fsynced copy of an open database. The final name appears when the copy is complete.

    With `damaged`, a copy that fails quick_check is kept under a name that ends in `.damaged`. Without it, such a copy
    raises CorruptDatabase.
    """
    file = file_of(database)
    while True:
        path = stamped(file, version, "backup", folder)
        partial = Path(f"{path}-partial")
        reserve(partial, permissions(file))  # this also reserves the final name, so two copies never get the same one
        if not path.exists():
            break
        partial.unlink()
    try:
        sound = copy_file(database, partial, on_progress, damaged=damaged)
        if not sound:
            path = path.with_suffix(".damaged")
        partial.rename(path)
        sync(folder)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return path


def stamped(file: Path, version: int, kind: str, folder: Path) -> Path:
    """Return the path of a copy: the database's name, the version, the time, and the kind of copy."""
    return folder / f"{file.name}.v{version}.{datetime.now(UTC).strftime(_TIME)}.{kind}"
