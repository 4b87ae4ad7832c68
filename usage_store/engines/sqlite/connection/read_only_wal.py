"""Read a file in WAL mode without the right to write in its folder, while nobody has the file open."""

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
    """A file in WAL mode that nobody has open, for a user who may not make its -shm file.

    Readers and writers share the -shm, so SQLite can read such a file only without a lock (sqlite.org/uri.html,
    "immutable"). Another user may write meanwhile, and the result of a read may be partly old and partly new. Then
    closing the database raises DatabaseUnreadable, before any result is shown.
    """

    def __init__(self, name: str, timeout: float) -> None:
        self._before: tuple[int, ...] | None = None
        super().__init__(name, readonly=True, access="ro&immutable=1", timeout=timeout)

    def _connect(self) -> FileConnection:
        # File times change only every few milliseconds: a second write right after the first one would not change the
        # time.
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
        """Give values that every write changes, or None while somebody has the file open for writing."""
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
    # See sqlite.org/fileformat2.html, "The Database Header". When a process closes a file, it loses its locks on that
    # file; on a file in WAL mode without a -shm, it has none.
    with open(path, "rb") as file:
        return file.read(20)[18:] == b"\2\2"
