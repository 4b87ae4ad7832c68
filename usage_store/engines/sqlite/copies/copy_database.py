"""Copy a SQLite file as a whole while others use it. Backup, restore and rehearsal use this.

It is SQLite's online backup (sqlite.org/backup.html) inside one read transaction, so the copy is one state of the
database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import peewee

from usage_store.engines.sqlite.connection.driver import driver_errors, main_file
from usage_store.engines.sqlite.connection.error_messages import readable_errors
from usage_store.engines.sqlite.connection.second_connection import is_immutable, opened_like, second_connection
from usage_store.engines.sqlite.file.free_disk_space import check_disk, size, sync
from usage_store.engines.sqlite.file.integrity_checks import first_damage
from usage_store.errors import CorruptDatabase, DatabaseUnreadable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_CHUNK = 1024  # pages between two calls of on_progress


def copy(
    source: peewee.SqliteDatabase, destination: peewee.SqliteDatabase, on_step: Callable[[int, int, int], None]
) -> None:
    """Replace the content of one open database by that of another, in one transaction of the destination.

    `on_step` gets the result code of SQLite's last step, the remaining pages and the pages in all. While others lock
    the destination, the code is SQLITE_BUSY, and the copy tries again until `on_step` raises. If the source has two
    pages or more, `on_step` is called at least once while the destination is locked and nothing is committed. An error
    that `on_step` raises undoes everything.
    """
    with source.atomic():  # otherwise each commit of another process would restart the copy
        chunk = max(1, min(_CHUNK, source.pragma("page_count") // 2))
        try:
            source.connection().backup(destination.connection(), pages=chunk, progress=on_step, sleep=0.02)
        except driver_errors() as error:
            raise peewee.DatabaseError(error, *error.args) from error


def copy_file(
    database: peewee.SqliteDatabase,
    path: Path,
    on_progress: Callable[[int, int], None] | None = None,
    *,
    damaged: bool = False,
) -> bool:
    """Copy the committed state of an open database into an empty file, fsync it, and return whether quick_check passes.

    The database may be inside a transaction that has written nothing yet. The copy is in rollback-journal mode: it is
    one file, which can be read from read-only media, too. A copy of an encrypted database needs the same key.
    `on_progress` gets the pages copied and the pages in all. Raises NotEnoughDisk, DatabaseUnreadable, and, without
    `damaged`, CorruptDatabase.
    """
    file = main_file(database)
    if is_immutable(database):
        raise DatabaseUnreadable(
            f"{file}: this user may not write in its folder, so others could write to it during the copy; "
            "copy it as a user who may write there"
        )

    def step(_: int, remaining: int, pages: int) -> None:
        if on_progress is not None:
            on_progress(pages - remaining, pages)

    with readable_errors(file), second_connection(database) as source:
        check_disk(path.parent, size(source), "a copy of the database")
        # Nobody uses this file before it is complete, so it needs no journal and no fsync before the end.
        with (
            readable_errors(str(path)),
            opened_like(database, str(path), {"journal_mode": "off", "synchronous": 0}) as copied,
        ):
            copy(source, copied, step)
            copied.execute_sql("PRAGMA journal_mode = DELETE")
            found = first_damage(copied)
    if found and not damaged:
        raise CorruptDatabase(f"{file}: the database is corrupt ({found}), so its copy was discarded")
    sync(path)
    return found is None
