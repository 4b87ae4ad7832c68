"""What becomes of open databases when a process forks.

SQLite keeps the state of its locks per process and file, and the locks themselves stay behind: whatever a child writes
through an inherited connection, or through a new one beside it, others may overwrite (sqlite.org/howtocorrupt.html,
2.6). So connections that are at rest are closed before a fork, and both processes connect again when they need one. A
connection that cannot be closed makes its file unusable in the child, which is told so.
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
    """A Peewee database that can close this thread's connection unless it is in the middle of something."""

    thread_safe: bool

    def close_at_rest(self) -> None:
        """Close it then."""


_databases: WeakSet[Closing] = WeakSet()
_held: list[FileConnection] = []  # or the child would close those of other threads before it gets to `_in_child`
_inherited: list[FileConnection] = []


def watch(database: Closing) -> None:
    """Have a database's connections closed before forks, as long as it is in use."""
    with GATE:
        _databases.add(database)


@contextmanager
def keeping_its_connection(database: peewee.Database) -> Iterator[None]:
    """Keep this thread's connection open through forks within the block, because of what is set on it."""
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
        with suppress(peewee.PeeweeException):  # what is not closed counts as open
            database.close_at_rest()
    if OPEN:
        with suppress(ImportError):
            import ctypes  # noqa: F401, PLC0415  2 % of a start; the child must not wait for another thread's import
    GATE.acquire()  # until after the fork, so that no other thread opens one in between
    _held[:] = OPEN


def _in_parent() -> None:
    _held.clear()
    GATE.release()


def _in_child() -> None:
    GATE._at_fork_reinit()  # type: ignore[attr-defined]  # noqa: SLF001  as logging does with its locks
    for database in _databases:
        if database.thread_safe:
            # peewee's; a thread that is not here may have held it
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
    # At its end Python may empty even that list, and close the connection. Without ctypes, os._exit() is safe.
    with suppress(ImportError):
        import ctypes  # noqa: PLC0415  2 % of what `check` takes to start

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
