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
_databases: WeakSet[Any] = WeakSet()
_inherited: list[Any] = []  # for ever: Python must not close what the parent uses


class Inherited:
    """The place of a connection that was in a transaction when this process was forked: each use is refused."""

    closed = True

    def __init__(self, name: str) -> None:
        self._name = name

    def cursor(self, *_arguments: Any, **_options: Any) -> NoReturn:
        """Raise ForkedConnection."""
        raise ForkedConnection(f"{self._name}: {_FORKED}")

    def close(self) -> None:
        """Do nothing."""


def watch(database: Any) -> None:
    """Have the connections of a database left alone in each child of this process, as long as the database exists."""
    _databases.add(database)


def _in_child() -> None:
    for database in list(_databases):
        database._lock = threading.Lock()  # noqa: SLF001  peewee's; a thread that is not here may have held it
        database._gate = threading.Lock()  # noqa: SLF001  as above
        _inherited.extend(database._made)  # noqa: SLF001  as above
        database._made.clear()  # noqa: SLF001  as above
        state = database._state  # noqa: SLF001  peewee has no public way
        if state.closed:
            continue
        _inherited.append(state.conn)
        if state.transactions:
            state.conn = Inherited(str(database.database))
        else:
            database.dispose()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
