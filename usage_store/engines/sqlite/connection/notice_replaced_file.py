"""A connection that knows which file it has open, and stops where SQLite would write to another one in silence."""

from __future__ import annotations

import math
from time import monotonic
from typing import Any, NoReturn
from weakref import WeakSet

from usage_store.engines.sqlite.connection.driver import sqlite3
from usage_store.engines.sqlite.connection.path_and_inode import GATE, inode
from usage_store.errors import DatabaseReplaced, DatabaseUnreadable, ForkedConnection

# The connections of this process to files, and the files that it inherited open through a fork.
OPEN: WeakSet[FileConnection] = WeakSet()
INHERITED: set[tuple[int, int]] = set()

_GONE = "was deleted, so nothing can be stored there; close() the database and call init_database() again"
_ANOTHER = (
    "is not the file that was opened, which nobody finds any more; close() the database, and its next use opens the "
    "file that is there now"
)
_FORKED = (
    "was in use when this process was forked (in another thread, a transaction or a query), so it cannot be used in "
    "this one; close() the database before the fork, or start the process by spawn or exec"
)
_SECONDS = 1.0  # between two looks at the path
_cursor = sqlite3.Connection.cursor  # super() takes longer, and this is in the way of every statement
_PROBE = "usage_store_at_rest"


class FileConnection(sqlite3.Connection):
    """A connection to one file: its cursors are refused once another file, or none, is at its path.

    The path is looked at once a second at most. An empty path is a database in memory, which has no file. Raises
    DatabaseUnreadable where no file is, so it makes none, and ForkedConnection for a file that a fork left open.
    """

    def __init__(self, path: str, database: str, **options: Any) -> None:
        self.path = path
        self.kept = False
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
        """Raise DatabaseReplaced if the file that was opened is not at its path any more. Reads only."""
        try:
            found = inode(self.path)
        except OSError:
            found = self.inode  # a path that cannot be looked at, as after giving up privileges, tells nothing
        if found != self.inode:
            raise DatabaseReplaced(f"{self.path}: {_GONE if found is None else _ANOTHER}")
        self.look_again = monotonic() + _SECONDS

    def look_if_due(self) -> None:
        """Look at the path if it is time to. Raises DatabaseReplaced. Reads only."""
        if monotonic() >= self.look_again:
            self.look()

    def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
        """Give a cursor. Raises DatabaseReplaced."""
        if monotonic() >= self.look_again:
            self.look()
        return _cursor(self, factory)

    def close(self) -> None:
        """Close the connection."""
        super().close()
        self._forget()

    def at_rest(self) -> bool:
        """Tell whether closing it would lose nothing; then the next thing to do is to close it."""
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


class Inherited(FileConnection):
    """A connection that was open when this process was forked: each use is refused, and it is never closed.

    SQLite's locks do not survive a fork, and to close or roll back here could undo what the other process is about to
    commit (sqlite.org/howtocorrupt.html, 2.6). So those two do nothing.
    """

    def _refuse(self, *_arguments: Any, **_options: Any) -> NoReturn:
        raise ForkedConnection(f"{self.path}: {_FORKED}")

    look = cursor = execute = executemany = executescript = _refuse
    commit = backup = __enter__ = __exit__ = _refuse

    def close(self) -> None:
        """Do nothing."""

    def rollback(self) -> None:
        """Do nothing."""
