"""Read a file in WAL mode without the right to write in its folder, while nobody has the file open."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Any

from usage_store.engines.sqlite.connection.driver import sqlite3
from usage_store.engines.sqlite.connection.notice_replaced_file import FileConnection
from usage_store.engines.sqlite.connection.pragmas_of_our_files import SqliteFile
from usage_store.errors import DatabaseUnreadable

_TICK = 0.02  # seconds
_ALONE = "ro&immutable=1"
_SHARED = "ro&readonly_shm=1"
_WROTE = "another user wrote to it while it was read; try again"


class QuietFile(SqliteFile):
    """A file in WAL mode that nobody has open, for a user who may not create its -shm file.

    SQLite reads the file without a lock (sqlite.org/uri.html, "immutable"), so another user may write at the same time.
    A row is returned only if nobody has written since the connection was opened; otherwise DatabaseUnreadable is
    raised. The next statement outside of a transaction connects again, and reads the file as it is then. Closing a
    connection after another user wrote raises DatabaseUnreadable, too.
    """

    def __init__(self, name: str, timeout: float) -> None:
        super().__init__(name, readonly=True, access=_ALONE, timeout=timeout)

    def _connect(self) -> FileConnection:
        if not is_quiet(self.path):
            return self._open(FileConnection, _SHARED)
        # File times change only every few milliseconds: a second write right after the first one would not change the
        # time.
        deadline = time.monotonic() + self.timeout
        while (fresh := 0 <= time.time() - os.stat(self.path).st_mtime < _TICK) and time.monotonic() < deadline:
            time.sleep(_TICK)
        before = None if fresh else _last_write(self.path)
        connection = self._open(QuietConnection, _ALONE)
        connection.before = before
        return connection

    def cursor(self, *args: Any, **options: Any) -> Any:
        """Return a cursor as peewee does, of a new connection if another user wrote to the file."""
        state = self._state
        if isinstance(state.conn, QuietConnection) and not (state.transactions or state.ctx) and state.conn.is_stale():
            state.conn.close()
            state.reset()
        return super().cursor(*args, **options)  # type: ignore[no-untyped-call]  # not in its stubs

    def close_all(self) -> None:
        """Close as a SqliteFile does. It is no error if another user has written to the file."""
        with suppress(DatabaseUnreadable):
            super().close_all()

    def _close(self, conn: sqlite3.Connection) -> None:
        super()._close(conn)  # type: ignore[misc]  # private in peewee
        if isinstance(conn, QuietConnection) and conn.is_stale():
            raise DatabaseUnreadable(f"{self.path}: {_WROTE}")


class QuietConnection(FileConnection):
    """A connection that reads without a lock. Its cursors return no row after another user has written to the file."""

    before: tuple[int, ...] | None = ()  # what every write changes, as it was at connecting; () while connecting

    def cursor(self, factory: Any = None) -> Any:
        """Return a cursor that checks the file. Raises DatabaseReplaced."""
        return super().cursor(factory or _QuietCursor)

    def is_stale(self) -> bool:
        """Return whether another user may have written to the file since it was connected to. Reads only."""
        return self.before != () and (self.before is None or self.before != _last_write(self.path))

    def refuse_stale(self) -> None:
        """Raise DatabaseUnreadable if another user may have written to the file. Reads only."""
        if self.is_stale():
            raise DatabaseUnreadable(f"{self.path}: {_WROTE}")


class _QuietCursor(sqlite3.Cursor):
    """A cursor that returns a row only if nobody has written to the file since the connection was opened."""

    def fetchone(self) -> Any:
        row = super().fetchone()
        self.connection.refuse_stale()  # type: ignore[attr-defined]  # of a QuietConnection
        return row

    def fetchmany(self, size: int | None = None) -> list[Any]:
        rows = super().fetchmany(self.arraysize if size is None else size)
        self.connection.refuse_stale()  # type: ignore[attr-defined]  # of a QuietConnection
        return rows

    def fetchall(self) -> list[Any]:
        rows = super().fetchall()
        self.connection.refuse_stale()  # type: ignore[attr-defined]  # of a QuietConnection
        return rows

    def __next__(self) -> Any:
        row = super().__next__()
        self.connection.refuse_stale()  # type: ignore[attr-defined]  # of a QuietConnection
        return row


def _last_write(path: str) -> tuple[int, ...] | None:
    """Return what every write changes, or None while somebody has the file open to write."""
    if _anything_beside(path):
        return None
    stat = os.stat(path)
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def is_quiet(path: str) -> bool:
    """Return whether a file is in WAL mode and nobody has it open. Reads only."""
    return not _anything_beside(path) and _in_wal_mode(path)


def _anything_beside(path: str) -> bool:
    return any(os.path.exists(path + suffix) for suffix in ("-wal", "-shm", "-journal"))


def _in_wal_mode(path: str) -> bool:
    # See sqlite.org/fileformat2.html, "The Database Header". When a process closes a file, it loses its locks on that
    # file; on a file in WAL mode without a -shm, it has none.
    with open(path, "rb") as file:
        return file.read(20)[18:] == b"\2\2"
