"""Find the engine of a database, and open databases."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from usage_store.engines import postgresql, sqlite
from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    import peewee

    from usage_store.engines.interface.engine import Engine, Missing
    from usage_store.engines.interface.schemas_for_tests import SchemasForTests

ENGINES: tuple[Engine[Any], ...] = (sqlite, postgresql)
NAMES = tuple(sorted(engine.NAME for engine in ENGINES))  # a migration may have a variant for each


def is_database(thing: object) -> bool:
    """Return whether a thing is a Peewee Database or DatabaseProxy of any kind."""
    return hasattr(type(thing), "connection_context")


def engine_of(database: peewee.Database | peewee.DatabaseProxy) -> Engine[Any]:
    """Return the engine of a database. Opens nothing.

    Raises ConfigurationError for a database that cannot be used: another kind, deferred, or a proxy without a database.
    """
    found = inner(database)
    engine = engine_of_kind(type(found))
    if found.deferred:
        raise ConfigurationError("the database is deferred; call its init(path) first")
    return engine


def is_on_a_server(database: str | os.PathLike[str] | peewee.Database | peewee.DatabaseProxy) -> bool:
    """Return whether a path, URL or database means a database on a server, and not a file. Opens nothing."""
    if isinstance(database, str | os.PathLike):
        return engine_at(database).ON_A_SERVER
    return engine_of(database).ON_A_SERVER


def engine_of_kind(kind: type[peewee.Database]) -> Engine[Any]:
    """Return the engine of a class of databases. Raises ConfigurationError for a class that is not supported."""
    for engine in ENGINES:
        if engine.owns(kind):
            return engine
    raise ConfigurationError(f"{kind.__name__} is not supported: this package stores in SQLite and PostgreSQL")


def unwrap(database: peewee.Database | peewee.DatabaseProxy) -> Any:
    """Return the database itself, also that of a DatabaseProxy. Raises ConfigurationError like `engine_of()`."""
    engine_of(database)
    return inner(database)


def inner(database: peewee.Database | peewee.DatabaseProxy) -> peewee.Database:
    """Return the database itself, also that of a DatabaseProxy.

    Raises ConfigurationError for a proxy without a database.
    """
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
    """Open a database by its path or URL, and connect it in this thread.

    A missing file is created, but not with `readonly`. A missing folder is never created. `mode` sets the permissions
    of a new file. With `missing="refuse"` no file is created; with `missing="empty"` an empty database in memory is
    opened instead. `timeout` is how many seconds a statement waits for the lock of another process.

    Raises ConfigurationError for a path or URL that cannot be used, InvalidValue for a wrong `mode`, and
    DatabaseUnreadable for a database that is missing or cannot be read.
    """
    return engine_at(target).open_database(target, readonly=readonly, missing=missing, timeout=timeout, mode=mode)


def lent(
    database: peewee.Database | peewee.DatabaseProxy,
    *,
    readonly: bool = False,
    missing: Missing = "create",
    mode: int | None = None,
) -> AbstractContextManager[peewee.Database]:
    """Use an application's own database in the block: connected, and with writes refused if `readonly`.

    A missing file is treated as in `open_database()`. Raises what `open_database()` and `engine_of()` raise.
    """
    return engine_of(database).lent(inner(database), readonly=readonly, missing=missing, mode=mode)


def file_of(database: str | os.PathLike[str] | peewee.Database | peewee.DatabaseProxy) -> str:
    """Return the absolute path of the file of a path, URL or database; it is empty for one in memory. Reads only."""
    if isinstance(database, str | os.PathLike):
        return engine_at(database).file_of(database)
    return engine_of(database).file_of(inner(database))


def place_of(database: str | os.PathLike[str] | peewee.Database | peewee.DatabaseProxy) -> str:
    """Return the file of `file_of()`, or on a server the URL of `name_of()`; it is empty for a database in memory."""
    return name_of(database) if is_on_a_server(database) else file_of(database)


def name_of(database: str | os.PathLike[str] | peewee.Database | peewee.DatabaseProxy) -> str:
    """Return how messages name a path, URL or database: by its path or URL, without a password. Opens nothing."""
    if isinstance(database, str | os.PathLike):
        return engine_at(database).name_of(database)
    return engine_of(database).name_of(inner(database))


def engine_at(target: str | os.PathLike[str]) -> Engine[Any]:
    """Return the engine of a path or URL."""
    return ENGINES[postgresql.names_a_server(os.fspath(target))]


def schemas_for_tests(server: str) -> SchemasForTests:
    """Return the functions that make schemas for tests on the server of a URL.

    Raises ConfigurationError for a text that is no URL of a server.
    """
    engine: Any = engine_at(server)
    if not engine.ON_A_SERVER:
        raise ConfigurationError("the server of tests is named by a URL, such as postgresql://user@host/database")
    found: SchemasForTests = engine
    return found


def driver_errors(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """Return the error classes of the drivers in this process, and `others`.

    They are needed because peewee translates most errors of drivers, but not all.
    """
    return (*others, *(kind for engine in ENGINES for kind in engine.driver_errors()))


@contextmanager
def connected(database: peewee.Database) -> Iterator[None]:
    """Connect the database for the block, and turn errors of a broken, locked or too old database into one line.

    Settings that an application made on its connection (row and text factory, authorizer) are off in the block. A
    database that was closed is closed again at the end, except one in memory, because its content would be lost.
    """
    engine = engine_of(database)
    opened = in_memory = False
    try:
        with engine.readable_errors(engine.name_of(database)):
            opened = database.connect(reuse_if_open=True)
            with engine.plain_connection(database):
                in_memory = engine.is_in_memory(database)
                engine.check_version(database)
                yield
    finally:
        if opened and not in_memory:
            database.close()
