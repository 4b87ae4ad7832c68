"""SQLite files for the tests of backup, restore and rehearsal: filled, damaged, huge."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import struct
from typing import TYPE_CHECKING

from tests.support import forked, raw

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.driver import sqlite3

PAGE = 4096
_MAX_PAGE = 65536


def fill(path: Path, count: int = 3000, *, mode: str = "wal", page: int = PAGE) -> Path:
    """Make a database of some 250 pages, a table and its index."""
    with raw(path) as connection:
        connection.execute(f"PRAGMA page_size = {page}")
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, body TEXT NOT NULL)")
        connection.execute("CREATE INDEX item_body ON item (body)")
        add(connection, count)
        connection.execute("COMMIT")
    return path


def add(connection: sqlite3.Connection, count: int) -> None:
    """Add rows of 150 bytes, in one statement."""
    connection.execute(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?) "
        "INSERT INTO item (body) SELECT printf('%06d', n) || replace(hex(zeroblob(72)), '0', 'x') FROM n WHERE ?",
        (count, count),
    )


def overwrite(path: Path, start: int, data: bytes) -> None:
    """Damage a file in place."""
    with path.open("r+b") as file:
        file.seek(start)
        file.write(data)


def make_huge(path: Path) -> int:
    """Make a database, with a hole in its file, that is larger than what the disk has free, and give its size."""
    fill(path, 1, mode="delete", page=_MAX_PAGE)
    pages = (shutil.disk_usage(path.parent).free + 2**30) // _MAX_PAGE
    overwrite(path, 28, struct.pack(">I", pages))  # sqlite.org/fileformat2.html: the size of the database in pages
    os.truncate(path, pages * _MAX_PAGE)
    return pages * _MAX_PAGE


def forked_with_small_files(action: Callable[[], object], limit: int = 2**26) -> int:
    """Run something as `forked` does, where no file can grow above `limit` bytes: the disk fails there."""

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        action()

    return forked(limited)
