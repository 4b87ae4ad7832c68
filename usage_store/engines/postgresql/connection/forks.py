"""Keep the connections of a process apart from those of its forked children.

A child inherits the socket of each connection. What it sent there would mix with what its parent sends, and closing it
properly would end the parent's session. So the child forgets its parent's connections without closing them, and
connects anew. In the middle of a transaction it cannot: then each use raises an error until the transaction is left.

An application's own databases that keep the store are treated in the same way, their pools included.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, NoReturn
from weakref import WeakSet

from usage_store.engines.postgresql.connection.names import name_of
from usage_store.errors import ForkedConnection

if TYPE_CHECKING:
    from collections.abc import Iterator

_FORKED = (
    "this process was forked in the middle of a transaction, which belongs to the parent process; leave the "
    "transaction before the fork, or start the process with spawn or exec"
)
_IN_A_TRANSACTION = (1, 2, 3)  # PQTRANS_ACTIVE, PQTRANS_INTRANS and PQTRANS_INERROR, in both drivers
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
    if database not in _databases:
        with GATE:
            _databases.add(database)


def _before() -> None:
    GATE.acquire()
    _held[:] = [connection for database in _databases for connection in _connections(database)]


def _connections(database: Any) -> Iterator[Any]:
    yield database._state.conn  # noqa: SLF001  peewee has no public way, as below
    yield from getattr(database, "_made", ())  # of a database that this package opened: those of all threads
    # Of a pool. Its other threads may be using these lists.
    yield from (connection for *_, connection in tuple(getattr(database, "_connections", ())))
    yield from (used.connection for used in tuple(getattr(database, "_in_use", {}).values()))


def _in_parent() -> None:
    _held.clear()
    GATE.release()


def _in_child() -> None:
    GATE._at_fork_reinit()  # type: ignore[attr-defined]  # noqa: SLF001  as logging does
    for connection in _held:
        _leave_alone(connection)
    _held.clear()
    for database in list(_databases):
        _forget(database)
        database._lock = threading.Lock()  # noqa: SLF001  peewee's; a thread that is not here may have held it
        if hasattr(database, "_made"):
            database._made.clear()  # noqa: SLF001  of this room
        if hasattr(database, "_in_use"):  # a pool
            database._connections, database._in_use = [], {}  # noqa: SLF001  peewee's, as the next ones
            database._pool_lock = threading.RLock()  # noqa: SLF001
            database._pool_available = threading.Condition(database._pool_lock)  # noqa: SLF001


def _forget(database: Any) -> None:
    """Forget the connection of this thread. Peewee's blocks need one at their end, so they keep the place of one."""
    state = database._state  # noqa: SLF001  peewee has no public way
    if state.closed:
        return
    info = getattr(state.conn, "info", None)
    if state.transactions or state.ctx or getattr(info, "transaction_status", 0) in _IN_A_TRANSACTION:
        state.conn = Inherited(str(name_of(database)))
    else:
        state.reset()


def _leave_alone(connection: Any) -> None:
    """Let Python free a connection in silence. The driver closes no connection of another process by itself."""
    kind = type(connection)
    if not hasattr(connection, "pgconn"):  # psycopg2 is silent
        return
    connection.__class__ = type(kind.__name__, (kind,), {"__del__": _do_nothing})  # else it warns that nobody closed it


def _do_nothing(_: object) -> None:
    pass


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
