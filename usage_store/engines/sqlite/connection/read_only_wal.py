"""Read a file in WAL mode that nobody has open, without the right to write beside it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from usage_store.engines.sqlite.connection.pragmas_of_our_files import SqliteFile
from usage_store.errors import DatabaseUnreadable

if TYPE_CHECKING:
    from usage_store.engines.sqlite.connection.driver import sqlite3
    from usage_store.engines.sqlite.connection.notice_replaced_file import FileConnection

_TICK = 0.02  # seconds


class QuietFile(SqliteFile):
    """A file in WAL mode that nobody has open, for a user who may not make the -shm that readers and writers share.

    SQLite reads it without a lock (sqlite.org/uri.html, "immutable"), so another user may write meanwhile, and what was
    read be half of that. Then to close it raises DatabaseUnreadable, before anybody is told what was read.
    """

    def __init__(self, name: str, timeout: float) -> None:
        self._before: tuple[int, ...] | None = None
        super().__init__(name, readonly=True, access="ro&immutable=1", timeout=timeout)

    def _connect(self) -> FileConnection:
        # The clock of file times ticks every few milliseconds: a second write within a tick leaves the time as it is.
        deadline = time.monotonic() + self.timeout
        while (fresh := 0 <= time.time() - os.stat(self.path).st_mtime < _TICK) and time.monotonic() < deadline:
            time.sleep(_TICK)
        self._before = None if fresh else self._last_write()
        return super()._connect()

    def _close(self, conn: sqlite3.Connection) -> None:
        super()._close(conn)  # type: ignore[misc]  # private in peewee
        if self._before is None or self._before != self._last_write():
            raise DatabaseUnreadable(f"{self.path}: another user wrote to it while it was read; try again")

    def _last_write(self) -> tuple[int, ...] | None:
        """Give what every write changes, or None while somebody has the file open to write."""
        if _anything_beside(self.path):
            return None
        stat = os.stat(self.path)
        return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def is_quiet(path: str) -> bool:
    """Tell whether a file is in WAL mode and nobody has it open. Reads only."""
    return not _anything_beside(path) and _in_wal_mode(path)


def _anything_beside(path: str) -> bool:
    return any(os.path.exists(path + suffix) for suffix in ("-wal", "-shm", "-journal"))


def _in_wal_mode(path: str) -> bool:
    # sqlite.org/fileformat2.html, "The Database Header". To close a file drops the locks that this process has on it;
    # of one in WAL mode without a -shm, there are none.
    with open(path, "rb") as file:
        return file.read(20)[18:] == b"\2\2"
