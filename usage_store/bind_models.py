"""Bind the usage models to a database, and undo that: for a database itself, and for a DatabaseProxy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from usage_store.engines import engine_of, inner
from usage_store.errors import DatabaseReplaced, ForkedConnection
from usage_store.models import MODELS, UsageConfig, UsageSnapshot
from usage_store.models.storage_interface import storage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import peewee


class WhenInitialised:
    """What is done with a database that a DatabaseProxy is given: a callback of that proxy."""

    def __init__(self, *calls: Callable[[peewee.Database], None]) -> None:
        self._calls = calls

    def __call__(self, database: peewee.Database | None) -> None:
        """Do it, unless the proxy is given None."""
        if database is not None:
            for call in self._calls:
                call(database)


class Binding(NamedTuple):
    """What the usage models are bound to: a database or proxy for each model, its callbacks, and the maintenance."""

    databases: tuple[Any, ...]
    callbacks: tuple[WhenInitialised, ...]
    upkeep: Callable[[peewee.Database], None] | None


def bind(database: Any, upkeep: Callable[[peewee.Database], None] | None, *calls: Callable[[Any], None]) -> None:
    """Bind the usage models to a database or proxy; a proxy does `calls` with each database that it is given."""
    if hasattr(database, "attach_callback"):
        forget(database)
        database.attach_callback(WhenInitialised(*calls))
    for model in MODELS:
        model.bind(database, bind_refs=False, bind_backrefs=False)  # the host's models that refer to ours stay
    UsageSnapshot.upkeep = None if upkeep is None else staticmethod(upkeep)


def prepare(database: peewee.Database) -> None:
    """See that the connections of a database have the SQL functions that the models' queries call."""
    storage_of(database).prepare(database)


def binding() -> Binding:
    """Return what the usage models are bound to now."""
    databases = tuple(model._meta.database for model in MODELS)
    return Binding(databases, tuple(_ours(UsageConfig._meta.database)), UsageSnapshot.upkeep)


def bind_again(before: Binding) -> None:
    """Bind the usage models to what they were bound to before, and let go of what they are bound to now."""
    forget(UsageConfig._meta.database)
    for model, database in zip(MODELS, before.databases, strict=True):
        model._meta.set_database(database)
        if model is UsageConfig and before.callbacks:
            forget(database)
            database._callbacks.extend(before.callbacks)  # noqa: SLF001  peewee has no other way
    UsageSnapshot.upkeep = None if before.upkeep is None else staticmethod(before.upkeep)


def unbind() -> None:
    """Leave the usage models without a database, as in a fresh process."""
    bind_again(Binding((None,) * len(MODELS), (), None))


def forget(database: object) -> None:
    """Take our callbacks off a proxy; any other database has none."""
    callbacks: list[Any] = getattr(database, "_callbacks", [])
    callbacks[:] = [each for each in callbacks if not isinstance(each, WhenInitialised)]


def _ours(database: object) -> Sequence[WhenInitialised]:
    return [each for each in getattr(database, "_callbacks", ()) if isinstance(each, WhenInitialised)]


def is_initialised(database: Any) -> bool:
    """Return whether a database is not a proxy that waits for its database."""
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
    """Close the connections of a database or of a proxy's database, as far as they can be closed from this thread."""
    if is_initialised(database) and not inner(database).deferred:
        engine_of(database).close_all(inner(database))
