"""Bind the usage models to a database or a DatabaseProxy, and unbind them."""

from __future__ import annotations

import os
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

from usage_store.engines import engine_of, inner
from usage_store.errors import ConfigurationError, DatabaseReplaced, ForkedConnection
from usage_store.models import MODELS, UsageConfig, UsageSnapshot
from usage_store.models.base import UsageModel
from usage_store.models.storage_interface import storage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import peewee

_inside: ContextVar[tuple[int, object] | None] = ContextVar("usage_store_block", default=None)


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


@contextmanager
def one_block() -> Iterator[None]:
    """Be in a block that binds the models. Raises ConfigurationError beside a block that this one is not nested in.

    A block is nested in another one if its code was reached from inside: in the same thread, in an asyncio task that
    was created there, or through asyncio.to_thread().
    """
    blocks, outer, mine = UsageModel.blocks, _inside.get(), (os.getpid(), object())
    blocks.append(mine)  # before the look at the others, so that of two threads that begin at once, one sees the other
    try:
        before = blocks[: blocks.index(mine)]
        # A fork leaves the other threads behind, and their blocks too.
        if before and before[-1] is not outer and before[-1][0] == mine[0]:
            raise ConfigurationError(
                "another thread or asyncio task is in a block of opened(), and all of them share the database of the "
                "usage models; call init_database() once when the program starts, and then use the functions anywhere"
            )
        _inside.set(mine)
        yield
    finally:
        blocks.remove(mine)
        if _inside.get() is mine:
            _inside.set(outer)


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
