"""Point an application's database at another file for a while, without opening the file that it names."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import peewee

from usage_store.engines.sqlite.connection.driver import driver_errors, is_in_memory
from usage_store.engines.sqlite.connection.pragmas_of_our_files import SqliteFile
from usage_store.engines.sqlite.file.list_tables import own_tables
from usage_store.engines.sqlite.file.write_transaction import in_transaction
from usage_store.errors import ConfigurationError, DatabaseReplaced, ForkedConnection, TransactionOpen

if TYPE_CHECKING:
    from collections.abc import Iterator

_FAST = [("synchronous", 0)]  # the file is thrown away, so a power loss may damage it

# A module that a test imports may register something on the database. It is imported once, so this must stay.
_REGISTERED = ("_aggregates", "_collations", "_extensions", "_functions", "_window_functions", "query_hooks")


def database_at(path: str) -> peewee.SqliteDatabase:
    """Return a closed database for a file that exists and that may be lost. Opens nothing."""
    return SqliteFile(path, pragmas=_FAST)


def options_of(database: peewee.SqliteDatabase) -> str:
    """Return a text with the options of the connections of a database, such as its pragmas. Opens nothing."""
    held = vars(database)
    return repr((held["connect_params"], held["_pragmas"], held["_attached"]))


@contextmanager
def pointed_at(database: peewee.SqliteDatabase, path: str) -> Iterator[None]:
    """Let a database use the file at `path` in the block. It is closed at the start and at the end of the block.

    Its pragmas, functions and other settings stay, but `synchronous` is off. Attached files are replaced by files
    beside `path`. After the block, all is as before. The file that the database named is not opened. The connections
    that other threads have to that file are put aside for the block.

    Raises TransactionOpen if this thread is in a transaction, and ConfigurationError if the database is in memory and
    has tables, or if its class cannot be pointed at a path. Then nothing is changed.
    """
    _refuse_a_loss(database)
    if not database.deferred:
        _close_here(database)
    held: dict[str, Any] = vars(database)
    before = dict(held)
    held.update(_without_connections(before))
    try:
        _point(database, path, before)
        yield
    finally:
        if not database.deferred:
            close_anyway(database)
        held.update({name: value for name, value in before.items() if name not in _REGISTERED})


def close_anyway(database: peewee.SqliteDatabase) -> None:
    """Close the connections that can be closed from here, also in a transaction, which is rolled back."""
    of_peewee: Any = database
    state = of_peewee._state  # noqa: SLF001  peewee refuses to close in a transaction
    if state.transactions:
        with suppress(*driver_errors(ForkedConnection)):
            state.conn.close()
        state.reset()
    if isinstance(database, SqliteFile):
        database.close_all()
    else:
        _close_here(database)


def _close_here(database: peewee.SqliteDatabase) -> None:
    """Close the connection of this thread and the idle ones of a pool."""
    with suppress(*driver_errors(peewee.PeeweeException)):
        database.close()
    getattr(database, "close_idle", lambda: None)()


def _refuse_a_loss(database: peewee.SqliteDatabase) -> None:
    if database.is_closed():
        return
    with suppress(DatabaseReplaced, ForkedConnection):
        if in_transaction(database):
            raise TransactionOpen(
                f"{database.database}: a transaction is open; commit it or roll it back before the test"
            )
        if is_in_memory(database) and own_tables(database):
            raise ConfigurationError(
                f"{database.database}: this database in memory is connected and has tables, which would be lost; "
                "close it before the test"
            )


def _without_connections(held: dict[str, Any]) -> dict[str, Any]:
    """Return new values for the attributes that hold connections: of all threads, and of a pool."""
    return {
        name: type(value)()
        for name, value in held.items()
        if name in ("_state", "_connections", "_in_use") or (name == "_made" and isinstance(value, WeakSet))
    }


def _point(database: peewee.SqliteDatabase, path: str, before: dict[str, Any]) -> None:
    held = vars(database)
    held["connect_params"] = dict(before["connect_params"])
    kind = type(database).__name__
    try:
        database.init(path)
    except TypeError as error:
        raise ConfigurationError(
            f"{kind}.init() must accept a path alone, so that a test can name its file: {error}"
        ) from error
    if str(database.database) != path:
        raise ConfigurationError(
            f"{kind}.init() must use the path that it is given; it made {database.database} of {path}"
        )
    held.update({name: before[name] for name in ("_timeout", "_wait_timeout") if name in before})
    held["connect_params"] = dict(before["connect_params"])
    held["_pragmas"] = [*before["_pragmas"], *_FAST]
    held["_attached"] = {
        name: file if file == ":memory:" else f"{path}.{name}" for name, file in before["_attached"].items()
    }
