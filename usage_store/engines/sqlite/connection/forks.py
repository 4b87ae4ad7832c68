"""Keep databases safe when the process forks.

SQLite stores the state of its locks per process and file, and a child does not inherit the locks. If a child writes
through an inherited connection, or through a new one beside it, other processes may overwrite what it wrote
(sqlite.org/howtocorrupt.html, 2.6).

So connections at rest are closed before a fork. Parent and child connect again when they need a connection. A
connection in use cannot be closed: then the child cannot use its file, and each use raises an error that says so.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

import peewee

from usage_store.engines.sqlite.connection.notice_replaced_file import INHERITED, OPEN, FileConnection, Inherited
from usage_store.engines.sqlite.connection.path_and_inode import GATE

if TYPE_CHECKING:
    from collections.abc import Iterator


class Closing(Protocol):
    """A Peewee database that can close the connection of this thread if the connection is at rest."""

    thread_safe: bool

    def close_at_rest(self) -> None:
        """Close this thread's connection unless it is in use."""


_databases: WeakSet[Closing] = WeakSet()
_held: list[
    FileConnection
] = []  # keeps them alive: else the child would close those of other threads before `_in_child` runs
_inherited: list[FileConnection] = []


def watch(database: Closing) -> None:
    """Have the connections of a database closed before each fork, as long as the database exists."""
    with GATE:
        _databases.add(database)


@contextmanager
def keeping_its_connection(database: peewee.Database) -> Iterator[None]:
    """Keep this thread's connection open through forks during the block.

    It is for a connection with settings that a new connection would not have.
    """
    connection = database.connection()
    ours = isinstance(connection, FileConnection)
    if ours:
        connection.kept = True
    try:
        yield
    finally:
        if ours:
            connection.kept = False


def _before() -> None:
    with GATE:
        databases = list(_databases)
    for database in databases:
        with suppress(peewee.PeeweeException):  # a connection that is not closed counts as open
            database.close_at_rest()
    if OPEN:
        with suppress(ImportError):
            import ctypes  # noqa: F401, PLC0415  2 % of a start; here, so that the child need not import it
    GATE.acquire()  # held until after the fork, so that no other thread opens a connection meanwhile
    _held[:] = OPEN


def _in_parent() -> None:
    _held.clear()
    GATE.release()


def _in_child() -> None:
    GATE._at_fork_reinit()  # type: ignore[attr-defined]  # noqa: SLF001  as logging does
    for database in _databases:
        if database.thread_safe:
            # This is peewee's lock. A thread that does not exist in the child may have held it.
            database._lock = threading.Lock()  # type: ignore[attr-defined]  # noqa: SLF001
    for connection in list(OPEN):
        if connection.inode is not None:
            INHERITED.add(connection.inode)
        connection.__class__ = Inherited
        connection.look_again = 0.0
        _never_free(connection)
    OPEN.clear()
    _held.clear()


def _never_free(connection: FileConnection) -> None:
    _inherited.append(connection)
    # When the process ends, Python may empty this list and so close the connection. The extra reference prevents this.
    # Without ctypes, only os._exit() is safe.
    with suppress(ImportError):
        import ctypes  # noqa: PLC0415  costs 2 % of the start of `check`

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
