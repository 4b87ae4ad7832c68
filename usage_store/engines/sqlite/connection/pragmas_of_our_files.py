"""The Peewee database of a file that this package opens: its pragmas, its path, its errors, and forks."""

from __future__ import annotations

import gc
import logging
import os
import threading
import time
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet, ref

import peewee

from usage_store.engines.sqlite.connection.driver import sqlite3
from usage_store.engines.sqlite.connection.error_messages import is_locked, raise_of_a_statement, readable_errors
from usage_store.engines.sqlite.connection.forks import watch
from usage_store.engines.sqlite.connection.notice_replaced_file import OPEN, FileConnection
from usage_store.engines.sqlite.connection.path_and_inode import GATE, absolute
from usage_store.errors import DatabaseReplaced, ForkedConnection

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("usage_store")

C = TypeVar("C", bound=FileConnection)

_execute_sql: Any = peewee.SqliteDatabase.execute_sql  # super() is slower, and every statement runs this


class SqliteFile(peewee.SqliteDatabase):
    """A SQLite database with WAL, foreign keys on and synchronous NORMAL on every connection.

    With `readonly` it changes nothing, creates nothing and does not ask for WAL. `path` is the absolute path of its
    file, empty for one in memory. The first connection calls `make`, which may create that file; nothing else creates
    one. `access` is the mode of SQLite's URI, such as `ro`.
    Each use raises DatabaseReplaced if another file or no file is at that path now, and ForkedConnection in a child of
    the process that had the file open.
    """

    path: str
    _state: Any  # peewee's, not in its stubs

    def __init__(
        self,
        database: str,
        *,
        readonly: bool = False,
        access: str = "",
        timeout: float = 5,
        make: Callable[[], object] | None = None,
        **options: Any,
    ) -> None:
        self._readonly = readonly
        self._make = make
        self.access = access
        self._told = False  # that WAL was refused
        self._made: WeakSet[FileConnection] = WeakSet()  # by all threads
        super().__init__(database, timeout=timeout, **options)
        watch(self)

    def __repr__(self) -> str:
        state = "closed" if self.is_closed() else "connected"
        return f"<{type(self).__name__} {self.path or ':memory:'!r}, {state}{', read-only' * self._readonly}>"

    def init(self, database: str | None, *args: Any, **options: Any) -> None:
        """Name the file, as peewee does."""
        super().init(database, *args, **options)
        self.path = "" if database in (None, "", ":memory:") else absolute(str(database))

    def _connect(self) -> FileConnection:
        if self._make is not None:
            self._make()
            self._make = None
        return self._open(FileConnection, self.access)

    def _open(self, kind: type[C], access: str) -> C:
        opens = file_uri(self.path, access) if access else self.path or self.database
        options = {"timeout": self.timeout, "isolation_level": None, "uri": bool(access), **self.connect_params}
        connection = kind(self.path, opens, **options)
        with GATE:
            self._made.add(connection)
        try:
            self._add_conn_hooks(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def connect(self, reuse_if_open: bool = False) -> bool:  # noqa: FBT001, FBT002  peewee's signature
        """Connect this thread as peewee does. Raises DatabaseUnreadable, DatabaseLocked and their like."""
        with readable_errors(str(self.database), reading=True):
            opened = super().connect(reuse_if_open)
        if opened:
            self._state.at_end_of_thread = _CloseAtEndOfThread(self)
        return opened

    def close(self) -> bool:
        """Close this thread's connection as peewee does, and return whether it was open."""
        closed: bool = super().close()
        self._state.at_end_of_thread = None  # otherwise it would keep the closed connection
        return closed

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        """Run a statement as peewee does. Raises DatabaseLocked, DatabaseFull and others, also peewee errors."""
        try:
            return _execute_sql(self, sql, params)
        except peewee.DatabaseError as error:
            raise_of_a_statement(error, str(self.database), readonly=self._readonly)

    def begin(self, lock_type: str | None = None) -> None:
        """Begin a transaction as peewee does. Raises as `execute_sql`.

        Until it ends, a statement of another asyncio task in this thread raises TransactionOpen.
        """
        try:
            super().begin(lock_type)
            self._state.conn.begun()
        except peewee.DatabaseError as error:
            raise_of_a_statement(error, str(self.database), readonly=self._readonly)

    def commit(self) -> Any:
        """Commit as peewee does. Raises as `execute_sql`."""
        try:
            return super().commit()
        except peewee.DatabaseError as error:
            raise_of_a_statement(error, str(self.database), readonly=self._readonly)

    def connection(self) -> FileConnection:
        """Return this thread's connection; connects if there is none."""
        connection: FileConnection = super().connection()  # type: ignore[no-untyped-call]  # not in its stubs
        connection.look_if_due()
        return connection

    def rollback(self) -> None:
        """Roll back, also if the file was replaced or the process was forked: a rollback writes nothing then."""
        try:
            super().rollback()
        except (DatabaseReplaced, ForkedConnection):
            self._state.conn.rollback()

    def manual_commit(self) -> Any:
        """Leave BEGIN and COMMIT to the caller. Connects first, since peewee forgets this when it connects."""
        self.connection()
        return super().manual_commit()

    def close_at_rest(self) -> None:
        """Close this thread's connection, unless it is in a transaction, a query or a connection_context()."""
        state = self._state
        # Within connection_context() peewee needs what it would forget.
        if not (state.closed or state.transactions or state.ctx) and self.path and state.conn.at_rest():
            self.close()

    def close_all(self) -> None:
        """Close this thread's connection and, unless another thread is in a transaction, those of all other threads.

        Python closes a connection that nobody refers to. So what a thread is reading at this moment stays readable.
        """
        self.close()
        with GATE:
            others = [connection for connection in OPEN if connection in self._made]
        if others and not any(connection.in_transaction or connection.kept for connection in others):
            # Only its own thread may call a connection's close(). From Python 3.13 on, sqlite3 warns of one without.
            with warnings.catch_warnings(action="ignore", category=ResourceWarning):
                self._state = type(self._state)()
                others.clear()
                gc.collect()  # a connection and its cache of statements refer to each other

    def _add_conn_hooks(self, conn: sqlite3.Connection) -> None:
        conn.execute("PRAGMA foreign_keys = ON")
        if self._readonly:
            conn.execute("PRAGMA query_only = ON")
        else:
            if conn.execute("PRAGMA page_count").fetchone() == (0,):
                # SQLite accepts this for an empty file only. Free pages of such a file can be returned to the disk.
                conn.execute("PRAGMA auto_vacuum = INCREMENTAL")
            self._switch_to_wal(conn)
            conn.execute("PRAGMA synchronous = NORMAL")
        super()._add_conn_hooks(conn)  # type: ignore[misc]  # private in peewee, so not in its stubs

    def _switch_to_wal(self, conn: sqlite3.Connection) -> None:
        # The switch ignores the busy handler: if several processes open a new file at once, some fail.
        deadline = time.monotonic() + self.timeout
        while True:
            try:
                (mode,) = conn.execute("PRAGMA journal_mode = WAL").fetchone()
            except sqlite3.OperationalError as error:
                if not is_locked(error) or time.monotonic() >= deadline:
                    raise
                time.sleep(0.01)
            else:
                break
        if mode not in ("wal", "memory") and not self._told:
            self._told = True
            logger.warning(
                "%s: has no write-ahead log here but journal mode %s, so readers and writers wait for each other; "
                "do not put a database on a network disk",
                self.path,
                mode,
            )


class _CloseAtEndOfThread:
    """Closes the connection of the thread that makes this object, when that thread ends and Python frees its locals.

    Only its own thread may use and close a connection. One that nobody closes stays open until Python looks for cycles,
    with the lock of a transaction that the thread left open, and from Python 3.13 on, sqlite3 then warns.
    """

    _owner: tuple[int, int] | None = None  # until `__init__` has ended, which a signal handler may interrupt

    def __init__(self, database: SqliteFile) -> None:
        self._database = ref(database)
        self._connection: FileConnection = database._state.conn  # noqa: SLF001  peewee has no public way
        self._owner = os.getpid(), threading.get_ident()

    def __del__(self) -> None:
        if (os.getpid(), threading.get_ident()) != self._owner or self._database() is None:
            return  # a child of this process, or the database itself is freed
        with suppress(sqlite3.Error):
            self._connection.close()


def file_uri(path: str, mode: str) -> str:
    """Return SQLite's URI for a file, opened in a mode: `rw`, or `ro` (sqlite.org/uri.html)."""
    path = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return f"file:{path}?mode={mode}"
