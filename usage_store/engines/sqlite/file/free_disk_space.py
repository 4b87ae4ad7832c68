"""The file of an open database, and the room on its disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from usage_store.engines.sqlite.connection.driver import main_file
from usage_store.errors import ConfigurationError, DatabaseUnreadable, NotEnoughDisk

if TYPE_CHECKING:
    import peewee


def size(database: peewee.SqliteDatabase) -> int:
    """Give a database's size in bytes, what is still in its -wal included. Reads only."""
    pages: int = database.pragma("page_count")
    return pages * int(database.page_size)


def check_disk(folder: Path, needed: int, purpose: str) -> None:
    """Raise NotEnoughDisk if a folder's disk has fewer than `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise NotEnoughDisk(f"{folder}: {purpose} needs {needed / 1e6:,.1f} MB of disk, and {free / 1e6:,.1f} are free")


def file_of(database: peewee.SqliteDatabase) -> Path:
    """Give the file of an open database; raise ConfigurationError for one in memory. Reads only."""
    return on_disk(Path(main_file(database) or ":memory:"))


def on_disk(file: Path) -> Path:
    """Give a file's absolute path, symbolic links followed.

    Raises ConfigurationError for `:memory:`, and DatabaseUnreadable for links that lead in a circle.
    """
    if str(file) == ":memory:":
        raise ConfigurationError("a database in memory has no file; name a database in a file")
    found = Path(os.path.realpath(file))
    if found.is_symlink():
        raise DatabaseUnreadable(f"{file}: its symbolic links lead in a circle")
    return found


def reserve(path: Path, mode: int) -> None:
    """Create an empty file with these permissions, writable for its owner in any case: it has to be filled.

    Raises FileExistsError rather than take one that is there.
    """
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    path.chmod(mode | 0o200)


def sync(path: Path) -> None:
    """Have the disk keep a file's content, or a folder's names, now. Windows syncs no folders."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
