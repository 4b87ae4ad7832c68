"""Replace a database, which others may have open, by a backup."""

from __future__ import annotations

import logging
import os
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import peewee

from usage_store.engines.interface.paths_and_urls import checked_mode
from usage_store.engines.sqlite.connection.driver import sqlite3
from usage_store.engines.sqlite.connection.error_messages import is_damage, readable_errors
from usage_store.engines.sqlite.connection.open_file import file_name, open_database
from usage_store.engines.sqlite.connection.path_and_inode import permissions
from usage_store.engines.sqlite.copies.back_up import stamped, take
from usage_store.engines.sqlite.copies.copy_database import copy
from usage_store.engines.sqlite.file.free_disk_space import check_disk, on_disk, reserve, size
from usage_store.engines.sqlite.file.integrity_checks import first_damage
from usage_store.engines.sqlite.migrating.migration_lock import exclusive
from usage_store.errors import ConfigurationError, CorruptDatabase, DatabaseLocked, DatabaseUnreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

logger = logging.getLogger("usage_store.migrate")

_FULL = 2  # PRAGMA synchronous: COMMIT returns after the data is on the disk


def restore(
    target: str | os.PathLike[str],
    backup: Path,
    *,
    version: int = 0,
    wait: float = 30,
    mode: int | None = None,
    on_wait: Callable[[str], None] = logger.info,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path | None:
    """Replace the database at a path or URL by a backup, and return the path of the copy of the replaced database.

    The backup is checked first. The replacement is one transaction, and it is on the disk when this function returns.
    For it, the database is switched to WAL mode. Other connections stay open and see the old state until their next
    transaction. After a crash, the database has either the old state or the new one.

    The replaced database is kept: it is copied as in `back_up()`, named by `version`, while its write lock is held, so
    no commit is lost. If it fails quick_check, its copy is named `.damaged`. If it is too damaged to be opened, its
    files are moved to that name. If there was no database, the result is None, and the new file gets the permissions
    `mode` (default: those of the backup). `on_progress` gets the pages copied and the pages in all.

    Waits up to `wait` seconds for the migration lock and for writers, then raises DatabaseLocked. Raises InvalidValue
    for a wrong `mode`, DatabaseUnreadable or CorruptDatabase for a wrong or damaged backup, and NotEnoughDisk. Raises
    ConfigurationError for a database in memory, for a backup that is the database itself, and for another page size.
    After an error, the content of the database is unchanged.
    """
    checked_mode(mode)
    file, backup = on_disk(Path(file_name(os.fspath(target)))), on_disk(backup)
    if not backup.is_file():
        raise DatabaseUnreadable(f"{backup}: no such backup")
    if file.exists() or mode is None:
        mode = permissions(file if file.exists() else backup)
    with _checked(backup, file) as source, exclusive(str(file), wait, on_wait, mode=mode):
        moved = _move_if_damaged(file, version)
        if not file.exists():
            reserve(file, mode)
        with readable_errors(str(file)), _opened(file, wait) as live:
            _check_disk_space(file, source, live)
            follow = _Follow(live, file, version, wait, on_wait, on_progress)
            follow.keeping = live.pragma("page_count") > 0
            live.pragma("busy_timeout", 0)  # this function waits between the steps, so that Ctrl-C works
            live.pragma("synchronous", _FULL)
            copy(source, live, follow.step)
            live.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)")  # as far as open readers allow it
    return moved or follow.kept


@contextmanager
def _checked(backup: Path, file: Path) -> Iterator[peewee.SqliteDatabase]:
    """Open a backup for reading, if it is an undamaged database with at least one table."""
    if backup == file:
        raise ConfigurationError(f"{backup}: this is the database itself; name one of its backups instead")
    with closing(open_database(backup, readonly=True)) as source:
        if not source.get_tables():
            raise DatabaseUnreadable(f"{backup}: a database without tables, so it is no backup; choose another file")
        found = first_damage(source)
        if found:
            raise CorruptDatabase(f"{backup}: corrupt ({found}), so nothing was restored; choose another backup")
        yield source


def _move_if_damaged(file: Path, version: int) -> Path | None:
    if not file.exists():
        return None
    try:
        open_database(file, readonly=True).close()
    except DatabaseUnreadable as error:
        if not is_damage(error.__cause__):
            raise
    else:
        return None
    damaged = stamped(file, version, "damaged", file.parent)
    # Move all its files, or SQLite would apply the old -wal or -journal to the new database. The database moves last.
    for suffix in ("-wal", "-shm", "-journal", ""):
        part = Path(f"{file}{suffix}")
        if part.exists():
            part.rename(f"{damaged}{suffix}")
    return damaged


@contextmanager
def _opened(file: Path, wait: float) -> Iterator[peewee.SqliteDatabase]:
    if file.stat().st_size:
        live: peewee.SqliteDatabase = open_database(file, timeout=wait)
    else:
        live = peewee.SqliteDatabase(str(file), timeout=wait)  # it is not in WAL mode yet, so any page size fits
    with closing(live):
        yield live


def _check_disk_space(file: Path, source: peewee.SqliteDatabase, live: peewee.SqliteDatabase) -> None:
    old, new = size(live), size(source)
    if old and source.page_size != live.page_size:
        raise ConfigurationError(
            f"the page size of the backup is {source.page_size} bytes, the database's is {live.page_size}; SQLite "
            f"cannot change it in WAL mode; stop what uses {file.name}, move it and its -wal away, and restore again"
        )
    # Space for the copy of the old database, for the new one in the -wal, and for the growth of the file.
    check_disk(file.parent, old + new + max(0, new - old), "a restore")


class _Follow:
    """Follow the steps of a copy: wait for writers, keep the old database, and report the progress."""

    def __init__(
        self,
        live: peewee.SqliteDatabase,
        file: Path,
        version: int,
        wait: float,
        on_wait: Callable[[str], None],
        on_progress: Callable[[int, int], None] | None,
    ) -> None:
        self.live = live
        self.file = file
        self.version = version
        self.wait = wait
        self.on_wait: Callable[[str], None] | None = on_wait
        self.on_progress = on_progress
        self.keeping = False
        self.kept: Path | None = None
        self._deadline = time.monotonic() + wait

    def step(self, status: int, remaining: int, pages: int) -> None:
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            self._wait()
            return
        if status not in (sqlite3.SQLITE_OK, sqlite3.SQLITE_DONE):
            return  # the copy raises this error itself
        if self.keeping and self.kept is None:
            # This step took the write lock and has committed nothing, so a new connection reads the last old state.
            self.kept = take(self.live, self.version, self.file.parent, damaged=True)
        if self.on_progress is not None:
            self.on_progress(pages - remaining, pages)

    def _wait(self) -> None:
        if time.monotonic() >= self._deadline:
            raise DatabaseLocked(
                f"{self.file}: another process is writing; waited {self.wait:g} s, nothing was restored"
            )
        if self.on_wait is not None:
            self.on_wait(f"another process is writing to this database; waiting up to {self.wait:g} s")
            self.on_wait = None
