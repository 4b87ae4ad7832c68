"""Notice that the file of a connection was deleted or replaced, and refuse to use the connection then.

Without this, SQLite would go on writing to a file that nobody finds any more.
"""

from __future__ import annotations

import math
import sys
from time import monotonic
from typing import Any, NoReturn
from weakref import WeakSet

from usage_store.engines.sqlite.connection.driver import sqlite3
from usage_store.engines.sqlite.connection.path_and_inode import GATE, inode
from usage_store.errors import DatabaseReplaced, DatabaseUnreadable, ForkedConnection, TransactionOpen

# The connections of this process to files, and the files that it inherited open through a fork.
OPEN: WeakSet[FileConnection] = WeakSet()
INHERITED: set[tuple[int, int]] = set()

_GONE = "was deleted, so nothing can be stored there; close() the database and call init_database() again"
_ANOTHER = (
    "is not the file that was opened, because that file was replaced; close() the database, and its next use opens the "
    "new file"
)
_FORKED = (
    "was in use when this process was forked (in another thread, a transaction or a query), so it cannot be used in "
    "the child process; close() the database before the fork, or start the process with spawn or exec"
)
_OF_ANOTHER_TASK = (
    "another asyncio task of this thread is in a transaction, and this statement would become part of it; let no "
    "`await` stand inside a transaction: run the whole transaction by one call of asyncio.to_thread()"
)
_SECONDS = 1.0  # between two checks of the path
_cursor = sqlite3.Connection.cursor  # super() is slower, and every statement runs this
_PROBE = "usage_store_at_rest"


class FileConnection(sqlite3.Connection):
    """A connection to one file. It returns no more cursors after the file at its path was replaced or deleted.

    The path is checked at most once a second. An empty path means a database in memory, which has no file. Connecting
    makes no file: it raises DatabaseUnreadable if the file is missing. It raises ForkedConnection for a file that was
    open when this process was forked.
    """

    def __init__(self, path: str, database: str, **options: Any) -> None:
        self.path = path
        self.kept = False
        self.task: Any = None  # the asyncio task that began the transaction
        self.look_again = monotonic() + _SECONDS if path else math.inf
        self.inode = inode(path) if path else None
        if path:
            self._register()
        try:
            super().__init__(database, **options)
            self.create_function(_PROBE, 0, str)
        except BaseException:
            self._forget()
            raise

    def look(self) -> None:
        """Check the path. Raises DatabaseReplaced if it no longer has the file that was opened. Reads only."""
        try:
            found = inode(self.path)
        except OSError:
            found = self.inode  # the path cannot be read, for example after a change of user: no answer is no fault
        if found != self.inode:
            raise DatabaseReplaced(f"{self.path}: {_GONE if found is None else _ANOTHER}")
        self.look_again = monotonic() + _SECONDS

    def look_if_due(self) -> None:
        """Check the path if the last check is a second ago. Raises DatabaseReplaced. Reads only."""
        if monotonic() >= self.look_again:
            self.look()

    def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
        """Return a cursor. Raises DatabaseReplaced, and TransactionOpen in the transaction of another asyncio task."""
        if monotonic() >= self.look_again:
            self.look()
        if self.task is not None:
            self._refuse_another_task()
        return _cursor(self, factory)

    def close(self) -> None:
        """Close the connection."""
        super().close()
        self._forget()

    def begun(self) -> None:
        """Note which asyncio task has begun the transaction, so that no other task becomes part of it unawares."""
        self.task = _task()

    def _refuse_another_task(self) -> None:
        if not self.in_transaction or self.task.done():  # a transaction that outlives its task is for each of them
            self.task = None
        elif _task() is not self.task:
            raise TransactionOpen(f"{self.path or ':memory:'}: {_OF_ANOTHER_TASK}")

    def at_rest(self) -> bool:
        """Return whether the connection can be closed without losing anything. If it can, close it right away.

        It cannot inside a transaction, while a query is being read, or with TEMP objects. The check changes the
        connection.
        """
        if self.kept or self.in_transaction:
            return False
        try:
            if self.execute("SELECT 1 FROM temp.sqlite_master LIMIT 1").fetchone():
                return False
            self.create_function(_PROBE, 0, None)  # SQLite refuses to remove a function while a query is being read
        except sqlite3.Error:
            return False
        return True

    def _register(self) -> None:
        if self.inode is None:
            raise DatabaseUnreadable(f"{self.path}: no such database any more; init_database() makes a new one")
        with GATE:
            if self.inode in INHERITED:
                raise ForkedConnection(f"{self.path}: {_FORKED}")
            OPEN.add(self)

    def _forget(self) -> None:
        with GATE:
            OPEN.discard(self)


def _task() -> Any:
    """Return the asyncio task that runs in this thread, or None. Does not import asyncio."""
    asyncio: Any = sys.modules.get("asyncio")
    try:
        # Without a loop, current_task() would raise an error, which costs a microsecond.
        loop = asyncio and asyncio._get_running_loop()  # noqa: SLF001  in asyncio's `__all__`
        return loop and asyncio.current_task(loop)
    except AttributeError:  # another thread is importing asyncio
        return None


class Inherited(FileConnection):
    """A connection that was open when this process was forked: each use is refused, and it is never closed.

    SQLite's locks do not survive a fork. Closing or rolling back in the child could undo what the other process is
    about to commit (sqlite.org/howtocorrupt.html, 2.6). So `close()` and `rollback()` do nothing.
    """

    def _refuse(self, *_arguments: Any, **_options: Any) -> NoReturn:
        raise ForkedConnection(f"{self.path}: {_FORKED}")

    look = cursor = execute = executemany = executescript = _refuse
    commit = backup = __enter__ = __exit__ = _refuse

    def close(self) -> None:
        """Do nothing."""

    def rollback(self) -> None:
        """Do nothing."""
