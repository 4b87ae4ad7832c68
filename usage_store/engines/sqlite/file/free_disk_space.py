"""Find the file of a database, check the free space on its disk, and create and sync files."""

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
    """Return the size of a database in bytes, including pages that are still in the -wal. Reads only."""
    pages: int = database.pragma("page_count")
    return pages * int(database.page_size)


def check_disk(folder: Path, needed: int, purpose: str) -> None:
    """Raise NotEnoughDisk if a folder's disk has less than `needed` bytes free. The message names `purpose`."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise NotEnoughDisk(f"{folder}: {purpose} needs {needed / 1e6:,.1f} MB of disk, and {free / 1e6:,.1f} are free")


def file_of(database: peewee.SqliteDatabase) -> Path:
    """Return the path of an open database's file. Raises ConfigurationError for a database in memory. Reads only."""
    return on_disk(Path(main_file(database) or ":memory:"))


def on_disk(file: Path) -> Path:
    """Return the absolute path of a file, with symbolic links resolved.

    Raises ConfigurationError for `:memory:`, and DatabaseUnreadable for symbolic links that form a circle.
    """
    if str(file) == ":memory:":
        raise ConfigurationError("a database in memory has no file; use a database in a file")
    found = Path(os.path.realpath(file))
    if found.is_symlink():
        raise DatabaseUnreadable(f"{file}: its symbolic links form a circle; repair the links")
    return found


def reserve(path: Path, mode: int) -> None:
    """Create an empty file with the permissions `mode`. Its owner may write in any case, so that it can be filled.

    Raises FileExistsError if the file already exists.
    """
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    path.chmod(mode | 0o200)


def sync(path: Path) -> None:
    """Write the content of a file, or the names in a folder, to the disk now (fsync). Windows cannot sync folders."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
