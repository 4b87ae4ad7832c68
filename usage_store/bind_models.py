"""Bind the usage models to a database or a DatabaseProxy, and unbind them."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from usage_store.engines import engine_of, inner
from usage_store.errors import ConfigurationError, DatabaseReplaced, ForkedConnection
from usage_store.models import MODELS, UsageConfig, UsageSnapshot
from usage_store.models.storage_interface import storage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import peewee


class WhenInitialised:
    """A callback of a DatabaseProxy. Peewee calls it with the database when the proxy is initialised."""

    def __init__(self, *calls: Callable[[peewee.Database], None]) -> None:
        self._calls = calls

    def __call__(self, database: peewee.Database | None) -> None:
        """Make the calls with the database. Does nothing if the proxy is initialised with None."""
        if database is not None:
            for call in self._calls:
                call(database)


class Binding(NamedTuple):
    """The state of a binding: the database or proxy of each model, our callbacks on it, and the maintenance."""

    databases: tuple[Any, ...]
    callbacks: tuple[WhenInitialised, ...]
    upkeep: Callable[[peewee.Database], None] | None


class OneThread:
    """Let the blocks of one thread at a time nest in each other, because all threads share the binding."""

    def __init__(self) -> None:
        self._blocks: dict[int, tuple[int, object]] = {}  # by process, since a fork leaves the other threads behind

    @contextmanager
    def block(self) -> Iterator[None]:
        """Be in a block. Raises ConfigurationError if another thread of this process is in one."""
        process, mine = os.getpid(), (threading.get_ident(), object())
        outermost = self._blocks.setdefault(process, mine)
        if outermost[0] != mine[0]:
            raise ConfigurationError(
                "another thread is in a block of opened(), and all threads share the database of the usage models; "
                "call init_database() once when the program starts, and then use the functions in any thread"
            )
        try:
            yield
        finally:
            if outermost is mine:
                del self._blocks[process]


one_thread = OneThread()


def bind(database: Any, upkeep: Callable[[peewee.Database], None] | None, *calls: Callable[[Any], None]) -> None:
    """Bind the usage models to a database or proxy. A proxy makes `calls` with each database it is initialised with."""
    if hasattr(database, "attach_callback"):
        forget(database)
        database.attach_callback(WhenInitialised(*calls))
    for model in MODELS:
        model.bind(database, bind_refs=False, bind_backrefs=False)  # the host's models that refer to ours do not change
    UsageSnapshot.upkeep = None if upkeep is None else staticmethod(upkeep)


def prepare(database: peewee.Database) -> None:
    """Register the SQL functions of the models' queries on the connections of a database."""
    storage_of(database).prepare(database)


def binding() -> Binding:
    """Return the present binding of the usage models."""
    databases = tuple(model._meta.database for model in MODELS)
    return Binding(databases, tuple(_ours(UsageConfig._meta.database)), UsageSnapshot.upkeep)


def bind_again(before: Binding) -> None:
    """Restore an earlier binding of the usage models, and remove our callbacks from the present database."""
    forget(UsageConfig._meta.database)
    for model, database in zip(MODELS, before.databases, strict=True):
        model._meta.set_database(database)
        if model is UsageConfig and before.callbacks:
            forget(database)
            database._callbacks.extend(before.callbacks)  # noqa: SLF001  peewee has no public way
    UsageSnapshot.upkeep = None if before.upkeep is None else staticmethod(before.upkeep)


def unbind() -> None:
    """Unbind the usage models. They have no database then, as in a new process."""
    bind_again(Binding((None,) * len(MODELS), (), None))


def forget(database: object) -> None:
    """Remove our callbacks from a proxy. Does nothing for any other database."""
    callbacks: list[Any] = getattr(database, "_callbacks", [])
    callbacks[:] = [each for each in callbacks if not isinstance(each, WhenInitialised)]


def _ours(database: object) -> Sequence[WhenInitialised]:
    return [each for each in getattr(database, "_callbacks", ()) if isinstance(each, WhenInitialised)]


def is_initialised(database: Any) -> bool:
    """Return False for a DatabaseProxy that has no database yet, and True for anything else."""
    return getattr(database, "obj", database) is not None


def is_connected(database: Any) -> bool:
    """Return whether this thread has a connection to a database or to a proxy's database."""
    return is_initialised(database) and not inner(database).is_closed()


def in_transaction(database: Any) -> bool:
    """Return whether this thread is in a transaction that can still be committed."""
    try:
        return is_connected(database) and engine_of(database).in_transaction(inner(database))
    except (DatabaseReplaced, ForkedConnection):
        return False


def close_all(database: Any) -> None:
    """Close those connections of a database or of a proxy's database that this thread can close."""
    if is_initialised(database) and not inner(database).deferred:
        engine_of(database).close_all(inner(database))
