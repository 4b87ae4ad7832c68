"""What a database takes on disk, and how to give back what it no longer uses."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from usage_store.engines.sqlite.connection.driver import main_file
from usage_store.engines.sqlite.connection.pragma_for_a_block import pragma_set
from usage_store.engines.sqlite.file.free_disk_space import check_disk, size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    import peewee

    from usage_store.engines.sqlite.file.short_transactions import Turns

_INCREMENTAL = 2  # PRAGMA auto_vacuum
_MOST_WAL = 8 * 2**20
_FRAME = 24  # bytes before each page in the -wal
_CACHE = -64 * 1024  # PRAGMA cache_size, in KiB: moving pages touches the whole file


def file_bytes(database: peewee.SqliteDatabase) -> int:
    """Give the bytes of the database's file. Reads only."""
    name = main_file(database)
    return Path(name).stat().st_size if name else size(database)


def disk_use(database: peewee.SqliteDatabase) -> int:
    """Give the bytes of the database's file and its -wal: what the disk has less of. Reads only."""
    name = main_file(database)
    wal = Path(f"{name}-wal")
    return file_bytes(database) + (wal.stat().st_size if name and wal.exists() else 0)


def free_pages(database: peewee.SqliteDatabase) -> int:
    """Give the number of pages that hold nothing. Reads only."""
    return int(database.pragma("freelist_count"))


def live_bytes(database: peewee.SqliteDatabase) -> int:
    """Give the bytes of all pages that hold something. Reads only."""
    pages: int = database.pragma("page_count") - free_pages(database)
    return pages * int(database.page_size)


def wal_allowance(database: peewee.SqliteDatabase) -> int:
    """Give the bytes that the -wal takes in ordinary use, before a checkpoint lets it begin again. Reads only."""
    pages: int = database.pragma("wal_autocheckpoint")
    most = pages * (int(database.page_size) + _FRAME) * 5 // 4  # the commit that makes it so long may be a large one
    return min(max(most, 0), _MOST_WAL)


def copy_wal_to_shorten(database: peewee.SqliteDatabase) -> None:
    """Copy the -wal to the file, as far as that goes at once, if pages were given back that the file still has."""
    name = main_file(database)
    if name and Path(name).stat().st_size > database.pragma("page_count") * int(database.page_size):
        database.execute_sql("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def can_shrink(database: peewee.SqliteDatabase) -> bool:
    """Tell whether the file was made, or vacuumed, so that it can give pages back. Reads only."""
    return bool(database.pragma("auto_vacuum") == _INCREMENTAL)


def give_back(database: peewee.SqliteDatabase, turns: Turns) -> Iterator[int]:
    """Give pages that hold nothing back to the disk, a short transaction at a time, and give their number after each.

    SQLite moves a page from the file's end into each free one. The file shrinks at the checkpoint that follows.
    """
    free = free_pages(database) if can_shrink(database) else 0
    while free:
        with turns.slice(database):
            _give_back(database, time.monotonic() + turns.hold / 2)  # the commit takes about as long
        left = free_pages(database)
        yield max(0, free - left)
        free = left if left < free else 0  # others may fill pages as fast as they are freed


def _give_back(database: peewee.SqliteDatabase, until: float) -> None:
    # Asked for more than one page, sqlite3 would take SQLite's first step, which frees one.
    connection = database.connection()
    while free_pages(database):
        for _ in range(16):
            connection.execute("PRAGMA incremental_vacuum(1)")
        if time.monotonic() >= until:
            return


def wide_cache(database: peewee.SqliteDatabase) -> AbstractContextManager[None]:
    """Let SQLite keep more pages in memory within the block."""
    return pragma_set(database, "cache_size", _CACHE)


def vacuum(database: peewee.SqliteDatabase) -> None:
    """Rewrite the file so that it can shrink from now on; nobody else can write meanwhile.

    Raises NotEnoughDisk: it takes twice the size of what the database holds, for a copy and for the -wal.
    """
    name = main_file(database)
    if name:
        check_disk(Path(name).resolve().parent, 2 * live_bytes(database), "a VACUUM")
    database.pragma("auto_vacuum", _INCREMENTAL)
    database.execute_sql("VACUUM")
