"""Keep the connections of a process apart from those of its forked children.

A child inherits the socket of each connection. What it sent there would mix with what its parent sends, and closing it
properly would end the parent's session. So the child forgets its parent's connections without closing them, and
connects anew. In the middle of a transaction it cannot: then each use raises an error until the transaction is left.
"""

from __future__ import annotations

import os
import threading
from typing import Any, NoReturn
from weakref import WeakSet

from usage_store.errors import ForkedConnection

_FORKED = (
    "this process was forked in the middle of a transaction, which belongs to the parent process; leave the "
    "transaction before the fork, or start the process with spawn or exec"
)
GATE = threading.Lock()  # held while a list of connections changes
_databases: WeakSet[Any] = WeakSet()
_held: list[Any] = []  # keeps them alive: else the child would free those of other threads before `_in_child` runs


class Inherited:
    """The place of a connection that was in a transaction when this process was forked: each use is refused."""

    closed = True

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> NoReturn:
        raise ForkedConnection(f"{self._name}: {_FORKED}")

    def close(self) -> None:
        """Do nothing."""


def watch(database: Any) -> None:
    """Have the connections of a database left alone in each child of this process, as long as the database exists."""
    with GATE:
        _databases.add(database)


def _before() -> None:
    GATE.acquire()
    _held[:] = [connection for database in _databases for connection in database._made]  # noqa: SLF001  of this room


def _in_parent() -> None:
    _held.clear()
    GATE.release()


def _in_child() -> None:
    GATE._at_fork_reinit()  # type: ignore[attr-defined]  # noqa: SLF001  as logging does
    for connection in _held:
        _leave_alone(connection)
    _held.clear()
    for database in list(_databases):
        database._lock = threading.Lock()  # noqa: SLF001  peewee's; a thread that is not here may have held it
        database._made.clear()  # noqa: SLF001  of this room
        state = database._state  # noqa: SLF001  peewee has no public way
        if not state.closed and state.transactions:
            state.conn = Inherited(str(database.database))
        elif not state.closed:
            database.dispose()


def _leave_alone(connection: Any) -> None:
    """Let Python free a connection in silence. The driver closes no connection of another process by itself."""
    kind = type(connection)
    connection.__class__ = type(kind.__name__, (kind,), {"__del__": _do_nothing})  # else it warns that nobody closed it


def _do_nothing(_: object) -> None:
    pass


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
