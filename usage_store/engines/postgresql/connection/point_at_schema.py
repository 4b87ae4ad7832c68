"""Point an application's database at another schema for a while, without connecting to what it names."""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import peewee

from usage_store.engines.interface.schema_objects import quoted
from usage_store.engines.postgresql.connection.driver import driver_errors
from usage_store.engines.postgresql.connection.names import name_of, settings_of, url_of
from usage_store.engines.postgresql.connection.our_connections import OurServer
from usage_store.engines.postgresql.connection.read_url import read_url, with_defaults
from usage_store.errors import TransactionOpen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from usage_store.engines.postgresql.connection.read_url import Target

# What libpq is told of the server, the role and the way there. The other parameters are an application's own settings.
_THE_WAY = ("host", "hostaddr", "port", "dbname", "user", "password", "passfile", "service", "target_session_attrs")
_KINDS_OF_THE_WAY = ("ssl", "gss", "krb", "channel_binding", "require_auth", "load_balance", "replication")
_CONNECTIONS = ("_state", "_connections", "_in_use")  # of threads, and of a pool
_IN_A_TRANSACTION = (1, 2, 3)  # PQTRANS_ACTIVE, PQTRANS_INTRANS and PQTRANS_INERROR, in both drivers


def database_at(url: str) -> OurServer:
    """Return a closed database for a URL, as open_database() returns it. Opens nothing."""
    return OurServer(read_url(url))


def options_of(database: peewee.PostgresqlDatabase) -> str:
    """Return a text with the settings that an application made for its connections. Opens nothing.

    What names the server and the role, such as the password, is not in it.
    """
    return repr(sorted((name, repr(value)) for name, value in _settings(database).items()))


@contextmanager
def pointed_at(database: peewee.PostgresqlDatabase, url: str) -> Iterator[None]:
    """Let a database use the schema of a URL in the block. It is closed at the start and at the end of the block.

    Its driver and its settings, such as `application_name` and `options`, stay; server, role and search path are those
    of the URL. After the block, all is as before. Nobody connects to the server that the database named. The
    connections that other threads have to it are put aside for the block.

    Raises TransactionOpen if this thread is in a transaction; then nothing is changed.
    """
    target = read_url(url)
    if not database.deferred:
        _refuse_a_transaction(database)
        _close_here(database)
    held: dict[str, Any] = vars(database)
    before = dict(held)
    held.update({name: type(value)() for name, value in before.items() if name in _CONNECTIONS})
    if isinstance(before.get("_made"), WeakSet):
        held["_made"] = WeakSet()
    try:
        held.update(_pointed(database, target))
        yield
    finally:
        if not database.deferred:
            close_anyway(database)
        held.pop("schema", None)
        # A module that a test imports may add a hook. It is imported once, so the hook must stay.
        held.update({name: value for name, value in before.items() if name != "query_hooks"})


def close_anyway(database: peewee.PostgresqlDatabase) -> None:
    """Close the connections that can be closed from here, also in a transaction, which is rolled back."""
    of_peewee: Any = database
    state = of_peewee._state  # noqa: SLF001  peewee refuses to close in a transaction
    if state.transactions:
        with suppress(*driver_errors()):
            state.conn.close()
        state.reset()
    if isinstance(database, OurServer):
        database.close_all()
        return
    _close_here(database)
    # A pool keeps the connections of threads that ended without closing them.
    for used in getattr(database, "_in_use", {}).values():
        with suppress(*driver_errors()):
            used.connection.close()


def _close_here(database: peewee.PostgresqlDatabase) -> None:
    """Close the connection of this thread and the idle ones of a pool."""
    with suppress(*driver_errors(peewee.PeeweeException)):
        database.close()
    getattr(database, "close_idle", lambda: None)()


def _refuse_a_transaction(database: peewee.PostgresqlDatabase) -> None:
    of_peewee: Any = database
    state = of_peewee._state  # noqa: SLF001  connection() would connect again if the connection was lost
    if not state.closed and getattr(getattr(state.conn, "info", None), "transaction_status", 0) in _IN_A_TRANSACTION:
        raise TransactionOpen(f"{name_of(database)}: a transaction is open; commit it or roll it back before the test")


def _settings(database: peewee.PostgresqlDatabase) -> dict[str, Any]:
    if database.deferred:
        return dict(database.connect_params)
    return {
        name: value
        for name, value in settings_of(database).items()
        if name not in _THE_WAY and not name.startswith(_KINDS_OF_THE_WAY)
    }


def _pointed(database: peewee.PostgresqlDatabase, target: Target) -> Mapping[str, Any]:
    """Return the attributes of a database that is pointed at a target."""
    way = with_defaults(target.parameters)
    settings = _settings(database)
    if isinstance(database, OurServer):  # it sets the search path itself
        return {
            "database": url_of(way, target.schema),
            "schema": target.schema,
            "connect_params": {**way, **settings},
        }
    own = {name: way[name] for name in way if name in _THE_WAY or name in target.parameters}
    path = f"-csearch_path={_as_an_option(quoted(target.schema))}" if target.schema else ""
    options = " ".join(filter(None, [settings.pop("options", ""), own.pop("options", ""), path]))
    return {
        "database": own.pop("dbname"),
        "deferred": False,
        "schema": target.schema,  # for messages
        "connect_params": {**settings, **own, **({"options": options} if options else {})},
    }


def _as_an_option(text: str) -> str:
    return re.sub(r"([\\ ])", r"\\\1", text)
