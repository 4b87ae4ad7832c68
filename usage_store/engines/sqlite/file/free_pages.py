"""Measure the disk space of a database, and return unused space to the disk."""

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
_CACHE = -64 * 1024  # PRAGMA cache_size, in KiB: moving pages reads and writes the whole file


def file_bytes(database: peewee.SqliteDatabase) -> int:
    """Return the size of the database file in bytes. Reads only."""
    name = main_file(database)
    return Path(name).stat().st_size if name else size(database)


def disk_use(database: peewee.SqliteDatabase) -> int:
    """Return the bytes that the database takes on disk: its file and its -wal. Reads only."""
    name = main_file(database)
    wal = Path(f"{name}-wal")
    return file_bytes(database) + (wal.stat().st_size if name and wal.exists() else 0)


def free_pages(database: peewee.SqliteDatabase) -> int:
    """Count the unused pages in the file. Reads only."""
    return int(database.pragma("freelist_count"))


def live_bytes(database: peewee.SqliteDatabase) -> int:
    """Return the bytes of all used pages. Reads only."""
    pages: int = database.pragma("page_count") - free_pages(database)
    return pages * int(database.page_size)


def wal_allowance(database: peewee.SqliteDatabase) -> int:
    """Return the size in bytes that the -wal normally reaches before SQLite starts to reuse it. Reads only."""
    pages: int = database.pragma("wal_autocheckpoint")
    most = pages * (int(database.page_size) + _FRAME) * 5 // 4  # one large commit may exceed the limit
    return min(max(most, 0), _MOST_WAL)


def copy_wal_to_shorten(database: peewee.SqliteDatabase) -> None:
    """Shrink the file now if it still holds pages that were given back, by copying the -wal to it.

    Does not wait for other connections: it copies only what nobody uses.
    """
    name = main_file(database)
    if name and Path(name).stat().st_size > database.pragma("page_count") * int(database.page_size):
        database.execute_sql("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def can_shrink(database: peewee.SqliteDatabase) -> bool:
    """Return whether unused space can be returned to the disk without a VACUUM. Reads only.

    Files created by this package can do it, and files that `vacuum()` has rewritten (PRAGMA auto_vacuum = INCREMENTAL).
    """
    return bool(database.pragma("auto_vacuum") == _INCREMENTAL)


def give_back(database: peewee.SqliteDatabase, turns: Turns) -> Iterator[int]:
    """Return unused pages to the disk in short transactions, and yield the number of returned pages after each one.

    SQLite moves a page from the end of the file into each unused page. The file shrinks at the next checkpoint. Does
    nothing if `can_shrink()` is false.
    """
    free = free_pages(database) if can_shrink(database) else 0
    while free:
        with turns.slice(database):
            _give_back(database, time.monotonic() + turns.hold / 2)  # the commit takes about as long as the moving
        left = free_pages(database)
        yield max(0, free - left)
        free = left if left < free else 0  # stop if other connections use up pages as fast as this returns them


def _give_back(database: peewee.SqliteDatabase, until: float) -> None:
    # incremental_vacuum(N) returns one row per page, and execute() reads only the first row, so it would free only one
    # page. So it is called once for each page.
    connection = database.connection()
    while free_pages(database):
        for _ in range(16):
            connection.execute("PRAGMA incremental_vacuum(1)")
        if time.monotonic() >= until:
            return


def wide_cache(database: peewee.SqliteDatabase) -> AbstractContextManager[None]:
    """Let SQLite keep more pages in memory during the block (64 MB)."""
    return pragma_set(database, "cache_size", _CACHE)


def vacuum(database: peewee.SqliteDatabase) -> None:
    """Rewrite the file so that it shrinks by itself from now on; all other connections are blocked while it runs.

    It needs free disk space of twice the size of the used pages: for a copy of the file and for the -wal. Raises
    NotEnoughDisk.
    """
    name = main_file(database)
    if name:
        check_disk(Path(name).resolve().parent, 2 * live_bytes(database), "a VACUUM")
    database.pragma("auto_vacuum", _INCREMENTAL)
    database.execute_sql("VACUUM")
