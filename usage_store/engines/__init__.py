"""The database engines: which one a database belongs to, and how one is opened."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from usage_store.engines import sqlite
from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    import peewee

    from usage_store.engines.interface.engine import Engine, Missing

ENGINES: tuple[Engine[Any], ...] = (sqlite,)
NAMES = ("postgresql", "sqlite")  # for which a migration may have a variant, before this package has the engine too


def is_database(thing: object) -> bool:
    """Tell whether a thing is a Peewee Database or DatabaseProxy of any kind."""
    return hasattr(type(thing), "connection_context")


def engine_of(database: peewee.Database | peewee.DatabaseProxy) -> Engine[Any]:
    """Give the engine of a database, or raise ConfigurationError for one that cannot be used. Nothing is opened."""
    found = inner(database)
    engine = engine_of_kind(type(found))
    if found.deferred:
        raise ConfigurationError("the database is deferred; call its init(path) first")
    return engine


def engine_of_kind(kind: type[peewee.Database]) -> Engine[Any]:
    """Give the engine of a class of databases. Raises ConfigurationError."""
    for engine in ENGINES:
        if engine.owns(kind):
            return engine
    raise ConfigurationError(f"{kind.__name__} is not supported: this version stores in SQLite")


def unwrap(database: peewee.Database | peewee.DatabaseProxy) -> Any:
    """Give the database itself, also of an initialised DatabaseProxy. Raises ConfigurationError as `engine_of`."""
    engine_of(database)
    return inner(database)


def inner(database: peewee.Database | peewee.DatabaseProxy) -> peewee.Database:
    """Give the database itself, or raise ConfigurationError for a DatabaseProxy that is not initialised."""
    found: Any = getattr(database, "obj", database)
    if found is None:
        raise ConfigurationError("the DatabaseProxy is not initialised; call its initialize(database) first")
    return found  # type: ignore[no-any-return]


def open_database(
    target: str | os.PathLike[str],
    *,
    readonly: bool = False,
    missing: Missing = "create",
    timeout: float = 5,
    mode: int | None = None,
) -> peewee.Database:
    """Open a database by its path or URL, connected on this thread.

    A missing file is made, but not its folder, and not with `readonly`; `mode` are its permissions then. With `missing`
    "refuse" none is made, with "empty" an empty database in memory takes its place. `timeout` is how many seconds a
    statement waits for another process's lock. Raises ConfigurationError for a target that cannot be used, InvalidValue
    for a mode, and DatabaseUnreadable for a database that is missing or cannot be read.
    """
    return engine_at(target).open_database(target, readonly=readonly, missing=missing, timeout=timeout, mode=mode)


def lent(
    database: peewee.Database | peewee.DatabaseProxy,
    *,
    readonly: bool = False,
    missing: Missing = "create",
    mode: int | None = None,
) -> AbstractContextManager[peewee.Database]:
    """Have an application's own database connected for the block, and nothing written through it if `readonly`.

    What becomes of a missing file, and what is raised, is as in `open_database` and `engine_of`.
    """
    return engine_of(database).lent(inner(database), readonly=readonly, missing=missing, mode=mode)


def file_of(database: str | os.PathLike[str] | peewee.Database | peewee.DatabaseProxy) -> str:
    """Give the absolute path of the file of a path, URL or database; it is empty for one in memory. Reads only."""
    if isinstance(database, str | os.PathLike):
        return engine_at(database).file_of(database)
    return engine_of(database).file_of(inner(database))


def engine_at(target: str | os.PathLike[str]) -> Engine[Any]:  # noqa: ARG001  the one engine says what it cannot open
    """Give the engine of a path or URL."""
    return sqlite


def driver_errors(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """Give what the drivers of this process raise, and `others`; peewee translates most of it, not all."""
    return (*others, *(kind for engine in ENGINES for kind in engine.driver_errors()))


@contextmanager
def connected(database: peewee.Database) -> Iterator[None]:
    """Be connected for the block, with one-line errors for a database that is broken, locked or too old.

    What an application set on its connection (row and text factories, an authorizer) is off within the block.
    A closed database is closed again afterwards, but not one in memory, which would be gone.
    """
    engine = engine_of(database)
    opened = in_memory = False
    try:
        with engine.readable_errors(str(database.database)):
            opened = database.connect(reuse_if_open=True)
            with engine.plain_connection(database):
                in_memory = engine.is_in_memory(database)
                engine.check_version(database)
                yield
    finally:
        if opened and not in_memory:
            database.close()
